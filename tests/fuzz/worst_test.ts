import { assertEquals, assertGreater } from "@std/assert";
import { DEFAULT_PEER_LIMITS } from "@qtalk/qtalk";
import { forSeeds } from "../support/random.ts";
import { ThreadClock } from "../support/thread_clock.ts";
import { utf8 } from "../support/wire.ts";
import { ASSERTED } from "./asserted.ts";
import { CODECS, type Format } from "./codec_list.ts";
import { assertBounded, line, SHORT } from "./worst.ts";
import { Scale } from "./worst/cost.ts";
import { search } from "./worst/search.ts";

for (const [name, listed] of Object.entries(CODECS)) {
  Deno.test(`fuzz worst: no value costs ${name} more than is promised`, async () => {
    await forSeeds(1, (random) => {
      const found = search(listed, random, SHORT);
      const [slowest] = found.slowest;
      assertGreater(slowest!.ms, 0);
      console.log(
        `seed ${random.seed}: ${line({ codec: name, found: slowest! })}`,
      );
      assertBounded(name, found);
    });
  });
}

/** Lists of empty objects, of twice the largest size that a peer accepts. */
const EMPTY_OBJECTS: Record<Format, () => Uint8Array> = {
  json: () => {
    const count = Math.floor((2 * DEFAULT_PEER_LIMITS.maxValueSize - 1) / 3);
    return utf8(`[${Array(count).fill("{}")}]`);
  },
  cbor: () => listOf(0x9a, 0xa0),
  msgpack: () => listOf(0xdd, 0x80),
};

function listOf(head: number, item: number): Uint8Array {
  const bytes = new Uint8Array(2 * DEFAULT_PEER_LIMITS.maxValueSize).fill(item);
  bytes[0] = head;
  new DataView(bytes.buffer).setUint32(1, bytes.length - 5);
  return bytes;
}

for (const [name, { format, make }] of Object.entries(CODECS)) {
  Deno.test(`fuzz worst: without maxItems, empty objects cost ${name} more than is promised`, () => {
    using clock = new ThreadClock();
    const scale = new Scale(clock);
    const bytes = EMPTY_OBJECTS[format]();
    const { ms, refused } = scale.measure(
      make({ maxItems: Infinity }),
      bytes,
      3,
    );
    assertEquals(refused, undefined);
    assertGreater(ms, ASSERTED.decodeMs);
    const limited = scale.measure(make(), bytes, 1);
    assertEquals(limited.refused, "too-many-items");
  });
}

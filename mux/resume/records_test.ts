import { assertEquals, assertThrows } from "@std/assert";
import { MuxError } from "../errors.ts";
import { test } from "../../tests/support/harness.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { writeUint32 } from "../../uint32.ts";
import { encodeRefused, writeUint64 } from "./handshake/messages.ts";
import { encodeAck, RECORD, RecordDecoder } from "./records.ts";

function data(payload: readonly number[], received: number): number[] {
  const bytes = new Uint8Array(13 + payload.length);
  bytes[0] = RECORD.data;
  writeUint32(bytes, 1, payload.length);
  writeUint64(bytes, 5, received);
  bytes.set(payload, 13);
  return [...bytes];
}

/** What a decoder finds in chunks. */
function decoded(chunks: Iterable<Uint8Array>): unknown[] {
  const found: unknown[] = [];
  const payload: number[] = [];
  const flush = () => {
    if (payload.length > 0) found.push(payload.splice(0));
  };
  const note = (it: unknown) => {
    flush();
    found.push(it);
  };
  const decoder = new RecordDecoder({
    onAck: (received) => note(received),
    onEnd: () => note("end"),
    onPing: () => note("ping"),
    onClose: () => note("close"),
    onRefused: () => note("refused"),
  });
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let b = decoder.next(); b !== undefined; b = decoder.next()) {
      payload.push(...b);
    }
  }
  flush();
  return found;
}

const ALL = new Uint8Array([
  ...data([1, 2, 3, 4, 5, 6, 7], 2 ** 40),
  ...encodeAck(RECORD.ack, 5),
  ...data([8], 6),
  ...encodeAck(RECORD.ping, 7),
  ...encodeAck(RECORD.pong, 8),
  RECORD.end,
  RECORD.close,
]);
const FOUND = [
  2 ** 40,
  [1, 2, 3, 4, 5, 6, 7],
  5,
  6,
  [8],
  7,
  "ping",
  8,
  "end",
  "close",
];

test("records: every record has the size and the fields of the specification", () => {
  const spec = Deno.readTextFileSync(new URL("SPEC.md", import.meta.url));
  const section = spec.slice(spec.indexOf("\n## Records"));
  const rows = section.split("\n").filter((line) => /^\| \d/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  assertEquals(
    rows.map(([, type, name]) => [name!.toLowerCase(), Number(type)]),
    Object.entries(RECORD),
  );
  const sizes = rows.map(([, , , , size]) => parseInt(size!));
  assertEquals(sizes, [data([], 0).length, 9, 1, 9, 9, 1]);
  assertEquals(encodeAck(RECORD.ack, 1).length, 9);
});

test("records: records are decoded in any chunking", async () => {
  assertEquals(decoded([ALL]), FOUND);
  await forSeeds(50, (random) => {
    assertEquals(decoded(random.split(ALL, random.int(1, 20))), FOUND);
  });
});

test("records: REFUSED in place of the first record is recognized", () => {
  assertEquals(decoded([encodeRefused()]), ["refused"]);
});

test("records: an unknown type and DATA of length 0 are refused", () => {
  for (const bytes of [[0], [7], [0xc8], [100], data([], 0)]) {
    const error = assertThrows(
      () => decoded([new Uint8Array(bytes)]),
      MuxError,
    );
    assertEquals(error.code, "protocol-error");
  }
});

test("records: the payloads of several DATA in one chunk are returned at once, up to the next record of another type", () => {
  const acks: number[] = [];
  const decoder = new RecordDecoder({
    onAck: (received) => acks.push(received),
    onEnd() {},
    onPing() {},
    onClose() {},
    onRefused() {},
  });
  const chunk = new Uint8Array([
    ...data([1, 2], 1),
    ...data([3], 2),
    ...data([4, 5, 6], 3),
    ...encodeAck(RECORD.ping, 4),
    ...data([7], 5),
    ...data([8, 9], 6).slice(0, -1),
  ]);
  decoder.push(chunk);
  const read = () => [...decoder.next() ?? []];
  assertEquals([read(), [...acks]], [[1, 2, 3, 4, 5, 6], [1, 2, 3]]);
  assertEquals([read(), [...acks]], [[7, 8], [1, 2, 3, 4, 5, 6]]);
  assertEquals(decoder.next(), undefined);
  decoder.push(new Uint8Array([9, ...data([10], 7), RECORD.data, 0, 0, 0, 0]));
  assertEquals(read(), [9, 10]);
  assertEquals(decoder.next(), undefined);
});

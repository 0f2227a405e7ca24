import { json } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assertEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { newId, newPrefix, RandomDigits } from "./pointers.ts";
import { PointerFinder } from "./pointer_finder.ts";

Deno.test("PointerFinder: finds functions and streams, in whatever pieces their bytes arrive", () => {
  const digits = new RandomDigits();
  const prefix = newPrefix();
  const ids = (["function", "values", "bytes", "whole"] as const)
    .map((kind) => newId(prefix, kind, digits));
  const value = [
    ids.map(($fnptr) => ({ $fnptr })),
    { $fnptr: "another one" },
    ids[0],
    "$f $fnptr $",
  ];
  for (const codec of [json(), cbor()]) {
    const bytes = codec.encode(value);
    for (let size = 1; size <= bytes.length; size++) {
      const found: string[] = [];
      const finder = new PointerFinder((id) => found.push(id));
      for (let at = 0; at < bytes.length; at += size) {
        finder.add(bytes.subarray(at, at + size));
      }
      assertEquals(found, ids, `${codec.name} ${size}`);
    }
  }
});

/** The IDs that begin with a prefix in bytes that arrive in pieces. */
function find(prefix: string, pieces: Iterable<Uint8Array>): string[] {
  const found: string[] = [];
  const finder = new PointerFinder((id) => found.push(id), prefix);
  for (const piece of pieces) finder.add(piece);
  return found;
}

Deno.test("PointerFinder: of IDs with one prefix, it finds these and no others, however their bytes are cut", async () => {
  const digits = new RandomDigits();
  await forSeeds(200, (random) => {
    const [prefix, other] = [newPrefix(), newPrefix()];
    const kinds = ["function", "values", "bytes", "whole"] as const;
    const ids = Array.from(
      { length: random.int(0, 5) },
      () => newId(random.pick([prefix, other]), random.pick(kinds), digits),
    );
    const codec = random.pick([json(), cbor()]);
    const bytes = codec.encode(
      ids.map(($fnptr) => ["x".repeat(random.int(0, 30)), { $fnptr }]),
    );
    const pieces = random.split(bytes, random.int(1, 60));
    const expected = ids.filter((id) => id.startsWith(prefix));
    assertEquals(find(prefix, pieces), expected);
  });
});

Deno.test("PointerFinder: what only begins like an ID is none", () => {
  const prefix = newPrefix();
  const value = [prefix, `${prefix}00000`, `${prefix}z000000000000`]
    .map(($fnptr) => ({ $fnptr }));
  assertEquals(find(prefix, [json().encode(value)]), []);
});

Deno.test("PointerFinder: bytes that are no text do not hide an ID", () => {
  const prefix = newPrefix();
  const id = newId(prefix, "function", new RandomDigits());
  const noise = Uint8Array.from({ length: 256 }, (_, i) => i);
  const pieces = [noise, utf8(`{"$fnptr":"${id}"}`), noise];
  assertEquals(find(prefix, pieces), [id]);
});

Deno.test("PointerFinder: what looks like the beginning of a pointer hides none", () => {
  const id = newId(newPrefix(), "function", new RandomDigits());
  const found: string[] = [];
  const finder = new PointerFinder((id) => found.push(id));
  finder.add(cbor().encode({ $f: { $fnptr: id } }));
  assertEquals(found, [id]);
});

import { json } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assertEquals } from "@std/assert";
import { newId, newPrefix, RandomDigits } from "../callback/pointers.ts";
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

Deno.test("PointerFinder: what looks like the beginning of a pointer hides none", () => {
  const id = newId(newPrefix(), "function", new RandomDigits());
  const found: string[] = [];
  const finder = new PointerFinder((id) => found.push(id));
  finder.add(cbor().encode({ $f: { $fnptr: id } }));
  assertEquals(found, [id]);
});

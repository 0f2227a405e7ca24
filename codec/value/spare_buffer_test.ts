import { assertEquals, assertStrictEquals } from "@std/assert";
import { SpareBuffer } from "./spare_buffer.ts";

const KIB = 1024;

Deno.test("SpareBuffer.take: returns a buffer once, and only if its size is within bounds", () => {
  const spare = new SpareBuffer();
  assertEquals(spare.take(1), undefined);
  const buffer = new Uint8Array(100 * KIB);
  spare.give(buffer);
  assertEquals(spare.take(101 * KIB), undefined);
  assertEquals(spare.take(20 * KIB, 99 * KIB), undefined);
  assertStrictEquals(spare.take(100 * KIB), buffer);
  assertEquals(spare.take(1), undefined);
});

Deno.test("SpareBuffer.give: the largest buffer is kept, but none that is very large or small", () => {
  const spare = new SpareBuffer();
  const larger = new Uint8Array(200 * KIB);
  spare.give(new Uint8Array(100 * KIB));
  spare.give(larger);
  spare.give(new Uint8Array(100 * KIB));
  spare.give(new Uint8Array(3 * KIB * KIB));
  assertStrictEquals(spare.take(1), larger);
  spare.give(new Uint8Array(3 * KIB * KIB));
  spare.give(new Uint8Array(10 * KIB));
  assertEquals(spare.take(1), undefined);
});

import { assertEquals, assertStrictEquals } from "@std/assert";
import { concat, view } from "./view.ts";

Deno.test("view(): is the same as subarray(), also of a view", () => {
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
  const inner = view(bytes, 2, 8);
  assertEquals(inner, bytes.subarray(2, 8));
  assertEquals(view(inner, 1, 3), inner.subarray(1, 3));
  assertEquals(view(inner, 6, 6).length, 0);
  assertStrictEquals(view(inner, 1, 3).buffer, bytes.buffer);
});

Deno.test("concat(): is a copy of all parts in their order, also of views", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const whole = concat(view(bytes, 2, 4), Uint8Array.of(), view(bytes, 0, 1));
  assertEquals(whole, Uint8Array.of(3, 4, 1));
  assertEquals(whole.buffer.byteLength, 3);
  assertEquals(concat(), new Uint8Array(0));
});

import { assertEquals, assertStrictEquals } from "@std/assert";
import { view } from "./view.ts";

Deno.test("view(): is the same as subarray(), also of a view", () => {
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
  const inner = view(bytes, 2, 8);
  assertEquals(inner, bytes.subarray(2, 8));
  assertEquals(view(inner, 1, 3), inner.subarray(1, 3));
  assertEquals(view(inner, 6, 6).length, 0);
  assertStrictEquals(view(inner, 1, 3).buffer, bytes.buffer);
});

import { assertEquals } from "@std/assert";
import { fromHex, toHex } from "./hex.ts";

Deno.test("toHex, fromHex: every byte has two digits, and comes back", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const digits = toHex(bytes);
  assertEquals(digits.slice(0, 8) + digits.slice(-4), "00010203feff");
  assertEquals(fromHex(digits), bytes);
  assertEquals(toHex(fromHex("")), "");
});

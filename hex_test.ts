import { assertEquals } from "@std/assert";
import { fromHex, toHex } from "./hex.ts";

Deno.test("toHex: writes two digits for each byte", () => {
  assertEquals(toHex(Uint8Array.of()), "");
  assertEquals(toHex(Uint8Array.of(0, 1, 0x9a, 0xff)), "00019aff");
});

Deno.test("fromHex: reads what toHex() wrote, for every byte", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(fromHex(toHex(bytes)), bytes);
  assertEquals(fromHex(""), new Uint8Array(0));
});

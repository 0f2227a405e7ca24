import { assertEquals } from "@std/assert";
import { fromHex, toHex } from "./hex.ts";

Deno.test("toHex: writes two digits for each byte, also where arrays have no method for it", () => {
  const bytes = Uint8Array.of(0, 1, 0x9a, 0xff);
  const without = Object.assign(bytes.slice(), { toHex: undefined });
  assertEquals([toHex(bytes), toHex(without)], ["00019aff", "00019aff"]);
  assertEquals(toHex(Uint8Array.of()), "");
});

Deno.test("fromHex: reads what toHex() wrote, for every byte", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(fromHex(toHex(bytes)), bytes);
  assertEquals(fromHex(""), new Uint8Array(0));
});

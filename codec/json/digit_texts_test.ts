import { assertEquals } from "@std/assert";
import { utf8 } from "../../tests/support/wire.ts";
import { DigitTexts } from "./digit_texts.ts";

function itemsOf(...texts: string[]): number[] {
  const digitTexts = new DigitTexts();
  digitTexts.begin();
  return texts.map((text) =>
    digitTexts.items(utf8(`"${text}"`), 1, text.length + 1)
  );
}

Deno.test("DigitTexts: texts of up to nine digits count more", () => {
  assertEquals(itemsOf("0", "123456789", "007"), [8, 8, 8]);
  assertEquals(itemsOf("1234567890", "12a", "a1", "-1", "1.5"), [
    0,
    0,
    0,
    0,
    0,
  ]);
});

Deno.test("DigitTexts: another text with the same 24 bits counts most", () => {
  const shifted = (bits: number) => String(100_000_000 + bits * 2 ** 24);
  assertEquals(itemsOf(shifted(0), shifted(1), shifted(2)), [8, 60, 60]);
  assertEquals(itemsOf(shifted(0), shifted(0), shifted(1), shifted(1)), [
    8,
    8,
    60,
    8,
  ]);
});

Deno.test("DigitTexts: consecutive numbers have hashes of their own", () => {
  const texts = Array.from(
    { length: 1_000 },
    (_, i) => String(123_456_000 + i),
  );
  assertEquals(new Set(itemsOf(...texts)), new Set([8]));
});

Deno.test("DigitTexts: each value begins anew", () => {
  const digitTexts = new DigitTexts();
  const bytes = utf8("100000000117440512");
  for (let i = 0; i < 2; i++) {
    digitTexts.begin();
    assertEquals(digitTexts.items(bytes, 0, 9), 8);
  }
});

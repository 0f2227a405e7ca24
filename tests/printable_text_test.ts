import { assertEquals } from "@std/assert";
import { printableText } from "../printable_text.ts";

Deno.test("printableText(): control characters and overrides of direction are escaped as in JSON", () => {
  const cases: [string, string][] = [
    ["plain text, é 😀 👩‍💻 שלום", "plain text, é 😀 👩‍💻 שלום"],
    ["a\nb\r\n\tc", "a\\nb\\r\\n\\tc"],
    ["\x1b[2J\x07\0", "\\u001b[2J\\u0007\\u0000"],
    ["\x7f\x80\x9b31m\x9d", "\\u007f\\u0080\\u009b31m\\u009d"],
    ["\u202egnp.exe\u2066\u200f\u061c", "\\u202egnp.exe\\u2066\\u200f\\u061c"],
    ["\u2028\u2029", "\\u2028\\u2029"],
  ];
  for (const [text, printable] of cases) {
    assertEquals(printableText(text), printable);
  }
});

Deno.test("printableText(): no character that it lets through is a control character", () => {
  for (let code = 0; code < 0x2100; code++) {
    const printable = printableText(String.fromCharCode(code));
    assertEquals(
      /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]+$/u.test(printable),
      true,
    );
  }
});

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "./exit_code.ts";
import {
  formatValue,
  highlight,
  parseLines,
  parseValue,
} from "./value_text.ts";

Deno.test("parseValue: a word that is not JSON is a string", () => {
  const values: [string, unknown][] = [
    ["1", 1],
    ["-0.5e3", -500],
    [" true ", true],
    ["null", null],
    ['"1"', "1"],
    ["[1, [2]]", [1, [2]]],
    ['{"a": {}}', { a: {} }],
    ["9007199254740993", 9007199254740993n],
    ["", ""],
    ["word", "word"],
    ["NaN", "NaN"],
    ["01", "01"],
    ["a{b", "a{b"],
  ];
  for (const [text, value] of values) assertEquals(parseValue(text), value);
  for (const text of ["{", "[1", '"', ' {"a"}', "[1] 2"]) {
    assertThrows(() => parseValue(text), UsageError, "begins like JSON");
  }
});

Deno.test("parseLines: characters may be divided, and invalid UTF-8 is refused", async () => {
  const bytes = new TextEncoder().encode('"é"\n"ü"');
  const divided = ReadableStream.from([bytes.slice(0, 2), bytes.slice(2)]);
  assertEquals(await Array.fromAsync(parseLines(divided)), ["é", "ü"]);
  for (const end of [[0xff, 0x0a], [0xc3]]) {
    const cut = ReadableStream.from([bytes, new Uint8Array(end)]);
    await assertRejects(
      () => Array.fromAsync(parseLines(cut)),
      UsageError,
      "it is not valid UTF-8",
    );
  }
});

Deno.test("formatValue: a value is formatted as it was parsed", () => {
  for (const text of ['{"a":[1,9007199254740993]}', '"é"', "null", "true"]) {
    assertEquals(formatValue(parseValue(text)), text);
  }
});

Deno.test("highlight: keys, strings, numbers and words have colours of their own", () => {
  const marked = (text: string) =>
    highlight(text, (style, part) => `<${style} ${part}>`);
  assertEquals(
    marked('{"a\\"b":["true: 1",-1.5e3,null]}'),
    '{<cyan "a\\"b">:[<green "true: 1">,<yellow -1.5e3>,<yellow null>]}',
  );
});

Deno.test("formatValue: what it returns is printable, and the same value", () => {
  const value = { "k\x9b": "a\x1b[2J\n\x7f\x85\u202e\u2028b" };
  const text = formatValue(value);
  assertEquals(
    text,
    '{"k\\u009b":"a\\u001b[2J\\n\\u007f\\u0085\\u202e\\u2028b"}',
  );
  assertEquals(parseValue(text), value);
});

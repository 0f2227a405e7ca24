import { assert, assertEquals } from "@std/assert";
import { Line } from "./segments.ts";
import { addAny, addBytes, addValue, sizeText } from "./value_line.ts";

/** What a value is shown as, in at most `limit` characters. */
function shown(value: unknown, limit = 1_000): string {
  const line = new Line(limit);
  addAny(line, value, (id) => `ƒ ${id}`);
  return line.segments.map(([, text]) => text).join("");
}

Deno.test("addAny: every kind of value that a codec carries has a form", () => {
  const values: [unknown, string][] = [
    [undefined, "null"],
    [-1.5, "-1.5"],
    [2n ** 60n, "1152921504606846976"],
    ["a\n\u001b[31m\u202e", '"a\\n\\u001b[31m\\u202e"'],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
    [new Date(NaN), "Invalid Date"],
    [new Set([1, "a"]), 'Set [1, "a"]'],
    [new Map<unknown, unknown>([["a", 1], [2, []]]), "Map {a => 1, 2 => []}"],
    [{ a: 1, "b c": [true, null] }, '{a: 1, "b c": [true, null]}'],
    [{ $fnptr: "x" }, "ƒ x"],
    [{ $fnptr: "x", more: 1 }, '{$fnptr: "x", more: 1}'],
    [new Uint8Array([0, 255]), "2 B <00 ff>"],
    [new TextEncoder().encode("héllo"), '6 B "héllo"'],
    [new Uint8Array(0), "0 B <>"],
  ];
  for (const [value, text] of values) assertEquals(shown(value), text);
});

Deno.test("addAny: a line has its limit, and does not cut a character", () => {
  assertEquals(shown("x".repeat(1_000), 10), '"xxxxxxxx…');
  for (let limit = 1; limit < 30; limit++) {
    const text = shown({ list: Array(100).fill("😀\u0000") }, limit);
    assert(text.length <= limit, `${limit}: ${text}`);
    assert(text.isWellFormed(), text);
    assert(text.endsWith("…"), text);
  }
  let deep: unknown = 1;
  for (let i = 0; i < 500; i++) deep = [deep];
  assert(shown(deep).includes("…"));
});

Deno.test("addValue: of a long value, the size and the beginning are shown", () => {
  const line = new Line(40);
  const bytes = new TextEncoder().encode('["xxxx');
  const value = { size: 300_000, bytes, decoded: false };
  addValue(line, value, (id) => id);
  assertEquals(
    line.segments.map(([, text]) => text).join(""),
    '293 KiB: ["xxxx',
  );
});

Deno.test("addBytes: what is cut within a character is still text", () => {
  const line = new Line(100);
  const bytes = new TextEncoder().encode("héllo").subarray(0, 2);
  addBytes(line, bytes, 6);
  assertEquals(line.segments.map(([, text]) => text).join(""), '6 B "h"…');
});

Deno.test("sizeText: it has a unit and few digits", () => {
  const sizes = [0, 1023, 1024, 65_600, 300_000, 2 ** 20, 2 ** 30, 2 ** 32];
  assertEquals(sizes.map(sizeText), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "64.1 KiB",
    "293 KiB",
    "1.0 MiB",
    "1.0 GiB",
    "4.0 GiB",
  ]);
});

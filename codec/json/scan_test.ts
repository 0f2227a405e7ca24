import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { DigitTexts, JsonScanner, unlimitedSize } from "./scan.ts";

const NO_LIMITS = { maxDepth: 1_000, maxItems: Infinity };

function scanned(text: string, limits = NO_LIMITS): JsonScanner {
  const scanner = new JsonScanner(limits);
  scanner.scan(utf8(text));
  return scanner;
}

function itemsOf(text: string): number {
  return scanned(text).items;
}

/** What is between an opening and a closing bracket counts as many items. */
function itemsIn(text: string): number {
  return itemsOf(`[${text}]`) - itemsOf("[]");
}

function repeat(text: string, times: number): string {
  return Array(times).fill(text).join(",");
}

Deno.test("JsonScanner: the parts of a value count as documented", () => {
  const parts: [string, number][] = [
    ["0", 1],
    ["-1.5e-300", 1],
    ["true,false,null", 3],
    ['""', 3],
    ['"1234567890 and more"', 3],
    ['"123456789"', 11],
    ['"1234567890"', 3],
    ["[]", 2],
    ["{}", 2],
    ["[[0]]", 5],
    ['{"a":0}', 2 + 18 + 1],
    ['{"a":0,"b":0}', 2 + 18 + 10 + 2],
    ['{"a":0},{"a":0}', 2 + 18 + 1 + 2 + 0 + 1],
    ['{"a":0},{"b":0}', 2 * (2 + 18 + 1)],
    ['{"a":0,"b":0},{"b":0,"a":0}', 2 * (2 + 18 + 10 + 2)],
    ['{"a":0},{"a":0,"b":0}', 2 + 18 + 1 + 2 + 0 + 18 + 2],
    ['{"1":0},{"1":0}', 2 + 18 + 4 + 1 + 2 + 0 + 4 + 1],
    [' { "a" : "b" } ', 2 + 18 + 3],
    ['{"a":"\\""}', 2 + 18 + 3],
    // All counts twice, with the array around it.
    ['{"a\\"":"\\""}', 2 * (2 + 18 + 20 + 3 + 3) + 2],
    ['{"a\\"" :0}', 2 * (2 + 18 + 20 + 3 + 1) + 2],
  ];
  for (const [text, items] of parts) assertEquals(itemsIn(text), items, text);
});

Deno.test("JsonScanner: keys count more where an object has at least 128", () => {
  const object = (count: number) =>
    `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(",")}}`;
  const known = (count: number) =>
    itemsIn(`${object(count)},${object(count)}`) - itemsIn(object(count));
  assertEquals(known(127), 2 + 127);
  assertEquals(known(128), 2 + 128 + 128 * 3);
  assertEquals(known(200), 2 + 200 + 200 * 3);
});

Deno.test("JsonScanner: a long integer counts more, and all else with it", () => {
  assertEquals(itemsOf("[0,9007199254740991]"), 2 + 2);
  assertEquals(itemsOf("[0,9007199254740992]"), Math.ceil(1.5 * (2 + 1 + 10)));
});

Deno.test("JsonScanner: digits that an engine confuses count more", () => {
  // They differ in the bits above the lowest 24 only.
  const digits = (i: number) => `"${100_000_000 + i * 2 ** 24}"`;
  assertEquals(itemsIn(digits(0)), 11);
  assertEquals(itemsIn(`${digits(0)},${digits(1)}`), 11 + 63);
  assertEquals(itemsIn(`${digits(0)},${digits(0)}`), 2 * 11);
  assertEquals(itemsIn('"1234567","18011783"'), 2 * 11, "their lengths differ");
});

Deno.test("JsonScanner: the items of a value do not depend on those before it", () => {
  const scanner = new JsonScanner(NO_LIMITS);
  const texts = [
    '[{"a":1},{"a":"123456789"}]',
    `[${Array.from({ length: 1_000 }, (_, i) => `{"${i}k":0}`).join(",")}]`,
    "[12345678901234567890]",
  ];
  for (const text of [...texts, ...texts.toReversed()]) {
    scanner.scan(utf8(text));
    assertEquals(scanner.items, itemsOf(text), text.slice(0, 40));
  }
});

Deno.test("JsonScanner: a value may have as many items as the limit, but not more", () => {
  const texts = [
    repeat("0", 998),
    repeat("[]", 499),
    repeat('""', 332) + ",0,0",
  ];
  for (const text of texts) {
    const limits = { maxDepth: 512, maxItems: 1_000 };
    assertEquals(scanned(`[${text}]`, limits).items, 1_000);
    const error = assertThrows(
      () => scanned(`[${text},0]`, limits),
      CodecError,
      'it has more than 1000 items, the limit of option "maxItems"',
    );
    assertEquals(error.code, "too-many-items");
  }
});

Deno.test("JsonScanner: a value that is refused is not scanned to its end", () => {
  let read = 0;
  const bytes = new Proxy(utf8(`[${repeat("0", 10_000)}]`), {
    get(target, key) {
      if (typeof key === "string" && /^\d/.test(key)) read++;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const scanner = new JsonScanner({ maxDepth: 512, maxItems: 10 });
  assertThrows(() => scanner.scan(bytes), CodecError);
  assertEquals(read < 100, true);
});

Deno.test("JsonScanner: nesting is limited, but not within strings", () => {
  const limits = { maxDepth: 3, maxItems: Infinity };
  scanned('[[["[[[["]],{"a":{"{{{{":0}}]', limits);
  for (const text of ["[[[[]]]]", '{"a":{"a":{"a":{}}}}', "[[[{}]]]"]) {
    const error = assertThrows(
      () => scanned(text, limits),
      CodecError,
      'it is nested deeper than 3 levels, the limit of option "maxDepth"',
    );
    assertEquals(error.code, "too-deep");
  }
});

Deno.test("JsonScanner: long integers are found where they are values", () => {
  const found = (text: string) => {
    const { longIntegers } = scanned(text);
    return Array.from(
      { length: longIntegers.length / 2 },
      (_, i) => text.slice(longIntegers[2 * i], longIntegers[2 * i + 1]),
    );
  };
  const long = "9007199254740993";
  assertEquals(found(`[${long},-${long} , {"a":${long}}]`), [
    long,
    `-${long}`,
    long,
  ]);
  assertEquals(found(long), [long]);
  const none = [
    "9007199254740991",
    "-9007199254740991",
    `"${long}"`,
    `{"${long}":1}`,
    `${long}.5`,
    `${long}e5`,
    `1.${long}`,
    `1e${long}`,
    `0${long}`,
    `--${long}`,
    `x${long}`,
    `${long}x`,
    // This is not valid, and quotes would make it so.
    `{${long}:1}`,
    `[${long},{${long} :1}]`,
  ];
  for (const text of none) assertEquals(found(text), [], text);
});

/** Text that is often almost JSON. */
function anyText(random: Random): string {
  const parts = ["[", "]", "{", "}", '"a"', ":", ",", "0", '"', "\\", " ", "-"];
  const more = ["true", "1e5", "12345678901234567890", "é", '"\\""', "{}", "x"];
  return Array.from(
    { length: random.int(0, 30) },
    () => random.pick([...parts, ...more]),
  ).join("");
}

Deno.test("JsonScanner: whatever the text, there is no other error", () =>
  forSeeds(300, (random) => {
    const scanner = new JsonScanner({ maxDepth: 5, maxItems: 100 });
    const text = anyText(random);
    let error: unknown;
    try {
      scanner.scan(utf8(text));
    } catch (thrown) {
      error = thrown;
    }
    assert(error === undefined || error instanceof CodecError, text);
  }));

Deno.test("unlimitedSize(): no shorter value exceeds a limit", () => {
  const limits = { maxDepth: 8, maxItems: 300 };
  const size = unlimitedSize(limits);
  assertEquals(size, 16);
  assertEquals(unlimitedSize({ maxDepth: 512, maxItems: 100_000 }), 1_024);
  return forSeeds(300, (random) => {
    const text = anyText(random).slice(0, size);
    try {
      JSON.parse(text);
    } catch {
      return;
    }
    scanned(text, limits);
  });
});

function digitItemsOf(...texts: string[]): number[] {
  const digitTexts = new DigitTexts();
  digitTexts.begin();
  return texts.map((text) =>
    digitTexts.items(utf8(`"${text}"`), 1, text.length + 1)
  );
}

Deno.test("DigitTexts: texts of up to nine digits count more", () => {
  assertEquals(digitItemsOf("0", "123456789", "007"), [8, 8, 8]);
  assertEquals(digitItemsOf("1234567890", "12a", "a1", "-1", "1.5"), [
    0,
    0,
    0,
    0,
    0,
  ]);
});

Deno.test("DigitTexts: another text with the same 24 bits counts most", () => {
  const shifted = (bits: number) => String(100_000_000 + bits * 2 ** 24);
  assertEquals(digitItemsOf(shifted(0), shifted(1), shifted(2)), [8, 60, 60]);
  assertEquals(digitItemsOf(shifted(0), shifted(0), shifted(1), shifted(1)), [
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
  assertEquals(new Set(digitItemsOf(...texts)), new Set([8]));
});

Deno.test("DigitTexts: each value begins anew", () => {
  const digitTexts = new DigitTexts();
  const bytes = utf8("100000000117440512");
  for (let i = 0; i < 2; i++) {
    digitTexts.begin();
    assertEquals(digitTexts.items(bytes, 0, 9), 8);
  }
});

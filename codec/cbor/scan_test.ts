import { assertEquals, assertThrows } from "@std/assert";
import { fromHex, toHex, utf8 } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { CborScanner } from "./scan.ts";

const NO_LIMITS = { maxDepth: 1_000, maxItems: Infinity };

function itemsOf(hex: string, limits = NO_LIMITS): number {
  const scanner = new CborScanner(limits);
  scanner.scan(fromHex(hex));
  return scanner.items;
}

/** What is in an array counts as many items. */
function itemsIn(count: number, hex: string): number {
  return itemsOf(`9a${count.toString(16).padStart(8, "0")}${hex}`) - 4;
}

Deno.test("CborScanner: the parts of a value count as documented", () => {
  const parts: [string, number][] = [
    ["00", 1],
    ["37", 1],
    ["1903e8", 1],
    ["1a000f4240", 1],
    ["f4", 1],
    ["f6", 1],
    ["1b000000e8d4a51000", 2],
    ["1b7fffffffffffffff", 5],
    ["3b7fffffffffffffff", 5],
    ["f93c00", 2],
    ["fa47c35000", 2],
    ["fb3ff199999999999a", 2],
    ["f7", 10],
    ["60", 4],
    [`6c${"61".repeat(12)}`, 4],
    [`6d${"61".repeat(13)}`, 8],
    ["40", 16],
    [`58ff${"00".repeat(255)}`, 16],
    ["80", 4],
    ["a0", 4],
    ["9fff", 6],
    ["bfff", 6],
    ["8100", 4 + 1],
    ["a1616100", 4 + 48 + 1],
    ["a26161006162f5", 4 + 48 + 16 + 2],
    ["a12000", 4 + 48 + 1],
    ["a1613000", 4 + 48 + 8 + 5 + 1],
    ["c100", 20 + 1],
    ["d9d9f7c100", 40 + 1],
    ["c24101", 20 + 16],
  ];
  for (const [hex, items] of parts) assertEquals(itemsIn(1, hex), items, hex);
});

Deno.test("CborScanner: keys that follow the same keys count less", () => {
  const map = "a2616100616200";
  assertEquals(itemsIn(2, map + map) - itemsIn(1, map), 4 + 2 * 3 + 2);
  const other = "a2616200616100";
  assertEquals(itemsIn(2, map + other), 2 * itemsIn(1, map));
});

Deno.test("CborScanner: keys count more where a map has at least 64", () => {
  const map = (count: number) => {
    const keys = Array.from({ length: count }, (_, i) => `k${i}x`);
    return `b8${count.toString(16)}${
      keys.map((key) =>
        `${(0x60 + key.length).toString(16)}${toHex(utf8(key))}00`
      )
        .join("")
    }`;
  };
  const known = (count: number) =>
    itemsIn(2, map(count).repeat(2)) - itemsIn(1, map(count));
  assertEquals(known(63), 4 + 63 * (3 + 1));
  assertEquals(known(64), 4 + 64 * (3 + 1) + 64 * 6);
  assertEquals(known(80), 4 + 80 * (3 + 1) + 80 * 6);
});

Deno.test("CborScanner: an index counts what its array takes, as a number and as text", () => {
  const known = (map: string) => itemsIn(2, map + map) - itemsIn(1, map);
  assertEquals(known("a100f5"), 4 + 3 + 8 + 5 + 1);
  assertEquals(known("a11903fff5"), 4 + 3 + 8 + 388 + 1);
  assertEquals(known(`a164${toHex(utf8("1023"))}f5`), 4 + 3 + 8 + 388 + 1);
  assertEquals(known("a11a0001869ff5"), 4 + 3 + 8 + 1);
});

Deno.test("CborScanner: a value may have as many items as the limit, but not more", () => {
  const limits = { maxDepth: 512, maxItems: 20 };
  for (const hex of ["8140", `90${"00".repeat(16)}`, "8460606060"]) {
    assertEquals(itemsOf(hex, limits), 20, hex);
  }
  const more = [
    "9100000000000000000000000000000000000000",
    "824000",
    "81c100",
    "9f4000ff",
    "a1616101",
  ];
  for (const hex of more) {
    const error = assertThrows(
      () => itemsOf(hex, limits),
      CodecError,
      'it has more than 20 items, the limit of option "maxItems"',
    );
    assertEquals(error.code, "too-many-items", hex);
  }
});

Deno.test("CborScanner: too many items are found before what is wrong after them", () => {
  const limits = { maxDepth: 512, maxItems: 100 };
  const hex = `9f${"40".repeat(100_000)}`;
  const error = assertThrows(() => itemsOf(hex, limits), CodecError);
  assertEquals(error.code, "too-many-items");
});

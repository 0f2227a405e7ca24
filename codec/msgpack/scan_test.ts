import { assertEquals, assertThrows } from "@std/assert";
import { fromHex, toHex, utf8 } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { integer, MsgpackScanner } from "./scan.ts";

const NO_LIMITS = { maxDepth: 1_000, maxItems: Infinity };

function scanned(hex: string, limits = NO_LIMITS): MsgpackScanner {
  const scanner = new MsgpackScanner(limits);
  scanner.scan(fromHex(hex));
  return scanner;
}

/** What is in an array counts as many items. */
function itemsIn(count: number, hex: string): number {
  const array = `dd${count.toString(16).padStart(8, "0")}${hex}`;
  return scanned(array).items - 6;
}

Deno.test("MsgpackScanner: the parts of a value count as documented", () => {
  const parts: [string, number][] = [
    ["00", 1],
    ["ff", 1],
    ["c0", 1],
    ["c3", 1],
    ["ca3fc00000", 1],
    ["cb3ff8000000000000", 1],
    ["cdffff", 1],
    ["d2ffffffff", 1],
    ["cf0000000000000001", 6],
    ["d3ffe0000000000001", 6],
    ["cf0020000000000000", 12],
    ["d3ffe0000000000000", 12],
    // A double that the codec reserves.
    ["cb1a70000000000000", 6],
    ["a0", 6],
    [`d920${"61".repeat(32)}`, 6],
    ["a2c3a9", 12],
    ["c400", 16],
    ["90", 6],
    ["dc0000", 6],
    ["80", 4],
    ["9100", 6 + 1],
    ["81a16100", 4 + 48 + 1],
    ["82a16100a162c0", 4 + 48 + 24 + 2],
    ["81ff00", 4 + 48 + 1],
    ["810000", 4 + 48 + 8 + 5 + 1],
  ];
  for (const [hex, items] of parts) assertEquals(itemsIn(1, hex), items, hex);
});

Deno.test("MsgpackScanner: keys that follow the same keys count less", () => {
  const map = "82a16100a16200";
  assertEquals(itemsIn(2, map + map) - itemsIn(1, map), 4 + 2 * 5 + 2);
  const other = "82a16200a16100";
  assertEquals(itemsIn(2, map + other), 2 * itemsIn(1, map));
});

Deno.test("MsgpackScanner: keys count more where a map has at least 24", () => {
  const map = (count: number) =>
    `de00${count.toString(16).padStart(2, "0")}${
      Array.from({ length: count }, (_, i) =>
        `a2${toHex(utf8(`k${String.fromCharCode(97 + i)}`))}00`)
        .join("")
    }`;
  const known = (count: number) =>
    itemsIn(2, map(count).repeat(2)) - itemsIn(1, map(count));
  assertEquals(known(23), 4 + 23 * (5 + 1));
  assertEquals(known(24), 4 + 24 * (5 + 1) + 24 * 14);
  assertEquals(known(26), 4 + 26 * (5 + 1) + 26 * 14);
});

Deno.test("MsgpackScanner: an index counts what its array takes, as a number and as text", () => {
  const known = (map: string) => itemsIn(2, map + map) - itemsIn(1, map);
  assertEquals(known("81cd03ffc0"), 4 + 5 + 8 + 388 + 1);
  assertEquals(known(`81a4${toHex(utf8("1023"))}c0`), 4 + 5 + 8 + 388 + 1);
  assertEquals(known("81ce0001869fc0"), 4 + 5 + 8 + 1);
});

Deno.test("MsgpackScanner: a value may have as many items as the limit, but not more", () => {
  const limits = { maxDepth: 512, maxItems: 22 };
  for (const hex of ["91c400", `dc0010${"00".repeat(16)}`]) {
    assertEquals(scanned(hex, limits).items, 22, hex);
  }
  for (const hex of ["92c40000", `dc0011${"00".repeat(17)}`, "81a16100"]) {
    const error = assertThrows(
      () => scanned(hex, limits),
      CodecError,
      'it has more than 22 items, the limit of option "maxItems"',
    );
    assertEquals(error.code, "too-many-items", hex);
  }
});

Deno.test("MsgpackScanner: too many items are found before what is wrong after them", () => {
  const limits = { maxDepth: 512, maxItems: 100 };
  const error = assertThrows(
    () => scanned(`dd000186a0${"c400".repeat(50_000)}`, limits),
    CodecError,
  );
  assertEquals(error.code, "too-many-items");
});

Deno.test("MsgpackScanner: special values are found with their parts", () => {
  const { specials } = scanned(
    "96a161c40100a2c3a9cf0000000000000001cb1a70000000000000cb3ff8000000000000",
  );
  assertEquals(specials, [3, 5, 6, 6, 7, 9, 9, 10, 18, 18, 19, 27]);
});

Deno.test("integer(): an integer of any form is a number, unsafe beyond 2^53", () => {
  const forms: [string, number][] = [
    ["00", 0],
    ["7f", 127],
    ["ff", -1],
    ["e0", -32],
    ["ccff", 255],
    ["d0ff", -1],
    ["d080", -128],
    ["cdffff", 65_535],
    ["d18000", -32_768],
    ["ceffffffff", 2 ** 32 - 1],
    ["d280000000", -(2 ** 31)],
    ["cf001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["d3ffe0000000000001", Number.MIN_SAFE_INTEGER],
    ["d3ffffffffffffffff", -1],
    ["d37fffffffffffffff", 2 ** 63],
    ["d38000000000000000", -(2 ** 63)],
    ["d3ffe0000000000000", -(2 ** 53)],
  ];
  for (const [hex, value] of forms) {
    const bytes = fromHex(hex);
    assertEquals(integer(bytes, 0, bytes.length - 1), value, hex);
  }
});

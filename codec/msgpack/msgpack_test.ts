import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decode as npmDecode,
  encode as npmEncode,
} from "npm:@msgpack/msgpack@^3";
import { fromHex, toHex } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { msgpack, type MsgpackOptions, type MsgpackValue } from "./msgpack.ts";

/** Libraries that differ in all that they may differ in. */
const LIBRARIES: Record<string, MsgpackOptions> = {
  "the default": {},
  "npm:@msgpack/msgpack": {
    encode: (value) => npmEncode(value),
    decode: (bytes) => npmDecode(bytes),
  },
  "one with bigint and sorted keys": {
    encode: (value) => npmEncode(value, { sortKeys: true, useBigInt64: true }),
    decode: (bytes) => npmDecode(bytes, { useBigInt64: true }),
  },
};

function overEach(check: (options: MsgpackOptions) => void): void {
  for (const [name, options] of Object.entries(LIBRARIES)) {
    try {
      check(options);
    } catch (cause) {
      throw new Error(`over ${name}: ${(cause as Error).message}`, { cause });
    }
  }
}

function codeOf(fn: () => unknown): string {
  return assertThrows(fn, CodecError).code;
}

Deno.test("msgpack(): each type is encoded as documented, with every library", () => {
  const forms: [unknown, string][] = [
    [null, "c0"],
    [undefined, "c0"],
    [[undefined, true, false], "93c0c3c2"],
    [{ a: undefined, b: 1 }, "81a16201"],
    [127, "7f"],
    [128, "cc80"],
    [65_536, "ce00010000"],
    [2 ** 32 - 1, "ceffffffff"],
    [2 ** 32, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-(2 ** 31), "d280000000"],
    [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
    [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
    [5n, "05"],
    [2n ** 53n, "cf0020000000000000"],
    [2n ** 64n - 1n, "cfffffffffffffffff"],
    [-(2n ** 63n), "d38000000000000000"],
    [2 ** 53, "cb4340000000000000"],
    [1.5, "cb3ff8000000000000"],
    [-0, "00"],
    [NaN, "cb7ff8000000000000"],
    [Infinity, "cb7ff0000000000000"],
    [-Infinity, "cbfff0000000000000"],
    ["", "a0"],
    ["ä", "a2c3a4"],
    ["a\ud800", "a461efbfbd"],
    [{ "\ud800": 1 }, "81a3efbfbd01"],
    ["x".repeat(32), `d920${"78".repeat(32)}`],
    [new Uint8Array([1, 2]), "c4020102"],
    [new Uint8Array(256), `c50100${"00".repeat(256)}`],
    [
      new Date(0),
      `b8${toHex(new TextEncoder().encode("1970-01-01T00:00:00.000Z"))}`,
    ],
    [2 ** -600, "cb1a70000000000000"],
    [[2 ** -600, 2n ** 60n], "92cb1a70000000000000cf1000000000000000"],
  ];
  overEach((options) => {
    const codec = msgpack(options);
    for (const [value, hex] of forms) {
      assertEquals(toHex(codec.encode(value)), hex, String(value));
    }
  });
});

Deno.test("msgpack(): large integers keep their places in any order of keys", () => {
  overEach((options) => {
    const codec = msgpack(options);
    const value = { b: 2n ** 60n, a: [2n ** 61n, 2 ** -600], c: -(2n ** 62n) };
    assertEquals(codec.decode(codec.encode(value)), value);
  });
});

Deno.test("msgpack(): an instance of a class is encoded as a map, with every library", () => {
  class Point {
    x = 1;
    y = 2n ** 60n;
  }
  overEach((options) => {
    assertEquals(
      toHex(msgpack(options).encode([new Point()])),
      "9182a17801a179cf1000000000000000",
    );
  });
});

Deno.test("msgpack(): an integer beyond 64 bits is refused", () => {
  overEach((options) => {
    const codec = msgpack(options);
    for (const integer of [2n ** 64n, -(2n ** 63n) - 1n]) {
      const error = assertThrows(
        () => codec.encode([integer]),
        CodecError,
        "a bigint beyond 64 bits",
      );
      assertEquals(error.code, "unsupported-type");
    }
  });
});

Deno.test("msgpack(): an integral number is encoded as an integer, whatever it was decoded from", () => {
  const forms = [
    ["ca42c80000", "64"],
    ["cb4059000000000000", "64"],
    ["cbc059000000000000", "d09c"],
    ["cb433fffffffffffff", "cf001fffffffffffff"],
    ["cb8000000000000000", "00"],
    // An integer of its own size is a bigint: this was none.
    ["cb4415af1d78b58c40", "cb4415af1d78b58c40"],
  ] as const;
  overEach((options) => {
    const codec = msgpack(options);
    for (const [read, written] of forms) {
      assertEquals(toHex(codec.encode(codec.decode(fromHex(read)))), written);
    }
  });
});

Deno.test("msgpack(): each form is decoded as documented, with every library", () => {
  const forms: [string, unknown][] = [
    ["c0", null],
    ["cc05", 5],
    ["cf0000000000000005", 5],
    ["cf001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["cf0020000000000000", 2n ** 53n],
    ["d3ffffffffffffffff", -1],
    ["d38000000000000000", -(2n ** 63n)],
    ["ca3fc00000", 1.5],
    ["cb7ff8000000000000", NaN],
    ["cb8000000000000000", -0],
    ["cb4340000000000000", 2 ** 53],
    ["cb1a70000000000000", 2 ** -600],
    ["92cf1000000000000000cb1a70000000000000", [2n ** 60n, 2 ** -600]],
    ["a461626364", "abcd"],
    ["d9056162636465", "abcde"],
    ["a5efbbbf6162", "\ufeffab"],
    ["d905efbbbf6162", "\ufeffab"],
    ["a3ff61fe", "\ufffda\ufffd"],
    ["a3eda080", "\ufffd\ufffd\ufffd"],
    ["c400", new Uint8Array(0)],
    ["92c403010203a161", [new Uint8Array([1, 2, 3]), "a"]],
    ["81a162c50002ffff", { b: new Uint8Array([255, 255]) }],
    ["8201a161ccc8a162", { 1: "a", 200: "b" }],
    ["81cf0000000000000007c403000000", { 7: new Uint8Array(3) }],
    ["81ff01", { "-1": 1 }],
    ["82a16101a16102", { a: 2 }],
    ["81a2c3a4cf1000000000000000", { ä: 2n ** 60n }],
    ["dc000101", [1]],
    ["de0001a16101", { a: 1 }],
    ["dd0000000101", [1]],
    ["df00000001a16101", { a: 1 }],
  ];
  overEach((options) => {
    const codec = msgpack(options);
    for (const [hex, value] of forms) {
      assertEquals(codec.decode(fromHex(hex)), value, hex);
    }
  });
});

Deno.test("msgpack(): a byte array does not share its buffer", () => {
  overEach((options) => {
    const codec = msgpack(options);
    const message = codec.encode(["x".repeat(1_000), new Uint8Array([7, 8])]);
    const [, bytes] = codec.decode(message) as [string, Uint8Array];
    assert(Object.getPrototypeOf(bytes) === Uint8Array.prototype);
    assertEquals(bytes.buffer.byteLength, 2);
    message.fill(0);
    assertEquals(bytes, new Uint8Array([7, 8]));
  });
});

Deno.test("msgpack(): malformed bytes are refused, with every library", () => {
  const cases: [string, string, string][] = [
    ["", "truncated", "it ends after 0 bytes"],
    ["cd01", "truncated", "it ends after 2 bytes"],
    ["a361", "truncated", "it ends"],
    ["c4", "truncated", "it ends"],
    ["c6ffffffff00", "truncated", "it ends"],
    ["dbffffffff61", "truncated", "it ends"],
    ["ddffffffff0000", "truncated", "it ends"],
    ["dfffffffff0000", "truncated", "it ends"],
    ["830101", "truncated", "it ends"],
    ["0101", "malformed", "1 bytes follow it"],
    ["c1", "malformed", "0xc1 does not begin a value"],
    ["d4ff00", "malformed", "extension types are not supported"],
    ["d6ff00000000", "malformed", "extension types are not supported"],
    ["c70301010203", "malformed", "extension types are not supported"],
    ["91c903010203", "malformed", "extension types are not supported"],
    ["81c001", "malformed", "key of a map is neither"],
    ["819001", "malformed", "key of a map is neither"],
    ["818001", "malformed", "key of a map is neither"],
    ["81c40001", "malformed", "key of a map is neither"],
    ["81ca0000000001", "malformed", "key of a map is neither"],
    ["81cb000000000000000001", "malformed", "key of a map is neither"],
    ["81cfffffffffffffffff01", "malformed", "key of a map is beyond 2^53"],
    ["81a1ff01", "malformed", "key of a map is not valid UTF-8"],
    ["81a95f5f70726f746f5f5f80", "malformed", '"__proto__" cannot be'],
    ["81a3efbbbf01", "malformed", "cannot be the key"],
  ];
  overEach((options) => {
    const codec = msgpack(options);
    for (const [hex, code, text] of cases) {
      const bytes = fromHex(hex);
      const error = assertThrows(() => codec.decode(bytes), CodecError, text);
      assertEquals(error.code, code, `${hex}: ${error.message}`);
    }
  });
});

Deno.test("msgpack(): a key that could not be decoded is refused", () => {
  overEach((options) => {
    const codec = msgpack(options);
    const proto = Object.defineProperty({}, "__proto__", {
      value: 1,
      enumerable: true,
    });
    for (const value of [proto, { "\ufeffa": 1 }]) {
      assertEquals(codeOf(() => codec.encode(value)), "unsupported-type");
    }
  });
});

Deno.test("msgpack(): malformed bytes never reach the library", () => {
  const codec = msgpack({
    decode() {
      throw new Error("was asked");
    },
  });
  for (const hex of ["c1", "0101", "ddffffffff", "d4ff00", "81a1ff01"]) {
    const error = assertThrows(() => codec.decode(fromHex(hex)), CodecError);
    assert(!error.message.includes("was asked"), error.message);
  }
  const deep = fromHex("91".repeat(100_000));
  assertEquals(codeOf(() => codec.decode(deep)), "too-deep");
});

Deno.test("msgpack(): only plain data reaches the library", () => {
  const asked: MsgpackValue[] = [];
  const codec = msgpack({
    encode: (value) => {
      asked.push(value);
      return stdEncode(value);
    },
  });
  class Point {
    x = -0;
    none = undefined;
    at = new Date(0);
  }
  codec.encode([new Point(), undefined, 2n ** 60n, 2 ** 40, "\ud800"]);
  const [[point, none, ...numbers]] = asked as [[{ x: number }, ...unknown[]]];
  assertEquals(Object.getPrototypeOf(point), Object.prototype);
  assertEquals(point, { x: 0, at: "1970-01-01T00:00:00.000Z" } as never);
  assert(Object.is(point.x, 0), "and not -0");
  assertEquals(none, null);
  assertEquals(numbers.map((value) => typeof value), [
    "number",
    "number",
    "string",
  ]);
  assertEquals(numbers.at(-1), "\ufffd");
});

Deno.test("msgpack(): an error of the library is the cause of the CodecError", () => {
  const cause = new Error("library's");
  const fails = () => {
    throw cause;
  };
  const codec = msgpack({ encode: fails, decode: fails });
  const encoding = assertThrows(() => codec.encode(1), CodecError, "library's");
  assertEquals(encoding.code, "unsupported-type");
  assertEquals(encoding.cause, cause);
  const decoding = assertThrows(
    () => codec.decode(fromHex("01")),
    CodecError,
    "library's",
  );
  assertEquals(decoding.code, "malformed");
  assertEquals(decoding.cause, cause);
});

Deno.test("msgpack(): the functions of @std/msgpack and npm's library fit unchanged", () => {
  for (
    const pair of [
      { encode: stdEncode, decode: stdDecode },
      { encode: npmEncode, decode: npmDecode },
    ]
  ) {
    const codec = msgpack(pair);
    assertEquals(codec.decode(codec.encode({ n: 2n ** 60n })), {
      n: 2n ** 60n,
    });
  }
});

Deno.test("msgpack(): of a key twice, the last value holds", () => {
  const map = [0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2];
  assertEquals(msgpack().decode(new Uint8Array(map)), { a: 2 });
});

Deno.test("msgpack(): marks, invalid UTF-8, surrogates and -0 arrive as documented", () => {
  const codec = msgpack();
  const text = (...bytes: number[]) =>
    codec.decode(Uint8Array.of(0xa0 + bytes.length, ...bytes));
  assertEquals(text(0xef, 0xbb, 0xbf, 0x61), "\ufeffa");
  assertEquals(text(0x61, 0xff), "a\ufffd");
  assertEquals(text(0xed, 0xa0, 0x80), "\ufffd\ufffd\ufffd");
  assertEquals(codec.decode(codec.encode("\ud800")), "\ufffd");
  const negative = Uint8Array.of(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0);
  assert(Object.is(codec.decode(negative), -0));
  assertEquals(codec.encode(-0), Uint8Array.of(0));
  assertEquals(codec.decode(codec.encode(Infinity)), Infinity);
});

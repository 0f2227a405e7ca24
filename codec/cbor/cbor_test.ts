import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CBOR_X,
  RFC_8949_BOTH_WAYS,
  RFC_8949_READ,
  RFC_8949_REFUSED,
} from "../../tests/golden/cbor_vectors.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { fromHex, toHex, utf8 } from "../../tests/support/wire.ts";
import { cbor } from "./cbor.ts";
import { CodecError } from "../errors.ts";

const codec = cbor();

function encoded(value: unknown): string {
  return toHex(codec.encode(value));
}

function decoded(hex: string): unknown {
  return codec.decode(fromHex(hex));
}

function errorOf(fn: () => unknown): CodecError {
  return assertThrows(fn, CodecError);
}

Deno.test("cbor(): the deterministic vectors of RFC 8949 are encoded as given", () => {
  for (const [hex, value] of RFC_8949_BOTH_WAYS) {
    assertEquals(encoded(value), hex, String(value));
  }
});

Deno.test("cbor(): the vectors of RFC 8949 are decoded", () => {
  for (const [hex, value] of [...RFC_8949_BOTH_WAYS, ...RFC_8949_READ]) {
    assertEquals(decoded(hex), value, hex);
  }
});

Deno.test("cbor(): the vectors of RFC 8949 that are not supported are refused", () => {
  for (const hex of RFC_8949_REFUSED) {
    assertEquals(errorOf(() => decoded(hex)).code, "malformed", hex);
  }
});

Deno.test("cbor(): the output of cbor-x is decoded", () => {
  for (const [hex, value] of CBOR_X) assertEquals(decoded(hex), value, hex);
});

Deno.test("cbor(): every truncated vector and every trailing byte is refused", () => {
  const vectors = [...RFC_8949_BOTH_WAYS, ...RFC_8949_READ, ...CBOR_X];
  for (const [hex] of vectors) {
    const bytes = fromHex(hex);
    for (let end = 0; end < bytes.length; end++) {
      const error = errorOf(() => codec.decode(bytes.subarray(0, end)));
      assertEquals(error.code, "truncated", `${hex}, ${end} bytes: ${error}`);
    }
    const error = errorOf(() => decoded(`${hex}00`));
    assertEquals(error.code, "malformed", hex);
    assertEquals(
      error.message,
      "Cannot decode value as CBOR: 1 bytes follow it",
    );
  }
});

Deno.test("cbor(): each type is encoded as documented", () => {
  const forms: [unknown, string][] = [
    [undefined, "f6"],
    [[undefined, 1], "82f601"],
    [{ a: undefined, b: 1 }, "a1616201"],
    [-0, "00"],
    [2 ** 32, "1b0000000100000000"],
    [Number.MIN_SAFE_INTEGER, "3b001ffffffffffffe"],
    [2 ** 53, "fa5a000000"],
    [5n, "c24105"],
    [-5n, "c34104"],
    [0n, "c24100"],
    [2n ** 53n, "1b0020000000000000"],
    [new Uint8Array([1, 2]), "420102"],
    [new Date(0), `c07818${toHex(utf8("1970-01-01T00:00:00.000Z"))}`],
    [new Date(8.64e15), "c11b000007dba8218000"],
    [new Date(-62_198_755_200_500), "c1fbc22cf6ab5f010000"],
    [new Map<unknown, unknown>([["b", 1], [1, 2]]), "d90103a26162010102"],
    [new Set([1, "a"]), "d9010282016161"],
    ["a\ud800", "6461efbfbd"],
    [{ "\ud800": 1 }, "a163efbfbd01"],
    [{ bb: 1, c: 2, a: 3 }, "a361610361630262626201"],
    ["\ufeff", "63efbbbf"],
  ];
  for (const [value, hex] of forms) {
    assertEquals(encoded(value), hex, String(value));
  }
});

Deno.test("cbor(): without tags, nothing is encoded that needs one", () => {
  const plain = cbor({ tags: false });
  const forms: [unknown, string][] = [
    [5n, "05"],
    [-5n, "24"],
    [2n ** 53n, "1b0020000000000000"],
    [2n ** 64n - 1n, "1bffffffffffffffff"],
    [-(2n ** 64n), "3bffffffffffffffff"],
    [new Date(0), `7818${toHex(utf8("1970-01-01T00:00:00.000Z"))}`],
  ];
  for (const [value, hex] of forms) {
    assertEquals(toHex(plain.encode(value)), hex, String(value));
  }
  for (const value of [2n ** 64n, new Map(), new Set()]) {
    const error = errorOf(() => plain.encode([value]));
    assertEquals(error.code, "unsupported-type", error.message);
  }
});

Deno.test("cbor(): a Map with a key twice, or a tag around something else, is refused", () => {
  for (
    const hex of [
      "d90103a201000100",
      "d9010380",
      "d90103d9d9f7a0",
      "d90102a0",
      "d9010200",
      "d90103bf00ff",
    ]
  ) {
    assertEquals(errorOf(() => decoded(hex)).code, "malformed", hex);
  }
  assertEquals(decoded("d90103bf0001ff"), new Map([[0, 1]]));
  assertEquals(decoded("d901029f0001ff"), new Set([0, 1]));
  assertEquals(decoded("d9d9f7d90103a0"), new Map());
});

Deno.test("cbor(): an integral number is encoded as an integer, whatever it was decoded from", () => {
  const forms = [
    ["f95640", "1864"],
    ["fa42c80000", "1864"],
    ["fbc059000000000000", "3863"],
    ["fb433fffffffffffff", "1b001fffffffffffff"],
    ["f98000", "00"],
    // An integer of its own size is a bigint: this was none.
    ["fb4415af1d78b58c40", "fb4415af1d78b58c40"],
  ] as const;
  for (const [read, written] of forms) {
    assertEquals(encoded(decoded(read)), written, read);
  }
});

Deno.test("cbor(): a Buffer is encoded as plain bytes", async () => {
  const { Buffer } = await import("node:buffer");
  assertEquals(encoded({ b: Buffer.from([1, 2]) }), "a16162420102");
});

Deno.test("cbor(): two keys that become equal are encoded as one pair", () => {
  assertEquals(
    encoded(Object.fromEntries([["\ud800", 1], ["\ud801", 2]])),
    "a163efbfbd02",
  );
});

Deno.test("cbor(): byte arrays do not share their buffer", () => {
  for (const value of [1, "x".repeat(200), new Uint8Array(300)]) {
    const message = codec.encode([value, new Uint8Array([7, 8])]);
    assert(Object.getPrototypeOf(message) === Uint8Array.prototype);
    assertEquals(message.buffer.byteLength, message.length);
    const [, bytes] = codec.decode(message) as [unknown, Uint8Array];
    assert(Object.getPrototypeOf(bytes) === Uint8Array.prototype);
    assertEquals(bytes.buffer.byteLength, 2);
  }
  const first = decoded("40") as Uint8Array;
  assert(first !== decoded("40"), "empty ones are not shared either");
});

Deno.test("cbor(): bytes decoded from a Buffer are a copy", async () => {
  const { Buffer } = await import("node:buffer");
  const message = Buffer.from("820143010203", "hex");
  const [, bytes] = codec.decode(message) as [number, Uint8Array];
  message.fill(0);
  assertEquals(bytes, new Uint8Array([1, 2, 3]));
});

Deno.test("cbor(): integers of up to 1,700 bytes survive a round trip", () =>
  forSeeds(100, (random) => {
    const hex = toHex(random.bytes(random.int(1, 1_700)));
    const integer = BigInt(`0x${hex}`) + 2n ** 64n;
    if (integer >= 2n ** (1_700n * 8n)) return;
    for (const value of [integer, -integer]) {
      assertEquals(codec.decode(codec.encode([value])), [value]);
    }
  }));

Deno.test("cbor(): an integer of more than 1,700 bytes is refused", () => {
  const largest = 2n ** (1_700n * 8n) - 1n;
  assertEquals(codec.decode(codec.encode(largest)), largest);
  assertEquals(codec.decode(codec.encode(-1n - largest)), -1n - largest);
  for (const value of [largest + 1n, -2n - largest]) {
    const error = errorOf(() => codec.encode({ a: value }));
    assertEquals(error.code, "unsupported-type");
    assert(error.message.includes("a bigint of 1701 bytes"), error.message);
  }
  const error = errorOf(() => decoded(`c25906a5${"01".repeat(1_701)}`));
  assertEquals(error.code, "malformed");
});

Deno.test("cbor(): a safe integer is decoded as a number in every form", () => {
  const forms: [string, unknown][] = [
    ["1800", 0],
    ["1b0000000000000000", 0],
    ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["1b0020000000000000", 2n ** 53n],
    ["3b001ffffffffffffe", Number.MIN_SAFE_INTEGER],
    ["3b001fffffffffffff", -(2n ** 53n)],
    ["c240", 0n],
    ["c2420001", 1n],
    ["c340", -1n],
  ];
  for (const [hex, value] of forms) assertEquals(decoded(hex), value, hex);
});

Deno.test("cbor(): typed arrays of both byte orders are decoded", () => {
  const forms: [string, unknown][] = [
    ["d841420102", new Uint16Array([0x0102])],
    ["d845420201", new Uint16Array([0x0102])],
    ["d8424400000001", new Uint32Array([1])],
    ["d843480000000000000001", new BigUint64Array([1n])],
    ["d84942ffff", new Int16Array([-1])],
    ["d84d42feff", new Int16Array([-2])],
    ["d84b48fffffffffffffffe", new BigInt64Array([-2n])],
    ["d851443fc00000", new Float32Array([1.5])],
    ["d852483ff8000000000000", new Float64Array([1.5])],
    ["d85640", new Float64Array(0)],
  ];
  for (const [hex, value] of forms) assertEquals(decoded(hex), value, hex);
  for (const hex of ["d84143010203", "d8564101", "d84500", "d85042003c"]) {
    assertEquals(errorOf(() => decoded(hex)).code, "malformed", hex);
  }
});

Deno.test("cbor(): maps are decoded as objects with the same keys", () => {
  const forms: [string, unknown][] = [
    ["a2200101f5", { "-1": 1, "1": true }],
    ["a11bffffffffffffffff00", { "18446744073709551615": 0 }],
    ["d9d9f7a1616101", { a: 1 }],
    ["81d9d9f7c100", [new Date(0)]],
  ];
  for (const [hex, value] of forms) assertEquals(decoded(hex), value, hex);
  const proto = decoded("a1695f5f70726f746f5f5fa1616101") as object;
  assertEquals(Object.keys(proto), ["__proto__"]);
  assert(Object.getPrototypeOf(proto) === Object.prototype);
  assertEquals(({} as { a?: number }).a, undefined);
  assertEquals(encoded(proto), "a1695f5f70726f746f5f5fa1616101");
});

Deno.test("cbor(): undefined is decoded as null and left out of objects", () => {
  const forms: [string, unknown][] = [
    ["83f7f601", [null, null, 1]],
    ["a26161f76162a16163f7", { b: {} }],
    ["d9010281f7", new Set([null])],
    ["d90103a16161f7", new Map([["a", null]])],
    ["83f741f7d8454401000200", [
      null,
      new Uint8Array([0xf7]),
      new Uint16Array([1, 2]),
    ]],
    ["82f7c100", [null, new Date(0)]],
    ["a2695f5f70726f746f5f5fa16161f76162f7", JSON.parse('{"__proto__":{}}')],
  ];
  for (const [hex, value] of forms) assertEquals(decoded(hex), value, hex);
});

Deno.test("cbor(): malformed bytes are refused", () => {
  const cases: [string, string, string][] = [
    ["", "truncated", "it ends after 0 bytes"],
    ["7bffffffffffffffff61", "truncated", "it ends"],
    ["5affffffff00", "truncated", "it ends"],
    ["9affffffff0000", "truncated", "it ends"],
    ["9bffffffffffffffff00", "malformed", "lengths not supported"],
    ["bbffffffffffffffff00", "malformed", "lengths not supported"],
    ["9b001fffffffffffff00", "truncated", "it ends"],
    ["bb001fffffffffffff00", "truncated", "it ends"],
    ["9f01", "truncated", "it ends"],
    ["c1", "truncated", "it ends"],
    ["1c", "malformed", "invalid minor"],
    [`5c${"00".repeat(28)}`, "malformed", "0x5c does not begin a value"],
    ["dc00", "malformed", "invalid minor"],
    ["fc", "malformed", "invalid minor"],
    ["f800", "malformed", "simple values"],
    ["ff", "malformed", "a break is in the place of a value"],
    ["81ff", "malformed", "a break"],
    ["a1ffff", "malformed", "a break"],
    ["a16161ff", "malformed", "a break"],
    ["bf6161ffff", "malformed", "a break"],
    ["9fc1ffff", "malformed", "a break"],
    ["9f81ffff", "malformed", "a break"],
    ["a1f501", "malformed", "key of a map is neither"],
    ["a1f700", "malformed", "key of a map is neither"],
    ["a1400140", "malformed", "key of a map is neither"],
    ["a18001", "malformed", "key of a map is neither"],
    ["a1f93c0001", "malformed", "key of a map is neither"],
    ["a1c10001", "malformed", "key of a map has a tag"],
    ["a1d9d9f7616101", "malformed", "key of a map has a tag"],
    ["bf01029f02ff02", "malformed", "key of a map is neither"],
    ["bf02020202ff", "malformed", "repeat map key"],
    ["a2616101616102", "malformed", "repeat map key"],
    ["a201016131f5", "malformed", "repeat map key"],
    ["61ff", "malformed", "a text is not valid UTF-8"],
    ["63eda080", "malformed", "a text is not valid UTF-8"],
    [`7820${"61".repeat(31)}c3`, "malformed", "a text is not valid UTF-8"],
    ["a161ff01", "malformed", "a text is not valid UTF-8"],
    ["c000", "malformed", "tag 0 does not contain a date"],
    ["c06131", "malformed", "tag 0 does not contain a date"],
    [`c074${toHex(utf8("2013-13-41T20:04:00Z"))}`, "malformed", "out of range"],
    ["c16131", "malformed", "tag 1 does not contain a number"],
    ["c11bffffffffffffffff", "malformed", "tag 1 does not contain a number"],
    ["c1f97e00", "malformed", "out of range"],
    ["c201", "malformed", "tag 2 does not contain bytes"],
    ["d84001", "malformed", "tag 64 does not contain bytes"],
    ["d90102a0", "malformed", "tag 258 does not contain an array"],
    ["d9010380", "malformed", "tag 259 does not contain a map"],
    ["d90103c100", "malformed", "tag 259 does not contain a map"],
    ["c500", "malformed", "tag not supported (5)"],
    ["d81b82654572726f72626e6f", "malformed", "tag not supported (27)"],
    ["dbffffffffffffffff00", "malformed", "tag not supported"],
  ];
  for (const [hex, code, text] of cases) {
    const error = assertThrows(() => decoded(hex), CodecError, text);
    assertEquals(error.code, code, `${hex}: ${error.message}`);
    assert(error.message.startsWith("Cannot decode value as CBOR: "));
  }
});

Deno.test("cbor(): an encoded U+FFFD is decoded", () => {
  assertEquals(decoded("63efbfbd"), "\ufffd");
  assertEquals(decoded(`7821${"efbfbd".repeat(11)}`), "\ufffd".repeat(11));
});

Deno.test("cbor(): nesting is limited before the library recurses", () => {
  for (const open of ["81", "9f", "a16161", "bf6161"]) {
    const error = errorOf(() => decoded(open.repeat(100_000)));
    assertEquals(error.code, "too-deep", open);
  }
  for (const tag of ["c1", "d9d9f7"]) {
    const error = errorOf(() => decoded(`${tag.repeat(100_000)}00`));
    assertEquals(error.code, "too-deep", tag);
  }
  const shallow = cbor({ maxDepth: 2 });
  assertEquals(shallow.decode(fromHex("828001")), [[], 1]);
  assertEquals(shallow.decode(fromHex("9f9fff9f01ffff")), [[], [1]]);
  assertEquals(shallow.decode(fromHex("838101a16101c100c100")), [
    [1],
    { "\u0001": new Date(0) },
    new Date(0),
  ]);
  for (const hex of ["818180", "82808180", "9f9f9fffffff", "a1613181a0"]) {
    const error = errorOf(() => shallow.decode(fromHex(hex)));
    assertEquals(error.code, "too-deep", hex);
  }
  let deep: unknown = 2n ** 70n;
  for (let i = 0; i < 512; i++) deep = i % 2 === 0 ? [deep] : { a: deep };
  assertEquals(codec.decode(codec.encode(deep)), deep);
  assertEquals(errorOf(() => codec.encode([deep])).code, "too-deep");
});

Deno.test("cbor(): encodeInto() writes the same bytes as encode()", () => {
  for (const length of [0, 23, 500, 1_020, 1_021, 1_022, 1_024, 5_000]) {
    const parts: Uint8Array[] = [];
    let room = new Uint8Array(0);
    codec.encodeInto!(["x".repeat(length)], {
      reserve: (bytes) => room = new Uint8Array(bytes),
      commit: (bytes) => void parts.push(room.subarray(0, bytes)),
    });
    assertEquals(parts.length, 1);
    assertEquals(parts[0], codec.encode(["x".repeat(length)]));
  }
});

Deno.test("cbor(): -0, infinities and marks arrive as documented", () => {
  assert(Object.is(decoded("f98000"), -0), "as it was sent");
  assertEquals(encoded(-0), "00");
  assertEquals(decoded(encoded(Infinity)), Infinity);
  assertEquals(decoded("fb7fefffffffffffff"), Number.MAX_VALUE);
  assertEquals(decoded("64efbbbf61"), "\ufeffa", "a byte order mark is text");
  for (const hex of ["61ff", "63eda080", "66eda080edb080", "62c0af"]) {
    assertEquals(
      errorOf(() => decoded(hex)).code,
      "malformed",
      "invalid UTF-8",
    );
  }
  // 1e400 as a bignum is an integer like any other.
  assertEquals(decoded(encoded(10n ** 400n)), 10n ** 400n);
});

Deno.test("cbor(): elements that may be compared with each other count more", () => {
  const fits = (value: unknown, maxItems: number) => {
    try {
      cbor({ maxItems }).decode(codec.encode(value));
      return true;
    } catch {
      return false;
    }
  };
  const numbers = Array.from({ length: 1_500 }, (_, i) => i);
  const texts = numbers.map((n) => `t${n}`);
  const bigints = numbers.map(BigInt);
  assert(fits(new Set(numbers), 100_000));
  assert(!fits(new Set(numbers), 50_000));
  assert(fits(new Set(texts), 20_000), "the hash of a text is secret");
  assert(!fits(new Set(bigints), 90_000));
  assert(!fits(new Map(bigints.map((n) => [n, 0])), 90_000));
  assert(fits(new Map(texts.map((n, i) => [n, BigInt(i)])), 100_000));
  assert(!fits(new Set(numbers.map(String)), 50_000), "digits");
  assert(fits(new Set(numbers.map((n) => [n])), 30_000), "by identity");
});

/**
 * CBOR as others write it: bytes in hexadecimal digits, and what they mean.
 *
 * @module
 */

/**
 * The vectors of RFC 8949, Appendix A, that are deterministic and have a form
 * of their own in JavaScript: each is written so, and read back.
 */
export const RFC_8949_BOTH_WAYS: readonly (readonly [string, unknown])[] = [
  ["00", 0],
  ["01", 1],
  ["0a", 10],
  ["17", 23],
  ["1818", 24],
  ["1819", 25],
  ["1864", 100],
  ["1903e8", 1_000],
  ["1a000f4240", 1_000_000],
  ["1b000000e8d4a51000", 1_000_000_000_000],
  ["1bffffffffffffffff", 18446744073709551615n],
  ["c249010000000000000000", 18446744073709551616n],
  ["3bffffffffffffffff", -18446744073709551616n],
  ["c349010000000000000000", -18446744073709551617n],
  ["20", -1],
  ["29", -10],
  ["3863", -100],
  ["3903e7", -1_000],
  ["fb3ff199999999999a", 1.1],
  ["f93e00", 1.5],
  ["fa7f7fffff", 3.4028234663852886e+38],
  ["fb7e37e43c8800759c", 1.0e+300],
  ["f90001", 5.960464477539063e-8],
  ["f90400", 0.00006103515625],
  ["fbc010666666666666", -4.1],
  ["f97c00", Infinity],
  ["f97e00", NaN],
  ["f9fc00", -Infinity],
  ["f4", false],
  ["f5", true],
  ["f6", null],
  ["40", new Uint8Array(0)],
  ["4401020304", new Uint8Array([1, 2, 3, 4])],
  ["60", ""],
  ["6161", "a"],
  ["6449455446", "IETF"],
  ["62225c", '"\\'],
  ["62c3bc", "ü"],
  ["63e6b0b4", "水"],
  ["64f0908591", "𐅑"],
  ["80", []],
  ["83010203", [1, 2, 3]],
  ["8301820203820405", [1, [2, 3], [4, 5]]],
  [
    "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    Array.from({ length: 25 }, (_, i) => i + 1),
  ],
  ["a0", {}],
  ["a26161016162820203", { a: 1, b: [2, 3] }],
  ["826161a161626163", ["a", { b: "c" }]],
  [
    "a56161614161626142616361436164614461656145",
    { a: "A", b: "B", c: "C", d: "D", e: "E" },
  ],
];

/** Those that JavaScript writes in another form, or not at all, but reads. */
export const RFC_8949_READ: readonly (readonly [string, unknown])[] = [
  ["f90000", 0],
  ["f98000", -0],
  ["f93c00", 1],
  ["f97bff", 65_504],
  ["fa47c35000", 100_000],
  ["f9c400", -4],
  ["fa7f800000", Infinity],
  ["fa7fc00000", NaN],
  ["faff800000", -Infinity],
  ["fb7ff0000000000000", Infinity],
  ["fb7ff8000000000000", NaN],
  ["fbfff0000000000000", -Infinity],
  ["f7", null],
  [
    "c074323031332d30332d32315432303a30343a30305a",
    new Date("2013-03-21T20:04:00Z"),
  ],
  ["c11a514b67b0", new Date("2013-03-21T20:04:00Z")],
  ["c1fb41d452d9ec200000", new Date("2013-03-21T20:04:00.500Z")],
  ["a201020304", { 1: 2, 3: 4 }],
  ["9fff", []],
  ["9f018202039f0405ffff", [1, [2, 3], [4, 5]]],
  ["9f01820203820405ff", [1, [2, 3], [4, 5]]],
  ["83018202039f0405ff", [1, [2, 3], [4, 5]]],
  ["83019f0203ff820405", [1, [2, 3], [4, 5]]],
  [
    "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
    Array.from({ length: 25 }, (_, i) => i + 1),
  ],
  ["bf61610161629f0203ffff", { a: 1, b: [2, 3] }],
  ["826161bf61626163ff", ["a", { b: "c" }]],
  ["bf6346756ef563416d7421ff", { Fun: true, Amt: -2 }],
];

/** Those that have no form here. */
export const RFC_8949_REFUSED: readonly string[] = [
  "f0", // simple(16)
  "f8ff", // simple(255)
  "d74401020304", // 23(h'01020304')
  "d818456449455446", // 24(h'6449455446')
  "d82076687474703a2f2f7777772e6578616d706c652e636f6d", // 32("http://…")
  "5f42010243030405ff", // (_ h'0102', h'030405')
  "7f657374726561646d696e67ff", // (_ "strea", "ming")
];

/**
 * What cbor-x 1.4.1 writes, the library of the JavaScript peers: taken from the
 * copy in npm `@progrium/duplex` 0.2.2.
 */
export const CBOR_X: readonly (readonly [string, unknown])[] = [
  ["b9000261610161626178", { a: 1, b: "x" }],
  ["b900016161f7", {}], // { a: undefined }
  ["f7", null], // undefined
  ["d84043010203", new Uint8Array([1, 2, 3])],
  ["420000", new Uint8Array(2)], // an ArrayBuffer
  ["c11a514b67b0", new Date(1_363_896_240_000)],
  ["c1fb41d452d9ec200000", new Date(1_363_896_240_500)],
  ["d90103a2616101026162", new Map<unknown, unknown>([["a", 1], [2, "b"]])],
  ["d9010282016161", new Set<unknown>([1, "a"])],
  ["fb3ff8000000000000", 1.5],
  ["fb7ff8000000000000", NaN],
  ["1b0000000000000005", 5], // 5n
  ["1b1000000000000000", 2n ** 60n],
  ["3b0fffffffffffffff", -(2n ** 60n)],
  ["fb41f0000000000000", 2 ** 32],
  ["fb433fffffffffffff", Number.MAX_SAFE_INTEGER],
  ["d8444101", new Uint8ClampedArray([1])],
  ["d84841ff", new Int8Array([-1])],
  ["d8454401000200", new Uint16Array([1, 2])],
  ["d84e44ffffffff", new Int32Array([-1])],
  ["d847480500000000000000", new BigUint64Array([5n])],
  ["d855440000c03f", new Float32Array([1.5])],
  ["d85650000000000000f83f00000000000000c0", new Float64Array([1.5, -2])],
  [
    "981e000102030405060708090a0b0c0d0e0f101112131415161718181819181a181b181c181d",
    Array.from({ length: 30 }, (_, i) => i),
  ],
];

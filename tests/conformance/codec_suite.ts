/**
 * What every codec does, as tests of whatever a factory makes.
 *
 * @module
 */
import vm from "node:vm";
import {
  type ByteSink,
  type Codec,
  CodecError,
  type CodecErrorCode,
  type CodecOptions,
} from "@qtalk/qtalk/codec";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { collectGarbage } from "../support/memory.ts";
import { forSeeds, type Random } from "../support/random.ts";

/** What a codec carries beyond JSON's values, as far as codecs differ. */
export interface Carries {
  /**
   * How a `bigint` arrives: not at all, as a number if it is a safe integer, or
   * as it was.
   */
  bigint: "refused" | "number if safe" | "whole";
  /** Whether dates, maps and sets arrive as such. Default: no. */
  collections?: boolean;
}

/** Tests the codec that `make` makes; `name` begins each test's name. */
export function testCodec(
  name: string,
  make: (options?: CodecOptions) => Codec,
  { bigint, collections = false }: Carries,
): void {
  const bigints = bigint !== "refused";
  /** A large integer, if the codec has any. */
  const large = bigints ? 2n ** 60n : 2 ** 50;
  const test = (behaviour: string, check: () => void | Promise<void>) =>
    Deno.test(`${name} codec: ${behaviour}`, check);

  const roundTrip = (value: unknown) => {
    const codec = make();
    return codec.decode(codec.encode(value));
  };

  test("gives back plain values as they were", () => {
    for (const value of PLAIN) assertEquals(roundTrip(value), value);
    for (const value of bigints ? BIGINTS : []) {
      assertEquals(roundTrip(value), value);
    }
  });

  test("gives back any plain value", () =>
    forSeeds(200, (random) => {
      // Some have hundreds of keys with escapes, which count most.
      const codec = make({ maxItems: Infinity });
      const value = randomValue(random, 4, bigints);
      assertEquals(codec.decode(codec.encode(value)), value);
    }));

  test("takes undefined for null, and leaves it out of objects", () => {
    assertEquals(roundTrip(undefined), null);
    assertEquals(roundTrip([undefined, 1]), [null, 1]);
    assertEquals(roundTrip({ a: undefined, b: 1 }), { b: 1 });
    assertEquals(roundTrip([{ a: undefined }]), [{}]);
  });

  test("takes a hole in an array for null", () => {
    // deno-lint-ignore no-sparse-arrays -- that is what is tested
    assertEquals(roundTrip([1, , 3]), [1, null, 3]);
  });

  if (bigint === "refused") {
    test("refuses a bigint, says what to do, and takes integers for numbers", () => {
      for (const value of [0n, 7n, -1n, 2n ** 53n, 2n ** 70n]) {
        for (const wrap of [id, (v: unknown) => [1, v], inObject]) {
          assertCodecError(
            "unsupported-type",
            () => make().encode(wrap(value)),
            "use cbor()",
          );
        }
      }
      for (const number of [2 ** 53, -(2 ** 53), 1e16, 1.5e20, 2 ** 64]) {
        assertEquals(roundTrip([1.5, number]), [1.5, number]);
      }
    });
  } else {test("sends 64-bit integers, whole or as numbers if they are safe", () => {
      for (const safe of [0n, 7n, -1n, 2n ** 53n - 1n, -(2n ** 53n) + 1n]) {
        const arrives = bigint === "whole" ? safe : Number(safe);
        assertEquals(roundTrip(safe), arrives);
        assertEquals(roundTrip({ n: [safe] }), { n: [arrives] });
      }
      for (const large of [2n ** 53n, 2n ** 64n - 1n, -(2n ** 63n)]) {
        assertEquals(roundTrip(large), large);
        assertEquals(roundTrip({ n: [large, 1] }), { n: [large, 1] });
      }
    });}

  test("carries -0 as 0", () => {
    assert(Object.is(roundTrip(-0), 0));
    assertEquals((roundTrip([{ n: -0 }]) as [{ n: 0 }])[0], { n: 0 });
  });

  test("carries a byte order mark in text, wherever it is", () => {
    for (const text of ["\ufeff", "\ufeffa", "a\ufeff", "\ufeff".repeat(40)]) {
      assertEquals(roundTrip([text, { a: text }]), [text, { a: text }]);
    }
  });

  test("makes no ill-formed text of a lone surrogate, or gives it back", () => {
    for (const text of ["\ud800", "a\udc00b", `${"x".repeat(40)}\ud800`]) {
      const back = roundTrip({ a: [text] }) as { a: [string] };
      assert([text, text.toWellFormed()].includes(back.a[0]), back.a[0]);
    }
  });

  if (collections) {
    test("gives back dates, maps, sets and bigints whole", () => {
      for (const value of COLLECTIONS) {
        for (const wrap of [id, (v: unknown) => [1, v], inObject]) {
          assertEquals(roundTrip(wrap(value)), wrap(value));
        }
      }
    });

    test("gives back any collection", () =>
      forSeeds(100, (random) => {
        const value = new Map([
          [randomValue(random, 2, true), new Set([1, [randomText(random)]])],
          [{ a: 1 }, randomValue(random, 2, true)],
          [new Date(random.int(-1e14, 1e14)), new Map()],
        ]);
        assertEquals(roundTrip(value), value);
        const back = roundTrip(value) as typeof value;
        assertEquals([...back.keys()], [...value.keys()], "in order");
      }));

    test("refuses an invalid date, and what a collection cannot carry", () => {
      assertCodecError("unsupported-type", () => roundTrip(new Date(NaN)));
      for (const value of [Symbol("s"), () => {}, /x/, new Error("no")]) {
        for (const within of [new Set([value]), new Map([[1, value]])]) {
          assertCodecError("unsupported-type", () => roundTrip(within));
        }
      }
      assertCodecError(
        "too-deep",
        () => make({ maxDepth: 2 }).encode(new Set([new Map([[1, []]])])),
      );
      const self = new Set<unknown>();
      self.add(self);
      assertCodecError("too-deep", () => roundTrip(self));
    });
  }

  test("sends what toJSON() returns, with all rules applied to it", () => {
    const json = (value: unknown) => ({ toJSON: () => value });
    if (!collections) {
      assertEquals(roundTrip(new Date(0)), "1970-01-01T00:00:00.000Z");
    }
    assertEquals(roundTrip([json({ a: 1 })]), [{ a: 1 }]);
    assertEquals(roundTrip(json(undefined)), null);
    assertEquals(roundTrip([json(undefined)]), [null]);
    assertEquals(roundTrip({ n: json(large) }), { n: large });
    assertCodecError(
      "unsupported-type",
      () => roundTrip({ m: json(new Error("no")) }),
      "Error",
    );
  });

  test("does not ask what toJSON() returned for toJSON() again", () => {
    class Self {
      x = 1;
      toJSON() {
        return this;
      }
    }
    assertEquals(roundTrip(new Self()), { x: 1 });
  });

  test("sends objects of a program's classes as their members", () => {
    class Point {
      readonly x = 1;
      #hidden = 2;
      get y() {
        return this.#hidden;
      }
      length() {
        return this.x + this.y;
      }
    }
    assertEquals(roundTrip(new Point()), { x: 1 });
    assertEquals(roundTrip(Object.assign(Object.create(null), { x: 1 })), {
      x: 1,
    });
  });

  test("refuses instances of which nothing would arrive, and names their class", () => {
    class Methods {
      greet() {}
    }
    class Getter {
      get x() {
        return 1;
      }
    }
    class Hidden {
      #x = 1;
      async later() {
        return await Promise.resolve(this.#x);
      }
    }
    class Sub extends Methods {}
    class Keyed {
      [Symbol.iterator]() {}
    }
    for (const Class of [Methods, Getter, Hidden, Sub, Keyed]) {
      for (const wrap of [id, (v: unknown) => [1, v], inObject]) {
        assertCodecError(
          "unsupported-type",
          () => roundTrip(wrap(new Class())),
          Class.name,
        );
      }
    }
    // There is nothing to miss of these.
    class Empty {}
    class Static {
      static data = 1;
    }
    for (const Class of [Empty, Static]) {
      assertEquals(roundTrip(new Class()), {});
    }
    class Data extends Methods {
      x = 1;
    }
    assertEquals(roundTrip(new Data()), { x: 1 });
    assertEquals(roundTrip({}), {});
    assertEquals(roundTrip(Object.create(null)), {});
    // An object literal of another realm.
    assertEquals(roundTrip(vm.runInNewContext("({})")), {});
    assertEquals(roundTrip(vm.runInNewContext("({ x: {} })")), { x: {} });
  });

  for (const [type, example] of Object.entries(UNSUPPORTED)) {
    if (collections && (type === "Map" || type === "Set")) continue;
    test(`refuses a value of type ${type}, and names it`, () => {
      for (const wrap of [id, (v: unknown) => [1, v], inObject]) {
        assertCodecError(
          "unsupported-type",
          () => roundTrip(wrap(example())),
          type,
        );
      }
    });
  }

  test("encodes up to the nesting depth and not deeper", () => {
    const codec = make({ maxDepth: 3 });
    codec.encode([[[1]]]);
    codec.encode({ a: { b: { c: 1 } } });
    for (const value of [[[[[]]]], { a: { b: { c: {} } } }, [[[{}]]]]) {
      assertCodecError("too-deep", () => codec.encode(value));
    }
  });

  test("refuses a nesting depth out of range", () => {
    for (const maxDepth of [0, -1, 1.5, NaN, Infinity, 1_001]) {
      assertThrows(
        () => make({ maxDepth }),
        RangeError,
        `Cannot use option "maxDepth": ${maxDepth} is not an integer from 1 to 1000`,
      );
    }
    make({ maxDepth: undefined });
  });

  test("decodes up to the nesting depth and not deeper", () => {
    const generous = make();
    const codec = make({ maxDepth: 3 });
    assertEquals(codec.decode(generous.encode([[[1]], 2])), [[[1]], 2]);
    assertEquals(
      codec.decode(generous.encode({ a: [{ c: "[[[[{{{{" }] })),
      { a: [{ c: "[[[[{{{{" }] },
    );
    for (const value of [[[[[]]]], { a: { b: { c: {} } } }, [[[{}]]]]) {
      const bytes = generous.encode(value);
      assertCodecError("too-deep", () => codec.decode(bytes));
    }
  });

  test("refuses a limit of items out of range", () => {
    for (const maxItems of [0, -1, 1.5, NaN]) {
      assertThrows(
        () => make({ maxItems }),
        RangeError,
        `Cannot use option "maxItems": ${maxItems} is not an integer of at least 1`,
      );
    }
    for (const maxItems of [undefined, 1, Infinity]) make({ maxItems });
  });

  for (const [what, many] of Object.entries(MANY)) {
    if (!bigints && what.includes("beyond 2^53")) continue;
    test(`decodes a value of ${what} up to the limit of items and not beyond`, () => {
      const bytes = make().encode(many(4_000));
      const fits = (maxItems: number) => {
        try {
          make({ maxItems }).decode(bytes);
          return true;
        } catch {
          return false;
        }
      };
      let most = 1;
      for (let upper = 1_000_000; most < upper;) {
        const middle = Math.floor((most + upper) / 2);
        if (fits(middle)) upper = middle;
        else most = middle + 1;
      }
      // Some of so many keys may have the same hash, and count less: other ones for
      // each codec, whose seeds are random.
      const above = Math.ceil(most * 1.03);
      const below = Math.floor(most * 0.97);
      assertEquals(make({ maxItems: above }).decode(bytes), many(4_000));
      assertCodecError(
        "too-many-items",
        () => make({ maxItems: below }).decode(bytes),
        `it has more than ${below} items, the limit of option "maxItems"`,
      );
      // Twice the value has about twice the items.
      const twice = make().encode(many(8_000));
      make({ maxItems: Math.floor(most * 2.1) }).decode(twice);
      assertCodecError(
        "too-many-items",
        () => make({ maxItems: Math.floor(most * 1.9) }).decode(twice),
      );
    });

    test(`estimates what a value of ${what} takes`, () => {
      const codec = make({ maxItems: Infinity });
      const [one, ten] = [1_000, 10_000].map((count) => {
        const bytes = codec.encode(many(count));
        const weight = { bytes: 0 };
        codec.decode(bytes, weight);
        assert(weight.bytes > bytes.length, "more than its bytes");
        return weight.bytes;
      });
      assert(ten! > 8 * one! && ten! < 12 * one!, `${one}, ${ten}`);
    });
  }

  test("encodes a value with more items than it decodes", () => {
    const value = Array(1_000).fill(0);
    assertEquals(make().decode(make({ maxItems: 10 }).encode(value)), value);
  });

  test("refuses to encode holes without number, and parts that repeat without end", () => {
    const twice = (make: (part: unknown) => unknown) => {
      let value: unknown = 1;
      for (let depth = 0; depth < 100; depth++) value = make(value);
      return value;
    };
    const values: unknown[] = [
      Object.assign([], { [1e8]: 1 }),
      { in: new Array(2 ** 32 - 1) },
      new Proxy([], { get: (_, key) => key === "length" ? 1e9 : 1 }),
      twice((part) => [part, part]),
      twice((part) => ({ a: part, b: part })),
    ];
    for (const value of values) {
      assertCodecError("too-many-items", () => make().encode(value));
    }
  });

  test("refuses a value with too many items before anything of it is built", () => {
    const bytes = make().encode(
      Array.from({ length: 50_000 }, (_, i) => ({ [`k${i}`]: "x" })),
    );
    const codec = make();
    const refuse = () =>
      assertCodecError("too-many-items", () => codec.decode(bytes));
    refuse();
    collectGarbage();
    const before = Deno.memoryUsage().heapUsed;
    refuse();
    const grown = Deno.memoryUsage().heapUsed - before;
    assert(grown < 4 * 1024 * 1024, `memory grew by ${grown} bytes`);
  });

  test("refuses a value that contains itself", () => {
    const loop: Record<string, unknown> = {};
    loop["self"] = [loop];
    assertCodecError("too-deep", () => make().encode(loop));
  });

  test("leaves the values that it encodes as they are", () => {
    const value = { a: undefined, n: large, b: [new Uint8Array(2), -0] };
    const before = structuredClone(value);
    make().encode(value);
    assertEquals(value, before);
  });

  test("gives bytes of its own each time", () => {
    const codec = make();
    const first = codec.encode(["first", new Uint8Array(3)]);
    const copy = first.slice();
    const second = codec.encode(["other", new Uint8Array(3)]);
    assertEquals(first, copy);
    second.fill(0);
    assertEquals(first, copy);
  });

  test("keeps nothing of the bytes that it decoded", () => {
    const codec = make();
    const value = { s: "text", b: new Uint8Array([1, 2, 3]), n: large };
    const bytes = codec.encode(value);
    const decoded = codec.decode(bytes);
    const before = structuredClone(decoded);
    bytes.fill(0xc1);
    assertEquals(decoded, before);
  });

  test("leaves the bytes that it decodes as they are", () => {
    const codec = make();
    const bytes = codec.encode({ b: new Uint8Array(9), n: large, s: "ä" });
    const copy = bytes.slice();
    codec.decode(bytes);
    assertEquals(bytes, copy);
  });

  test("decodes bytes from the middle of a buffer", () => {
    const codec = make();
    const value = { n: [large, 1.5], b: "ä" };
    const bytes = codec.encode(value);
    const buffer = new Uint8Array(bytes.length + 20).fill(0x7b);
    buffer.set(bytes, 7);
    assertEquals(codec.decode(buffer.subarray(7, 7 + bytes.length)), value);
  });

  test("refuses every cut of a value", () => {
    const codec = make();
    const bytes = codec.encode({ a: [1, "text", null], b: { c: 1.5 } });
    for (let end = 0; end < bytes.length; end++) {
      const error = assertThrows(() => codec.decode(bytes.subarray(0, end)));
      assert(error instanceof CodecError, `after ${end} bytes: ${error}`);
    }
    assertCodecError("truncated", () => codec.decode(new Uint8Array(0)));
  });

  test("refuses bytes after a value", () => {
    const codec = make();
    const bytes = codec.encode({ a: 1 });
    const twice = new Uint8Array([...bytes, ...bytes]);
    assertCodecError("malformed", () => codec.decode(twice));
  });

  test("makes a value or a CodecError of any bytes", () =>
    forSeeds(300, (random) => {
      const codec = make({ maxDepth: 8 });
      const bytes = random.chance(0.5)
        ? random.bytes(random.int(0, 40))
        : damage(random, codec.encode(randomValue(random, 3, bigints)));
      try {
        codec.decode(bytes);
      } catch (error) {
        assert(error instanceof CodecError, String(error));
      }
    }));

  test("counts the keys of an object, if it counts them, and not those in it", () =>
    forSeeds(100, (random) => {
      const codec = make();
      const object = {
        a: randomValue(random, 4, bigints),
        "b:": { a: 1, c: [{}] },
      };
      const count = codec.keyCount?.(codec.encode(object)) ?? 2;
      assertEquals(count, 2);
    }));

  test("encodes into a sink what it encodes alone", () => {
    const codec = make();
    if (codec.encodeInto === undefined) return;
    const values = [...PLAIN, "ä".repeat(3_000), "x".repeat(100_000)];
    for (const value of values) {
      const sink = new Sink();
      codec.encodeInto(value, sink);
      assertEquals(sink.bytes, codec.encode(value).slice());
    }
    const sink = new Sink();
    assertCodecError(
      "unsupported-type",
      () => codec.encodeInto?.([() => {}], sink),
    );
    assertEquals(sink.bytes, new Uint8Array(0), "nothing of a value refused");
  });
}

/** Fails unless `fn` throws a CodecError with this code. */
export function assertCodecError(
  code: CodecErrorCode,
  fn: () => unknown,
  messageIncludes?: string,
): void {
  const error = assertThrows(fn, CodecError, messageIncludes);
  assertEquals(error.code, code, error.message);
}

const PLAIN: readonly unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  -32,
  -33,
  -128,
  -129,
  -32_768,
  -32_769,
  2 ** 31 - 1,
  -(2 ** 31),
  -(2 ** 31) - 1,
  2 ** 32 - 1,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  1.5,
  -0.1,
  1e300,
  5e-324,
  // The doubles that the MessagePack codec sets apart for itself.
  2 ** -600,
  2 ** -600 + 2 ** -652,
  2 ** -600 + 2 ** -620,
  [2 ** -600, 2 ** 50, 2 ** -600 + 2 ** -652],
  "",
  "a",
  "ä€😀",
  '\u0000"\\\n',
  "\ufeffmark first, not last",
  "x".repeat(31),
  "x".repeat(32),
  "ä".repeat(200),
  "x".repeat(70_000),
  [],
  {},
  [[], {}, [null]],
  Array.from({ length: 16 }, (_, i) => i),
  Array.from({ length: 70_000 }, () => 0),
  { "": 0, " ": 1, "1": 2, "ä": 3, length: 4, constructor: 5, toString: 6 },
  Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i])),
];

const BIGINTS: readonly unknown[] = [
  2n ** 60n,
  // Between the doubles that the MessagePack codec sets apart for itself.
  [2 ** -600, 2n ** 60n, 2 ** -600 + 2 ** -652],
];

/** Values that arrive as such with a codec that carries collections. */
const COLLECTIONS: readonly unknown[] = [
  new Date(0),
  new Date(-1),
  new Date(1_363_896_240_501),
  new Date(8.64e15),
  new Date(-8.64e15),
  new Date(8.64e15 - 1),
  new Date("0000-01-01T00:00:00.001Z"),
  new Date("-000001-01-01T00:00:00.001Z"),
  new Date("+010000-01-01T00:00:00.999Z"),
  new Map(),
  new Map<unknown, unknown>([["b", 1], ["a", 2], [1, "one"], [1n, "big"]]),
  new Map<unknown, unknown>([[null, 0], [NaN, 1], [true, 2], [[1], 3]]),
  new Map([[{ a: 1 }, new Map([[new Date(5), new Set([1n])]])]]),
  new Map([["__proto__", { a: 1 }], ["", {}]]),
  new Set(),
  new Set<unknown>([2, 1, "1", 1n, null, 1.5, Infinity, 2 ** 60]),
  new Set([new Set([new Set()]), new Set()]),
  new Set([new Uint8Array([1, 2])]),
  0n,
  1n,
  -1n,
  255n,
  -256n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 64n,
  -(2n ** 64n) - 1n,
  2n ** 1_000n,
  [1, 1n, 2 ** 53, 2n ** 53n, 1e16, 10n ** 16n],
];

function listOf(count: number, make: (index: number) => unknown): unknown[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function objectOf(count: number, key: (index: number) => string): object {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [key(i), i]),
  );
}

/** Values of so many parts, of every kind that costs. */
const MANY: Readonly<Record<string, (count: number) => unknown>> = {
  "numbers": (count) => listOf(count, (i) => i),
  "fractions": (count) => listOf(count, (i) => i / 7),
  "integers beyond 2^53": (count) =>
    listOf(count, (i) => 2n ** 60n + BigInt(i)),
  "short texts": (count) => listOf(count, (i) => `x${i}`),
  "texts of digits": (count) => listOf(count, String),
  "texts that are not ASCII": (count) => listOf(count, (i) => `€${i}`),
  "texts with escapes": (count) => listOf(count, (i) => `"\n${i}`),
  "empty arrays": (count) => listOf(count, () => []),
  "empty objects": (count) => listOf(count, () => ({})),
  "arrays in one another": (count) => listOf(count / 4, () => [[[[]]]]),
  "objects with the same keys": (count) =>
    listOf(count, (i) => ({ id: i, ok: true })),
  "objects with other keys": (count) =>
    listOf(count, (i) => ({ [`k${i}`]: i })),
  "keys": (count) => objectOf(count, (i) => `k${i}`),
  "long keys": (count) => objectOf(count, (i) => `${"k".repeat(100)}${i}`),
  "keys that are not ASCII": (count) => objectOf(count, (i) => `€${i}`),
  "keys that are numbers": (count) => objectOf(count, (i) => String(i * 7)),
};

const UNSUPPORTED: Readonly<Record<string, () => unknown>> = {
  function: () => () => {},
  symbol: () => Symbol("s"),
  Map: () => new Map([[1, 2]]),
  Set: () => new Set([1]),
  Error: () => new Error("no"),
  TypeError: () => new TypeError("no"),
  RegExp: () => /x/,
  Promise: () => Promise.resolve(1),
  ReadableStream: () => new ReadableStream(),
  WritableStream: () => new WritableStream(),
  Response: () => new Response("body"),
  ArrayBuffer: () => new ArrayBuffer(1),
  DataView: () => new DataView(new ArrayBuffer(1)),
  Float64Array: () => new Float64Array(1),
};

function id(value: unknown): unknown {
  return value;
}

function inObject(value: unknown): unknown {
  return { a: { b: value } };
}

/** A value that every codec gives back as it was. */
function randomValue(
  random: Random,
  depth: number,
  bigints: boolean,
): unknown {
  const kind = random.int(0, depth > 0 ? 7 : 5);
  switch (kind) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
      return random.int(-300, 70_000);
    case 2:
      return random.int(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 3:
      return (random.next() - 0.5) * 10 ** random.int(-30, 9);
    case 4:
      return randomText(random);
    case 5:
      return bigints ? 2n ** 53n + BigInt(random.int(0, 2 ** 52)) : 0.5;
    case 6:
      return Array.from(
        { length: random.int(0, 20) },
        () => randomValue(random, depth - 1, bigints),
      );
    default:
      return Object.fromEntries(
        Array.from(
          { length: random.int(0, 20) },
          () => [randomText(random), randomValue(random, depth - 1, bigints)],
        ),
      );
  }
}

function randomText(random: Random): string {
  const characters = Array.from(
    { length: random.int(0, 40) },
    () => random.pick(["a", "Z", "0", "ä", "€", "😀", '"', "\\", "\n"]),
  );
  return characters.join("");
}

/** The same bytes with some changed, left out or put in. */
function damage(random: Random, bytes: Uint8Array): Uint8Array {
  const out = [...bytes];
  for (let i = random.int(1, 4); i > 0; i--) {
    const at = random.int(0, out.length);
    out.splice(at, random.int(0, 2), ...random.bytes(random.int(0, 2)));
  }
  return new Uint8Array(out);
}

class Sink implements ByteSink {
  bytes = new Uint8Array(0);
  #room = new Uint8Array(0);

  reserve(bytes: number): Uint8Array<ArrayBuffer> {
    return this.#room = new Uint8Array(bytes);
  }

  commit(bytes: number): void {
    this.bytes = new Uint8Array([
      ...this.bytes,
      ...this.#room.subarray(0, bytes),
    ]);
  }
}

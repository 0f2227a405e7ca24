import { assertEquals, assertThrows } from "@std/assert";
import { forSeeds, type Random } from "../tests/support/random.ts";
import { CodecError } from "./errors.ts";
import { json, tinyDecoderOf } from "./json.ts";

const codec = json({ bigint: true });

function encoded(value: unknown): string {
  return new TextDecoder().decode(codec.encode(value));
}

function decoded(text: string): unknown {
  return codec.decode(new TextEncoder().encode(text));
}

function codeOf(fn: () => unknown): string {
  return assertThrows(fn, CodecError).code;
}

Deno.test("json(): each type is encoded as documented", () => {
  const forms: [unknown, string][] = [
    [undefined, "null"],
    [{ a: undefined, b: [undefined] }, '{"b":[null]}'],
    [new Uint8Array([0, 255, 128]), '"AP+A"'],
    [{ b: new Uint8Array(0) }, '{"b":""}'],
    [
      [2n ** 64n, -(2n ** 70n)],
      "[18446744073709551616,-1180591620717411303424]",
    ],
    [12n, "12"],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ at: new URL("http://a/b") }, '{"at":"http://a/b"}'],
    [-0, "0"],
    ["\ud800", '"\\ud800"'],
    [{ __proto__: null, a: 1 }, '{"a":1}'],
  ];
  for (const [value, text] of forms) assertEquals(encoded(value), text);
});

/** What a function returns, or that it throws. */
function outcomeOf(fn: () => unknown): unknown {
  try {
    return { value: fn() };
  } catch {
    return "it throws";
  }
}

Deno.test("json(): texts of a few characters are decoded as JSON.parse() decodes them", () => {
  const plain = json();
  const check = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    const expected = outcomeOf(() => JSON.parse(text));
    for (const one of [plain, codec]) {
      assertEquals(outcomeOf(() => one.decode(bytes)), expected, text);
    }
  };
  const alphabet = '019-[],.e" '.split("");
  let texts = [""];
  for (let length = 0; length <= 4; length++) {
    for (const text of texts) check(text);
    texts = texts.flatMap((text) => alphabet.map((next) => text + next));
  }
  const words = ["null", "true", "false", "nul", "nulls", "True", "[null]"];
  const numbers = ["999999999", "1234567890", "[999999999]", "[1234567890]"];
  for (const text of [...words, ...numbers, "[012]", "[1 ]", "-0"]) check(text);
});

Deno.test("json(): small values are encoded as JSON.stringify() encodes them", () => {
  const numbers = [0, -0, 1, -1, 9, 10, 2 ** 31 - 1, 2 ** 31, -(2 ** 31)];
  const others = [-(2 ** 31) - 1, 0.5, 1e21, 1e-7, null, true, false, "1", ""];
  const odd = Object.assign([1], { toJSON: () => "odd" });
  const arrays = [[], [1], [-0], [null], [true], ["1"], [[]], [0.5], [1, 2]];
  for (const value of [...numbers, ...others, ...arrays, odd]) {
    let text = "";
    let room = new Uint8Array(0);
    json().encodeInto!(value, {
      reserve: (size) => room = new Uint8Array(size),
      commit(size) {
        text += new TextDecoder().decode(room.subarray(0, size));
      },
    });
    assertEquals(text, JSON.stringify(value));
  }
});

Deno.test("json(): a small array that contains itself is refused", () => {
  const sink = { reserve: (size: number) => new Uint8Array(size), commit() {} };
  const self: unknown[] = [];
  self.push(self);
  assertEquals(codeOf(() => json().encodeInto!(self, sink)), "too-deep");
});

Deno.test("json(): an integral number is encoded as an integer, whatever it was decoded from", () => {
  const forms = [
    ["100.0", "100"],
    ["1e2", "100"],
    ["-0", "0"],
    ["-0.0", "0"],
    ["1e21", "1e+21"],
  ] as const;
  for (const [read, written] of forms) {
    assertEquals(encoded(decoded(read)), written, read);
  }
});

Deno.test("json(): a Buffer is encoded as base64 in spite of its toJSON()", async () => {
  const { Buffer } = await import("node:buffer");
  assertEquals(encoded({ b: Buffer.from([0, 255, 128]) }), '{"b":"AP+A"}');
});

Deno.test("json(): a large byte array is encoded completely", () => {
  const bytes = new Uint8Array(100_001).map((_, i) => i);
  const back = atob(JSON.parse(encoded(bytes)));
  assertEquals(Uint8Array.from(back, (c) => c.charCodeAt(0)), bytes);
});

Deno.test("json(): the error for a part that cannot be encoded says where it is", () => {
  const of = (value: unknown) =>
    assertThrows(() => codec.encode(value), CodecError).message;
  const refused = "Cannot encode value as JSON: a Map is not supported";
  assertEquals(of(new Map()), refused);
  assertEquals(of([1, new Map()]), `${refused}, at value[1]`);
  assertEquals(
    of({ users: [{ id: 1 }, { id: 2, tags: new Map() }] }),
    `${refused}, at value.users[1].tags`,
  );
  // What was refused before is forgotten.
  assertEquals(of({ tags: new Map() }), `${refused}, at value.tags`);
  const inJson = { toJSON: () => ({ tags: new Map() }) };
  assertEquals(of([inJson]), `${refused}, at value[0].tags`);
  // It may encode another value with the same codec.
  const encoding = {
    toJSON: () => {
      assertThrows(() => codec.encode({ inner: new Map() }), CodecError);
      return new Map();
    },
  };
  assertEquals(of({ outer: encoding }), `${refused}, at value.outer`);
});

Deno.test("json(): the error that a getter throws is passed on as it is", () => {
  const own = new Error("a bug");
  const value = [{
    get name() {
      throw own;
    },
  }];
  const thrown = assertThrows(() => codec.encode(value), Error);
  assertEquals(thrown, own);
  assertEquals(thrown.message, "a bug");
});

Deno.test("json(): NaN and infinities are refused by name", () => {
  for (const number of [NaN, Infinity, -Infinity]) {
    const error = assertThrows(
      () => codec.encode({ a: [number] }),
      CodecError,
      String(number),
    );
    assertEquals(error.code, "unsupported-type");
  }
});

Deno.test("json(): only integers beyond 2^53 are decoded as bigint", () => {
  assertEquals(decoded("9007199254740991"), 9007199254740991);
  assertEquals(decoded("9007199254740993"), 9007199254740993n);
  assertEquals(decoded("[-9223372036854775808]"), [-(2n ** 63n)]);
  assertEquals(decoded("1.0000000000000000"), 1);
  assertEquals(decoded("12345678901234567890.5"), 12345678901234567890.5);
  assertEquals(decoded("1e300"), 1e300);
  assertEquals(decoded('"9007199254740993"'), "9007199254740993");
});

Deno.test("json(): an integer of more than 4,096 characters is refused", () => {
  const digits = "9".repeat(4_096);
  assertEquals(decoded(digits), BigInt(digits));
  assertEquals(encoded(BigInt(digits)), digits);
  assertEquals(codeOf(() => decoded(`${digits}9`)), "malformed");
  assertEquals(codeOf(() => encoded(10n ** 4_096n)), "unsupported-type");
});

Deno.test("json(): whitespace around a value is accepted", () => {
  assertEquals(decoded(' {"a" : 1}\n'), { a: 1 });
});

Deno.test("json(): invalid UTF-8 is decoded as U+FFFD, as in qtalk-go", () => {
  assertEquals(codec.decode(new Uint8Array([0x22, 0xff, 0x22])), "\ufffd");
  const surrogate = new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]);
  assertEquals(codec.decode(surrogate), "\ufffd\ufffd\ufffd");
});

Deno.test("json(): brackets within strings do not count as nesting", () => {
  const shallow = json({ maxDepth: 2 });
  const bytes = (text: string) => new TextEncoder().encode(text);
  assertEquals(shallow.decode(bytes('[["[[[\\"[[[",1]]')), [['[[["[[[', 1]]);
  assertEquals(shallow.decode(bytes("[[],[],{},[]]")), [[], [], {}, []]);
  assertEquals(codeOf(() => shallow.decode(bytes("[[[]]]"))), "too-deep");
  assertEquals(codeOf(() => shallow.decode(bytes('"\\'))), "malformed");
});

Deno.test("json(): a million brackets are refused without a stack overflow", () => {
  const bytes = new TextEncoder().encode("[".repeat(1_000_000));
  assertEquals(codeOf(() => codec.decode(bytes)), "too-deep");
});

Deno.test("json(): a key cannot set the prototype of a value", () => {
  const value = decoded('{"__proto__":{"admin":true},"a":1}') as object;
  assertEquals(Object.keys(value), ["__proto__", "a"]);
  assertEquals(Object.getPrototypeOf(value), Object.prototype);
  assertEquals(
    encoded([value, 2n ** 60n]),
    '[{"__proto__":{"admin":true},"a":1},1152921504606846976]',
  );
  const copied = Object.defineProperty({ u: undefined }, "__proto__", {
    value: 1,
    enumerable: true,
  });
  assertEquals(encoded(copied), '{"__proto__":1}');
});

Deno.test("json(): an error of a value's toJSON() is thrown unchanged", () => {
  const mine = new RangeError("mine");
  const value = {
    toJSON() {
      throw mine;
    },
  };
  assertEquals(assertThrows(() => codec.encode([value])), mine);
});

/** A string with what looks like structure in it, of any length. */
function trickyString(random: Random): string {
  const parts = ["\\", '"', "[", "}", "1234567890123456789", "é", "x"];
  const length = random.pick([0, 3, 31, 32, 33, 100, 600]);
  return Array.from({ length }, () => random.pick(parts)).join("");
}

Deno.test("json(): brackets and digits within a string of any length are ignored", async () => {
  await forSeeds(300, (random) => {
    const strings = Array.from({ length: 3 }, () => trickyString(random));
    // Long enough to be looked at before it is parsed.
    const value = [...strings, "[".repeat(600), 2n ** 60n, { a: strings }];
    assertEquals(codec.decode(codec.encode(value)), value);
    const before = JSON.stringify(strings);
    const deep = `[${before},${"[".repeat(600)}${"]".repeat(600)}]`;
    assertEquals(codeOf(() => decoded(deep)), "too-deep");
  });
});

const numbers = json();

Deno.test("json(): integers of any size are numbers, as with JSON.parse()", () => {
  const texts = [
    "9007199254740993",
    "[1.5,10000000000000000]",
    '{"a":[-9223372036854775808,18446744073709551615]}',
    "9".repeat(308),
    "1e308",
    "-0",
    "1e-400",
    `[${"12345678901234567890,".repeat(200)}1]`,
  ];
  for (const text of texts) {
    const value = numbers.decode(new TextEncoder().encode(text));
    assertEquals(value, JSON.parse(text), text.slice(0, 40));
  }
});

Deno.test("json(): a number that a double cannot hold is refused", () => {
  const both = [
    "1e400",
    "-1e400",
    "1E+309",
    "[1,1e309]",
    '{"a":{"b":0.1e400}}',
    `1${"0".repeat(250)}e99`,
    `1e${"0".repeat(50)}400`,
    `[${"0,".repeat(1_000)}1e999]`,
  ];
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (const text of both) {
    for (const codec of [numbers, json({ bigint: true })]) {
      const error = assertThrows(
        () => codec.decode(bytes(text)),
        CodecError,
        "is too large",
      );
      assertEquals(error.code, "malformed", text.slice(0, 40));
    }
  }
  const digits = "9".repeat(309);
  assertEquals(codeOf(() => numbers.decode(bytes(digits))), "malformed");
  assertEquals(
    codeOf(() => numbers.decode(bytes(`[-${digits}]`))),
    "malformed",
  );
  assertEquals(decoded(digits), BigInt(digits));
  for (const text of ['"1e400"', '{"1e400":"\\u00e91e999"}', `"${digits}"`]) {
    assertEquals(numbers.decode(bytes(text)), JSON.parse(text));
  }
});

Deno.test("json(): any text is decoded as by JSON.parse(), or a number in it is too large", () =>
  forSeeds(500, (random) => {
    const digits = () =>
      Array.from(
        { length: random.pick([1, 1, 3, 17, 210, 305, 310]) },
        () => random.int(0, 9),
      ).join("");
    const number = () =>
      random.pick(["", "-"]) + random.int(1, 9) + digits() +
      random.pick(["", "", `.${digits()}`]) +
      random.pick(["", "", "e5", "E-9", "e300", "e+97", "e-300"]);
    const text = JSON.stringify({ e: ["e999", digits()] }) // in strings, too
      .replace("}", `,"n":[${number()},${number()}]}`);
    const parsed = JSON.parse(text) as { n: number[] };
    if (parsed.n.every(Number.isFinite)) {
      assertEquals(numbers.decode(new TextEncoder().encode(text)), parsed);
    } else {
      const bytes = new TextEncoder().encode(text);
      assertEquals(codeOf(() => numbers.decode(bytes)), "malformed", text);
    }
  }));

Deno.test("json(): a byte order mark before the text is refused", () => {
  assertEquals(codeOf(() => decoded('\ufeff"a"')), "malformed");
  assertEquals(codeOf(() => decoded("\ufeff[1]")), "malformed");
  assertEquals(
    codeOf(() => decoded(`\ufeff["${"x".repeat(2_000)}"]`)),
    "malformed",
  );
});

Deno.test("json(): a lone surrogate arrives as it was", () => {
  for (const text of ["\ud800", "a\udc00", `${"x".repeat(5_000)}\ud800`]) {
    assertEquals(decoded(encoded([text])), [text]);
    assertEquals(decoded(encoded({ [text]: 1 })), { [text]: 1 });
  }
});

Deno.test("tinyDecoderOf: decodes what decode() does, or leaves it to that", () => {
  const decodeTiny = tinyDecoderOf(codec)!;
  const texts = ["null", "true", "false", "[]", "0", "7", "123456789", "[42]"];
  const others = ["", "[", "]", "nul", "01", "-1", "1.5", "[[]]", "{}", '"a"'];
  for (const text of [...texts, ...others, "1234567890", "[1,2]", " 1"]) {
    const bytes = new TextEncoder().encode(`1${text}1`);
    const value = decodeTiny(bytes, 1, bytes.length - 1);
    if (texts.includes(text)) assertEquals(value, decoded(text), text);
    else assertEquals(value, undefined, text);
  }
});

Deno.test("tinyDecoderOf: a codec made of another decodes everything itself", () => {
  const own = { ...json(), decode: () => "own" };
  assertEquals(tinyDecoderOf(own), undefined);
  assertEquals(tinyDecoderOf(Object.create(json())), undefined);
  const changed = json();
  changed.decode = () => "own";
  assertEquals(tinyDecoderOf(changed), undefined);
  // Its items would have to be counted.
  assertEquals(tinyDecoderOf(json({ maxItems: 1 })), undefined);
});

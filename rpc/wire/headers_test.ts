import {
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { cbor } from "../../codec/cbor/cbor.ts";
import type { Codec } from "../../codec/codec.ts";
import { json } from "../../codec/json.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import { concat, framed, fromHex, utf8 } from "../../tests/support/wire.ts";
import { RpcError } from "../errors.ts";
import { decodeCallHeader } from "../server/request_decoder.ts";
import {
  callHeaderValue,
  decodeResponseHeader,
  HeaderCache,
  type ResponseHeader,
  responseHeaderCache,
  responseHeaderValue,
  sharedHeader,
} from "./headers.ts";
import { CodecError, ValueReader } from "../../codec/internal.ts";
import { forSeeds } from "../../tests/support/random.ts";

const codec = json();

function selectorOf(header: unknown): string {
  return decodeCallHeader(codec, codec.encode(header)).selector;
}

function responseOf(header: unknown): ResponseHeader {
  const bytes = codec.encode(header);
  const { error, continued } = decodeResponseHeader(codec, bytes);
  return { error, continued };
}

Deno.test("callHeaderValue(): the selector has the keys of both dialects", () => {
  const { Selector, S } = callHeaderValue("a.b") as Record<string, unknown>;
  assertEquals([Selector, S], ["a.b", "a.b"]);
});

Deno.test("callHeaderValue(): the field Q says that this side is extended", () => {
  const isExtended = (header: unknown) =>
    decodeCallHeader(codec, codec.encode(header)).extension !== undefined;
  assertEquals(isExtended(callHeaderValue("a")), true);
  assertEquals(isExtended({ Selector: "a", Q: { v: 2, more: [] } }), true);
  const others = [{}, { v: 0 }, { v: "1" }, 1, "v", null, []];
  for (const Q of others) assertEquals(isExtended({ Selector: "a", Q }), false);
  assertEquals(isExtended({ Selector: "a" }), false);
});

Deno.test("callHeaderValue(): the field Q says what the argument is", () => {
  const Q = (extension: Parameters<typeof callHeaderValue>[1]) =>
    decodeCallHeader(
      json(),
      json().encode(callHeaderValue("x", extension)),
    ).extension;
  assertEquals(Q(undefined), { v: 1 });
  assertEquals(Q({ stream: true, lends: "_a" }), {
    v: 1,
    stream: true,
    lends: "_a",
  });
  assertEquals(Q({ stream: false, nested: true }), {
    v: 1,
    stream: false,
    nested: true,
  });
});

Deno.test("responseHeaderValue(): the field Q is sent to extended callers", () => {
  const header = { error: undefined, continued: false };
  const read = (value: unknown) =>
    decodeResponseHeader(codec, codec.encode(value));
  assertEquals(read(responseHeaderValue(header)).extended, false);
  const plain = read(responseHeaderValue(header, { keptIds: [] }));
  assertEquals([plain.extended, plain.keptIds], [true, []]);
  const keeping = read(responseHeaderValue(header, { keptIds: ["a", "b"] }));
  assertEquals([keeping.extended, keeping.keptIds], [true, ["a", "b"]]);
  const odd = read({ Q: { v: 1, keep: ["a", 1, null] } });
  assertEquals(odd.keptIds, ["a"]);
  assertEquals(read({ Q: { v: 1, keep: "a" } }).keptIds, []);
  assertEquals(read({ Q: { keep: ["a"] } }).keptIds, []);
});

Deno.test("callHeaderValue(): no field is decoded into a struct field of the reference", () => {
  const fields = Object.keys(callHeaderValue("a") as object)
    .map((name) => name.toLowerCase());
  for (const name of ["caller", "decoder", "context", "channel"]) {
    assertEquals(fields.includes(name), false, name);
  }
});

Deno.test("decodeCallHeader(): both dialects are read", () => {
  assertEquals(selectorOf({ Selector: "go" }), "go");
  assertEquals(selectorOf({ S: "duplex" }), "duplex");
  assertEquals(selectorOf({ S: "both", Selector: "both" }), "both");
  assertEquals(selectorOf({ Selector: "a", Q: { v: 1 }, x: [] }), "a");
});

Deno.test("decodeCallHeader(): a header without a selector calls the empty one", () => {
  for (const header of [{}, { Selector: null }, { S: null }, { other: 1 }]) {
    assertEquals(selectorOf(header), "");
  }
});

Deno.test("responseHeaderValue(): both dialects are sent, with null for no error", () => {
  assertEquals(responseHeaderValue({ error: undefined, continued: true }), {
    Error: null,
    Continue: true,
    E: null,
    C: true,
  });
  assertEquals(responseHeaderValue({ error: "no", continued: false }), {
    Error: "no",
    Continue: false,
    E: "no",
    C: false,
  });
});

Deno.test("decodeResponseHeader(): both dialects are read", () => {
  const done = { error: undefined, continued: false };
  assertEquals(responseOf({ Error: null, Continue: false }), done);
  assertEquals(responseOf({ E: null, C: true }), { ...done, continued: true });
  assertEquals(responseOf({ Error: "b", E: "b" }), { ...done, error: "b" });
  assertEquals(responseOf({ Continue: false, C: false }), done);
  assertEquals(responseOf({ E: "b" }), { ...done, error: "b" });
});

Deno.test("decodeResponseHeader(): null and absent fields mean the same", () => {
  const done = { error: undefined, continued: false };
  for (
    const header of [
      {},
      { Error: null },
      { Error: null, Continue: null, E: null, C: null },
      { Q: { v: 1, code: "x" } },
    ]
  ) assertEquals(responseOf(header), done);
});

Deno.test("decodeResponseHeader(): saysNull distinguishes a null error from an absent one", () => {
  const cases: [Codec, string | unknown, boolean][] = [
    [json(), { Error: null, Continue: false }, true],
    [json(), { E: null, C: false }, true],
    [json(), { Continue: false }, false],
    [json(), { C: true }, false],
    [json(), { Error: "no", Continue: false }, false],
    [cbor(), "a2654572726f72f668436f6e74696e7565f4", true],
    [cbor(), "b900026145f76143f4", false], // cbor-x's { E: undefined, C: false }
    [cbor(), "b900026145626e6f6143f4", false],
  ];
  for (const [codec, header, saysNull] of cases) {
    const bytes = typeof header === "string"
      ? fromHex(header)
      : codec.encode(header);
    assertEquals(decodeResponseHeader(codec, bytes).saysNull, saysNull);
  }
});

Deno.test("decodeResponseHeader(): an empty error text and a continued error are errors", () => {
  assertEquals(responseOf({ Error: "", Continue: false }).error, "");
  assertEquals(responseOf({ Error: "no", Continue: true }).error, "no");
});

/** Asserts that reading fails with `malformed-header` and a text. */
function assertMalformed(read: () => unknown, text: string): void {
  const error = assertThrows(read, RpcError, text);
  assertEquals(error.code, "malformed-header");
}

Deno.test("decodeCallHeader(): where a call comes from is read without a version, which says no more of the caller", () => {
  for (
    const [Q, from, extended] of [
      [{ v: 1, from: "_abcdef" }, "_abcdef", true],
      [{ from: "_abcdef" }, "_abcdef", false],
      [{ from: 1 }, undefined, false],
      [["_abcdef"], undefined, false],
      ["_abcdef", undefined, false],
      [null, undefined, false],
    ] as const
  ) {
    const header = decodeCallHeader(codec, codec.encode({ S: "x", Q }));
    assertEquals([header.from, header.extension !== undefined], [
      from,
      extended,
    ]);
  }
});

Deno.test("decodeCallHeader(): keys of both dialects must have the same value", () => {
  for (
    const header of [
      { Selector: "public", S: "admin" },
      { S: "admin", Selector: "public" },
      { Selector: null, S: "admin" },
      { Selector: "admin", S: null },
      { Selector: "", S: "admin" },
      { Selector: "a.b", S: "a/b" },
    ]
  ) {
    assertMalformed(
      () => selectorOf(header),
      'Cannot read call header: "Selector" and "S" differ',
    );
  }
  assertEquals(selectorOf({ Selector: "", S: null }), "");
});

Deno.test("decodeResponseHeader(): keys of both dialects must have the same value", () => {
  for (const [Error, E] of [["a", "b"], [null, "b"], ["a", null], ["", null]]) {
    assertMalformed(() => responseOf({ Error, E }), '"Error" and "E" differ');
  }
  for (const [Continue, C] of [[true, false], [null, true], [true, null]]) {
    assertMalformed(
      () => responseOf({ Continue, C }),
      '"Continue" and "C" differ',
    );
  }
  const done = { error: undefined, continued: false };
  assertEquals(responseOf({ Continue: null, C: false }), done);
});

Deno.test("decodeCallHeader(): a key that differs in case only is refused", () => {
  // The last begins with U+017F, which Go takes for an s.
  for (
    const key of ["selector", "SELECTOR", "sElector", "s", "\u017felector"]
  ) {
    for (const header of [{ Selector: "a", [key]: "b" }, { [key]: "b" }]) {
      assertMalformed(
        () => selectorOf(header),
        `Cannot read call header: "${key}" must not be one of its keys`,
      );
    }
  }
  for (const key of ["error", "ERROR", "e", "continue", "cOntinue", "c"]) {
    assertMalformed(
      () => responseOf({ Error: null, [key]: "b" }),
      `Cannot read response header: "${key}" must not be one of its keys`,
    );
  }
  assertEquals(selectorOf({ Selector: "a", Selectors: "b", e: 1 }), "a");
  assertEquals(responseOf({ Error: "a", Errors: "b", s: 1 }).error, "a");
});

Deno.test("decodeCallHeader(): a field of the reference's struct is refused", () => {
  for (const key of ["Caller", "Decoder", "Context", "Channel", "conteXt"]) {
    for (const value of [null, {}, "x"]) {
      assertMalformed(
        () => selectorOf({ Selector: "a", [key]: value }),
        `"${key}" must not be one of its keys`,
      );
    }
  }
});

Deno.test("decodeCallHeader(): a header with a key twice is refused, in every codec", () => {
  const texts = [
    '{"Selector":"a","Selector":"b"}',
    '{"Selector":"a","\\u0053elector":"a"}',
    '{"S":"a","x":{"y":[1,{"z":":"}]},"S":"b"}',
    '{ "Selector" : "a:b" , "x" : 1 , "x" : 1 }',
  ];
  for (const text of texts) {
    const bytes = new TextEncoder().encode(text);
    assertMalformed(
      () => decodeCallHeader(json(), bytes),
      "Cannot read call header: it has a key twice",
    );
  }
  for (
    const bytes of [
      fromHex("82a153a161a153a162"),
      fromHex("de0002a153a161a153a162"),
      fromHex("df00000002a153a161a153a162"),
      // The integer 1 and the text "1".
      fromHex("83a153a16101c0a131c0"),
    ]
  ) {
    assertMalformed(
      () => decodeCallHeader(msgpack(), bytes),
      "it has a key twice",
    );
  }
  for (const hex of ["a26153616161536162", "bf6153616161536162ff"]) {
    const bytes = fromHex(hex.replace(" ", ""));
    assertThrows(
      () => decodeCallHeader(cbor(), bytes),
      CodecError,
      "found repeat map key",
    );
  }
});

Deno.test("decodeCallHeader(): keys inside of fields are not counted", () => {
  const text =
    '{"Selector":"a:\\"{","Q":{"v":1,"meta":{"Selector":"b","x":[{"x":1}]}}}';
  const bytes = new TextEncoder().encode(text);
  assertEquals(decodeCallHeader(json(), bytes).selector, 'a:"{');
  for (const codec of [json(), cbor(), msgpack()]) {
    const header = { Selector: "a", S: "a", Q: { v: 1, meta: { S: [{}] } } };
    const { selector, extension } = decodeCallHeader(
      codec,
      codec.encode(header),
    );
    assertEquals([selector, extension], ["a", header.Q]);
  }
});

Deno.test("decodeCallHeader(): headers must be maps with fields of the right types", () => {
  for (const header of [null, 1, "S", true, [], ["S"], [{ S: "a" }]]) {
    for (const read of [selectorOf, responseOf]) {
      const error = assertThrows(() => read(header), RpcError, "not a map");
      assertEquals(error.code, "malformed-header");
    }
  }
  const wrong: [() => unknown, string][] = [
    [() => selectorOf({ Selector: 1 }), '"Selector" has the wrong type'],
    [() => selectorOf({ S: ["a"] }), '"Selector" has the wrong type'],
    [() => responseOf({ Error: 1 }), '"Error" has the wrong type'],
    [() => responseOf({ Error: false }), '"Error" has the wrong type'],
    [() => responseOf({ E: {} }), '"Error" has the wrong type'],
    [() => responseOf({ Continue: 1 }), '"Continue" has the wrong type'],
    [() => responseOf({ C: "true" }), '"Continue" has the wrong type'],
  ];
  for (const [read, text] of wrong) {
    const error = assertThrows(read, RpcError, text);
    assertEquals(error.code, "malformed-header");
  }
});

Deno.test("decodeCallHeader(): bytes, dates and typed arrays are not headers", () => {
  const headers: [Codec, Uint8Array][] = [
    [msgpack(), msgpack().encode(new Uint8Array([1, 2]))],
    [cbor(), fromHex("420102")],
    [cbor(), fromHex("c100")],
    [cbor(), fromHex("d8454401000200")],
  ];
  for (const [codec, bytes] of headers) {
    for (const read of [decodeCallHeader, decodeResponseHeader]) {
      assertThrows(() => read(codec, bytes), RpcError, "not a map");
    }
  }
});

Deno.test("decodeCallHeader(): bytes that are not a value are an error of the codec", () => {
  const bytes = new Uint8Array([0xff]);
  assertThrows(() => decodeCallHeader(codec, bytes), CodecError);
  assertThrows(() => decodeResponseHeader(codec, bytes), CodecError);
});

/** A source that has received all of its bytes. */
function arrived(
  bytes: Uint8Array,
): ConstructorParameters<typeof ValueReader>[0] {
  let start = 0;
  return {
    ended: true,
    failure: undefined,
    get chunk() {
      return start === bytes.length ? undefined : bytes;
    },
    get chunkStart() {
      return start;
    },
    chunkEnd: bytes.length,
    consume: (taken) => start += taken,
    whenReadable: (callback) => callback(),
  };
}

function counting() {
  const decoded: string[] = [];
  const cache = new HeaderCache((bytes) => {
    const text = new TextDecoder().decode(bytes);
    decoded.push(text);
    return { text };
  });
  return { cache, decoded };
}

Deno.test("HeaderCache.get: the same bytes are decoded once", () => {
  const { cache, decoded } = counting();
  const first = cache.get(utf8("a"));
  assertEquals(cache.get(utf8("a")) === first, true);
  assertEquals(cache.get(utf8("b")), { text: "b" });
  assertEquals(decoded, ["a", "b"]);
});

Deno.test("HeaderCache.get: the result does not depend on earlier headers", () =>
  forSeeds(20, (random) => {
    const { cache } = counting();
    for (let i = 0; i < 2_000; i++) {
      const text = String(random.int(0, 600)).repeat(random.pick([1, 2, 60]));
      assertEquals(cache.get(utf8(text)), { text });
    }
  }));

Deno.test("HeaderCache.get: the cache keeps a copy of the bytes", () => {
  // So many headers that some of them share a slot of the cache.
  for (let i = 0; i < 5_000; i++) {
    const { cache } = counting();
    const bytes = utf8(`before ${10_000 + i}`);
    cache.get(bytes);
    bytes.set(utf8(`header ${20_000 + i}`));
    assertEquals(cache.get(bytes), { text: `header ${20_000 + i}` });
  }
});

Deno.test("HeaderCache.get: decode() may keep the bytes that it gets", () => {
  const seen: Uint8Array[] = [];
  const cache = new HeaderCache((bytes) => seen.push(bytes));
  for (const text of ["short", "long".repeat(100)]) {
    const bytes = utf8(text);
    cache.get(bytes);
    bytes.fill(0);
    assertEquals(seen.at(-1), utf8(text));
  }
});

Deno.test("HeaderCache.get: long headers are not cached", () => {
  const { cache, decoded } = counting();
  const long = "x".repeat(1_000);
  cache.get(utf8(long));
  cache.get(utf8(long));
  assertEquals(decoded.length, 2);
});

Deno.test("HeaderCache.get: headers that cannot be decoded are not cached", () => {
  let works = false;
  const cache = new HeaderCache(() => {
    if (!works) throw new RangeError("bad");
    return "good";
  });
  assertThrows(() => cache.get(utf8("a")), RangeError);
  works = true;
  assertEquals(cache.get(utf8("a")), "good");
});

Deno.test("HeaderCache.read: the same header is decoded once, wherever it has arrived", () => {
  const { cache, decoded } = counting();
  const bytes = concat(
    ...["a", "a", "b", "a"].map((text) => framed(utf8(text))),
  );
  const reader = new ValueReader(arrived(bytes));
  const read = Array.from({ length: 4 }, () => cache.read(reader, 10));
  assertEquals(read.map((header) => header?.text), ["a", "a", "b", "a"]);
  assertEquals(decoded, ["a", "b"]);
  assertEquals(cache.read(reader, 10), null);
});

Deno.test("HeaderCache.read: the size is that of the header that was read last", () => {
  const { cache } = counting();
  const texts = ["long".repeat(5), "short", "short", "long".repeat(100)];
  const reader = new ValueReader(
    arrived(concat(...texts.map((text) => framed(utf8(text))))),
  );
  for (const text of texts) {
    cache.read(reader, 1_000);
    assertEquals(cache.size, text.length);
  }
});

Deno.test("HeaderCache.read: a header beyond the limit is refused", () => {
  const { cache } = counting();
  const reader = new ValueReader(arrived(framed(utf8("too long"))));
  assertThrows(() => cache.read(reader, 7), CodecError, "exceed the limit");
});

Deno.test("responseHeaderCache(): sessions with the same codec have one entry for the same header", () => {
  const bytes = utf8('{"E":null,"C":false}');
  const counted = [0, 0];
  const caches = counted.map((_, i) =>
    responseHeaderCache(codec, () => counted[i]!++)
  );
  const [first, second] = caches.map((cache) => cache.get(bytes.slice()));
  assertStrictEquals(first, second);
  assertEquals(counted, [1, 1], "each session counts the memory");
  const other = responseHeaderCache(json()).get(bytes);
  assertEquals(other, first!);
  assertNotStrictEquals(other, first!);
});

Deno.test("responseHeaderCache(): details of an error are decoded anew, in every session", () => {
  const text = '{"E":"no","Q":{"v":1,"name":"X","details":[1]}}';
  const [first, second] = [1, 2].map(() =>
    responseHeaderCache(codec).get(utf8(text))
  );
  assertEquals(first, second);
  assertNotStrictEquals(first!.about!.details, second!.about!.details);
});

Deno.test("sharedHeader(): it returns a copy, and the same one for the same bytes", () => {
  const bytes = Uint8Array.of(1, 2);
  const kept = sharedHeader(bytes);
  bytes[0] = 3;
  assertEquals([...kept], [1, 2]);
  assertStrictEquals(sharedHeader(Uint8Array.of(1, 2)), kept);
  assertEquals([...sharedHeader(bytes)], [3, 2]);
});

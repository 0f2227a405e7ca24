import { assertEquals, assertThrows } from "@std/assert";
import { cbor } from "../../../codec/cbor/cbor.ts";
import type { Codec } from "../../../codec/codec.ts";
import { json } from "../../../codec/json.ts";
import { msgpack } from "../../../codec/msgpack/msgpack.ts";
import { fromHex } from "../../../tests/support/wire.ts";
import { assertMalformed, responseOf } from "../../../tests/support/headers.ts";
import { RpcError } from "../../errors.ts";
import { decodeCallHeader } from "../../server/request_decoder.ts";
import { callHeaderValue } from "./call_header.ts";
import { decodeResponseHeader } from "./response_header.ts";
import { CodecError } from "../../../codec/internal.ts";

const codec = json();

function selectorOf(header: unknown): string {
  return decodeCallHeader(codec, codec.encode(header)).selector;
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

import { assertEquals, assertThrows } from "@std/assert";
import { cbor } from "../../codec/cbor/cbor.ts";
import type { Codec } from "../../codec/codec.ts";
import { CodecError } from "../../codec/errors.ts";
import { json } from "../../codec/json.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import { fromHex } from "../../tests/support/wire.ts";
import { RpcError } from "../errors.ts";
import {
  callHeaderValue,
  decodeCallHeader,
  decodeResponseHeader,
  type ResponseHeader,
  responseHeaderValue,
} from "./headers.ts";

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
    decodeCallHeader(codec, codec.encode(header)).extended;
  assertEquals(isExtended(callHeaderValue("a")), true);
  assertEquals(isExtended({ Selector: "a", Q: { v: 2, more: [] } }), true);
  const others = [{}, { v: 0 }, { v: "1" }, 1, "v", null, []];
  for (const Q of others) assertEquals(isExtended({ Selector: "a", Q }), false);
  assertEquals(isExtended({ Selector: "a" }), false);
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

Deno.test("decodeCallHeader(): both dialects are read, the older one first", () => {
  assertEquals(selectorOf({ Selector: "go" }), "go");
  assertEquals(selectorOf({ S: "duplex" }), "duplex");
  assertEquals(selectorOf({ S: "duplex", Selector: "go" }), "go");
  assertEquals(selectorOf({ Selector: null, S: "duplex" }), "duplex");
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

Deno.test("decodeResponseHeader(): both dialects are read, the older one first", () => {
  const done = { error: undefined, continued: false };
  assertEquals(responseOf({ Error: null, Continue: false }), done);
  assertEquals(responseOf({ E: null, C: true }), { ...done, continued: true });
  assertEquals(responseOf({ Error: "a", E: "b" }), { ...done, error: "a" });
  assertEquals(responseOf({ Error: null, E: "b" }), { ...done, error: "b" });
  assertEquals(responseOf({ Continue: false, C: true }), done);
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

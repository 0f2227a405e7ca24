import {
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import { cbor } from "../../../codec/cbor/cbor.ts";
import type { Codec } from "../../../codec/codec.ts";
import { json } from "../../../codec/json.ts";
import { fromHex, utf8 } from "../../../tests/support/wire.ts";
import { assertMalformed, responseOf } from "../../../tests/support/headers.ts";
import {
  decodeResponseHeader,
  responseHeaderCache,
  responseHeaderValue,
} from "./response_header.ts";

const codec = json();

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

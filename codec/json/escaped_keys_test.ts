import { assert, assertEquals, assertThrows } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import type { Codec } from "../codec.ts";
import { CodecError } from "../errors.ts";
import { json } from "../json.ts";
import { mayHaveEscapedKey } from "./rewriting.ts";

const CODECS = [json(), json({ bigint: true })];

function decoded(text: string, codec: Codec): unknown {
  return codec.decode(new TextEncoder().encode(text));
}

Deno.test("EscapedKeys.parse: keys come back as they were, with all that is in the value", () => {
  for (
    const text of [
      '{"a\\n":1}',
      '{"x":[{"\\u0061":1,"~1":2,"~\\\\":3}],"\\"":"\\"","y":"a\\n:"}',
      '{ "a\\t" : {"b\\t":null} , "a" : [ "\\\\" , ":" , {} ] }',
      '{"__proto__":{"a\\n":1},"\\u005f_proto__":2}',
      '{"a\\n":1,"b":2,"a\\u000a":3}',
      '"a\\n"',
      '{"\\ud83d":1,"\\ud83d\\ude00":2,"\u00e4\\n\u20ac":3}',
    ]
  ) {
    const large = `{"a":"${"x".repeat(2_000)}","b":${text}}`;
    for (const codec of CODECS) {
      assertEquals(decoded(text, codec), JSON.parse(text), text);
      assertEquals(decoded(large, codec), JSON.parse(large), large);
    }
  }
});

Deno.test("EscapedKeys.parse: there can be long integers, too", () => {
  const text = '{"a\\n":12345678901234567890,"b":[1234567890123456789]}';
  const [numbers, bigints] = CODECS;
  assertEquals(decoded(text, bigints!), {
    "a\n": 12345678901234567890n,
    b: [1234567890123456789n],
  });
  assertEquals(decoded(text, numbers!), JSON.parse(text));
  for (const codec of CODECS) {
    assertThrows(
      () => decoded('{"a\\n":1e400}', codec),
      CodecError,
      "the number 1e400 is too large",
    );
  }
});

Deno.test("EscapedKeys.parse: text that is not valid is refused", () => {
  for (
    const text of ['{"a\\n":}', '{"a\\x":1}', '{"a\\n":1', '{"a\\', '{"a\\":1']
  ) {
    assertThrows(() => JSON.parse(text), SyntaxError);
    for (const codec of CODECS) {
      assertThrows(
        () => decoded(text, codec),
        CodecError,
        "Cannot decode value as JSON",
      );
    }
  }
});

Deno.test("mayHaveEscapedKey(): holds for all text that has one", () => {
  for (const text of ['{"a\\n":1}', '{"a":1,"\\u0062" :1}', '[{"\\\\":{}}]']) {
    assert(mayHaveEscapedKey(text), text);
  }
  for (const text of ['["a\\n"]', '{"a":"b"}', '{"a":["b\\n","c"]}', "1"]) {
    assert(!mayHaveEscapedKey(text), text);
  }
});

Deno.test("json(): a key is not confused with a key of an earlier value", async () => {
  await forSeeds(300, (random) => {
    const codec = random.pick([json, () => json({ bigint: true })])();
    const escaped = ["\n", "\t", '"', "\\", "\b", "\f", "\r", "\u0001"];
    const before = random.pick(["", "a", "aa", "ab"]);
    const after = random.pick(["", "x"]);
    // The first key may be remembered, the second one must not be taken for it.
    for (const special of ["\\", random.pick(escaped)]) {
      const value = { k: 1, [`${before}${special}${after}`]: 2 };
      const large = { value, more: "x".repeat(random.int(0, 1) * 5_000) };
      for (const each of [value, large]) {
        const text = JSON.stringify(each);
        const back = codec.decode(new TextEncoder().encode(text));
        assertEquals(JSON.stringify(back), text);
      }
    }
  });
});

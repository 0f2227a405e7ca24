import { bytes, type Grammar, named } from "./grammar.ts";

const NOTHING = new Uint8Array(0);
const COMMA = bytes(",");

function separated(begin: string, end: string, key: (i: number) => string) {
  return {
    begin: () => bytes(begin),
    before: (i: number) => bytes((i === 0 ? "" : ",") + key(i)),
    end: () => bytes(end),
  };
}

/** The pieces of JSON. */
export const jsonGrammar: Grammar = {
  tokens: named({
    "0": "0",
    "-0": "-0",
    "1.5": "1.5",
    "1e5": "1e5",
    "1e-400": "1e-400",
    "a long fraction": "0.1234567890123456789012345678901234567890",
    "a long integer": "12345678901234567890",
    "null": "null",
    "true": "true",
    "an empty text": '""',
    "a text": '"abcdefgh"',
    "an escape": '"\\u0041"',
    "escapes": '"\\"\\\\\\n\\u00e4\\u20ac"',
    "a wide text": '"€€€"',
    "an empty list": "[]",
    "a list": "[0]",
    "an empty object": "{}",
    "an object": '{"a":0}',
    "an odd key": '{"__proto__":0}',
    "a pointer": '{"$fnptr":"a"}',
    "half a pointer": '{"$fnptr":"a","b":0}',
    "a dollar": '"$"',
    "an empty object in lists": "[[[{}]]]",
    "blanks": "    0",
  }),
  containers: {
    "a list": separated("[", "]", () => ""),
    "an object of one key": separated("{", "}", () => '"k":'),
    "an object of short keys": separated(
      "{",
      "}",
      (i) => `"${i.toString(36)}":`,
    ),
    "an object of numbers": separated("{", "}", (i) => `"${i}":`),
    "an object of escaped keys": separated(
      "{",
      "}",
      (i) => `"\\u0061${i.toString(36)}":`,
    ),
    "a list after a long integer": {
      begin: () => bytes("[12345678901234567890"),
      before: () => COMMA,
      end: () => bytes("]"),
    },
    "a list after a pointer": {
      begin: () => bytes('[{"$fnptr":"a"}'),
      before: () => COMMA,
      end: () => bytes("]"),
    },
    "one text": {
      begin: () => bytes('"'),
      before: () => NOTHING,
      end: () => bytes('"'),
    },
  },
};

import {
  bytes,
  crowdedDigits,
  type Grammar,
  id,
  join,
  manyKeys,
  NOTHING,
  repeated,
  shuffledLetters,
  tokens,
} from "./grammar.ts";

const COMMA = bytes(",");
const QUOTE = bytes('"');

function separated(begin: string, end: string, key?: (i: number) => string) {
  return {
    begin: () => bytes(begin),
    before: (i: number) => {
      if (key === undefined) return i === 0 ? NOTHING : COMMA;
      return bytes((i === 0 ? "" : ",") + key(i));
    },
    end: () => bytes(end),
  };
}

function text(piece: string | readonly number[]) {
  return repeated(piece, () => QUOTE, QUOTE);
}

function object(keys: readonly string[]): string {
  return `{${keys.map((key) => `"${key}":0`).join(",")}}`;
}

/** The pieces of JSON. */
export const jsonGrammar: Grammar = {
  tokens: tokens({
    "0": "0",
    "-0": "-0",
    "1.5": "1.5",
    "1e5": "1e5",
    "1e-400": "1e-400",
    "1e308": "1e308",
    "308 digits": "1".repeat(308),
    "a long fraction": "0.1234567890123456789012345678901234567890",
    "a number between two doubles":
      "2.2250738585072011360574097967091319759e-308",
    "a fraction of 800 digits": `8.${"9".repeat(800)}`,
    "a long integer": "12345678901234567890",
    "the first long integer": "9007199254740992",
    "an integer of 4,096 digits": "9".repeat(4_096),
    "null": "null",
    "true": "true",
    "an empty text": '""',
    "a text": '"abcdefgh"',
    "other texts": (i) => bytes(`"${id(i + 46_656)}"`),
    "other longer texts": (i) => bytes(`"${id(i).padStart(27, "x")}"`),
    "other escaped texts": (i) => bytes(`"\\n${id(i)}"`),
    "digits": (i) => bytes(`"${i}"`),
    "digits far apart": (i) => bytes(`"${(i * 4_096) % 9_999_991}"`),
    "8 digits": (i) => bytes(`"${10_000_000 + i}"`),
    "crowded digits": (i) => bytes(`"${crowdedDigits(i)}"`),
    "an escape": '"\\u0041"',
    "escapes": '"\\"\\\\\\n\\u00e4\\u20ac"',
    "a surrogate": '"\\ud83d"',
    "a wide text": '"€€€"',
    "an empty list": "[]",
    "a list": "[0]",
    "lists in one another": "[[[[[[[[]]]]]]]]",
    "an empty object": "{}",
    "an object": '{"a":0}',
    "objects in one another": '{"a":{"a":{"a":{}}}}',
    "an object of two": '{"a":0,"b":0}',
    "an object of a key twice": '{"a":0,"a":0}',
    "an object of 30 keys": object(manyKeys(30)),
    "an object of 200 keys": object(manyKeys(200)),
    "an object of a long key": object(["k".repeat(200)]),
    "other objects": (i) => bytes(object([`${id(i)}x`])),
    "other second keys": (i) => bytes(object(["a", `${id(i)}x`])),
    "other objects of 3 keys": (i) =>
      bytes(object([`${id(i)}x`, `${id(i)}y`, `${id(i)}z`])),
    "other orders of 4 keys": (i) =>
      bytes(object(shuffledLetters(i).slice(0, 4))),
    "other orders of 9 keys": (i) =>
      bytes(object(shuffledLetters(i).slice(0, 9))),
    "an index": '{"0":0}',
    "an index that needs room": '{"35":0}',
    "an index far away": '{"99999":0}',
    "a row": (i) =>
      bytes(`{"id":${i},"name":"n${i}","ok":true,"x":${i / 7},"tags":["a"]}`),
    "an odd key": '{"__proto__":0}',
    "a pointer": '{"$fnptr":"a"}',
    "half a pointer": '{"$fnptr":"a","b":0}',
    "a dollar": '"$"',
    "an empty object in lists": "[[[{}]]]",
    "blanks": "    0",
    "something else": "@",
  }),
  containers: {
    "a list": separated("[", "]"),
    "an object of one key": separated("{", "}", () => '"k":'),
    "an object of short keys": separated("{", "}", (i) => `"${id(i)}":`),
    "an object of numbers": separated("{", "}", (i) => `"${i}":`),
    "an object of numbers far apart": separated(
      "{",
      "}",
      (i) => `"${i * 1_000}":`,
    ),
    "an object of escaped keys": separated(
      "{",
      "}",
      (i) => `"\\u0061${id(i)}":`,
    ),
    "an object of wide keys": separated("{", "}", (i) => `"€${id(i)}":`),
    "lists of one": {
      begin: () => bytes("["),
      before: (i) => bytes(i === 0 ? "[" : "],["),
      end: () => bytes("]]"),
    },
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
      begin: () => QUOTE,
      before: () => NOTHING,
      end: () => QUOTE,
    },
  },
  fillers: {
    "ASCII": text("x"),
    "wide text": (size) => join('"€', "x".repeat(Math.max(0, size - 5)), '"'),
    "two bytes": text("é"),
    "three bytes": text("€"),
    "four bytes": text("😀"),
    "short escapes": text("\\n"),
    "escaped quotes": text('\\"'),
    "long escapes": text("\\u20ac"),
    "invalid bytes": text([0xff]),
    "cut characters": text([0xe2]),
    "blanks": repeated(" ", () => NOTHING, bytes("0")),
    "digits": repeated("1", () => bytes("0.")),
  },
};

import { bytes, counted, type Grammar, named } from "./grammar.ts";

const NOTHING = new Uint8Array(0);
const BREAK = bytes([0xff]);

/** A key for an index. */
function key(i: number): Uint8Array {
  const text = i.toString(36);
  return bytes([0x60 + text.length, ...bytes(text)]);
}

/** The pieces of CBOR (RFC 8949). */
export const cborGrammar: Grammar = {
  tokens: named({
    "0": [0x00],
    "a small integer": [0x18, 0xff],
    "a long integer": [0x1b, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "a long negative": [0x3b, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "null": [0xf6],
    "undefined": [0xf7],
    "true": [0xf5],
    "half a float": [0xf9, 0x3c, 0x00],
    "a double": [0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
    "empty bytes": [0x40],
    "a byte": [0x41, 0x00],
    "an empty text": [0x60],
    "a text": [0x61, 0x61],
    "an empty list": [0x80],
    "a list": [0x81, 0x00],
    "an empty map": [0xa0],
    "a map": [0xa1, 0x61, 0x61, 0x00],
    "a map of a number": [0xa1, 0x00, 0x00],
    "a date": [0xc1, 0x00],
    "a date as text": [0xc0, 0x60],
    "a big integer": [0xc2, 0x41, 0x01],
    "tagged bytes": [0xd8, 0x40, 0x40],
    "a tagged Map": [0xd9, 0x01, 0x03, 0xa0],
    "a tag unknown": [0xd8, 0xff, 0x00],
    "endless bytes": [0x5f, 0xff],
    "an endless text": [0x7f, 0xff],
    "an endless list": [0x9f, 0xff],
    "an endless map": [0xbf, 0xff],
    "a long length": [0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
    "a pointer": [0xa1, 0x66, ...bytes("$fnptr"), 0x61, 0x61],
  }),
  containers: {
    "a list": {
      begin: (entries) => counted(0x9a, entries),
      before: () => NOTHING,
      end: () => NOTHING,
    },
    "an endless list": {
      begin: () => bytes([0x9f]),
      before: () => NOTHING,
      end: () => BREAK,
    },
    "a map of short keys": {
      begin: (entries) => counted(0xba, entries),
      before: key,
      end: () => NOTHING,
    },
    "a map of one key": {
      begin: (entries) => counted(0xba, entries),
      before: () => bytes([0x61, 0x6b]),
      end: () => NOTHING,
    },
    "an endless map": {
      begin: () => bytes([0xbf]),
      before: key,
      end: () => BREAK,
    },
    "lists of one": {
      begin: (entries) => counted(0x9a, entries),
      before: () => bytes([0x81]),
      end: () => NOTHING,
    },
  },
};

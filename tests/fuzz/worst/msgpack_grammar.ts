import { bytes, counted, type Grammar, named } from "./grammar.ts";

const NOTHING = new Uint8Array(0);

/** A key for an index. */
function key(i: number): Uint8Array {
  const text = i.toString(36);
  return bytes([0xa0 + text.length, ...bytes(text)]);
}

/** The pieces of MessagePack. */
export const msgpackGrammar: Grammar = {
  tokens: named({
    "0": [0x00],
    "a small integer": [0xcc, 0xff],
    "a long integer": [0xcf, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "a long negative": [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    "nil": [0xc0],
    "true": [0xc3],
    "a float": [0xca, 0x3f, 0xc0, 0, 0],
    "a double": [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
    // A double that the codec sets apart for itself.
    "a double set apart": [0xcb, 0x1a, 0x70, 0, 0, 0, 0, 0, 0],
    "empty bytes": [0xc4, 0x00],
    "a byte": [0xc4, 0x01, 0x00],
    "an empty text": [0xa0],
    "a text": [0xa1, 0x61],
    "a text with a length": [0xd9, 0x00],
    "an empty list": [0x90],
    "a list": [0x91, 0x00],
    "an empty map": [0x80],
    "a map": [0x81, 0xa1, 0x61, 0x00],
    "a map of a number": [0x81, 0x00, 0x00],
    "a list with a length": [0xdc, 0x00, 0x00],
    "a map with a length": [0xde, 0x00, 0x00],
    "a timestamp": [0xd6, 0xff, 0, 0, 0, 0],
    "an extension": [0xd4, 0x01, 0x00],
    "an empty extension": [0xc7, 0x00, 0x01],
    "a pointer": [0x81, 0xa6, ...bytes("$fnptr"), 0xa1, 0x61],
  }),
  containers: {
    "a list": {
      begin: (entries) => counted(0xdd, entries),
      before: () => NOTHING,
      end: () => NOTHING,
    },
    "a map of short keys": {
      begin: (entries) => counted(0xdf, entries),
      before: key,
      end: () => NOTHING,
    },
    "a map of one key": {
      begin: (entries) => counted(0xdf, entries),
      before: () => bytes([0xa1, 0x6b]),
      end: () => NOTHING,
    },
    "lists of one": {
      begin: (entries) => counted(0xdd, entries),
      before: () => bytes([0x91]),
      end: () => NOTHING,
    },
  },
};

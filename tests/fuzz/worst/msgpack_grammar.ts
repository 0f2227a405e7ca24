import {
  bytes,
  counted,
  type Grammar,
  id,
  join,
  manyKeys,
  NOTHING,
  repeated,
  shuffledLetters,
  tokens,
} from "./grammar.ts";

/** A text of up to 255 bytes. */
function text(of: string): Uint8Array {
  const encoded = bytes(of);
  return encoded.length < 32
    ? join([0xa0 + encoded.length], encoded)
    : join([0xd9, encoded.length], encoded);
}

function integer(value: number): Uint8Array {
  return counted(0xce, value);
}

function map(keys: readonly string[]): Uint8Array {
  return join(
    [0xde, 0, keys.length],
    ...keys.flatMap((key) => [text(key), [0]]),
  );
}

function mapContainer(key: (i: number) => Uint8Array) {
  return {
    begin: (entries: number) => counted(0xdf, entries),
    before: key,
    end: () => NOTHING,
  };
}

const textOf = (piece: string | readonly number[]) =>
  repeated(piece, (length) => counted(0xdb, length));
const mapOf30 = map(manyKeys(30));
const mapOf200 = map(manyKeys(200));
const mapOfLong = map(["k".repeat(200)]);

/** The pieces of MessagePack. */
export const msgpackGrammar: Grammar = {
  tokens: tokens({
    "0": [0x00],
    "a small integer": [0xcc, 0xff],
    "an integer": (i) => integer(i),
    "a wide integer": [0xcf, 0, 0, 0x7f, 0, 0, 0, 0, 0],
    "a long integer": [0xcf, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "a long negative": [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    "nil": [0xc0],
    "true": [0xc3],
    "a float": [0xca, 0x3f, 0xc0, 0, 0],
    "a double": [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 1],
    // A double that the codec reserves.
    "a reserved double": [0xcb, 0x1a, 0x70, 0, 0, 0, 0, 0, 0],
    "empty bytes": [0xc4, 0x00],
    "a byte": [0xc4, 0x01, 0x00],
    "100 bytes": join([0xc4, 100], new Uint8Array(100)),
    "an empty text": [0xa0],
    "a text": [0xa1, 0x61],
    "a text with a length": [0xd9, 0x00],
    "other texts": (i) => text(id(i + 46_656)),
    "other longer texts": (i) => text(id(i).padStart(20, "x")),
    "other texts of 40 bytes": (i) => text(id(i).padStart(40, "x")),
    "other wide texts": (i) => text(`€${id(i)}`),
    "other long wide texts": (i) => text(`€${id(i).padStart(40, "x")}`),
    "invalid texts": (i) => join([0xa4, 0xff], id(i + 46_656).slice(-3)),
    "an empty list": [0x90],
    "a list": [0x91, 0x00],
    "lists in one another": [0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90],
    "an empty map": [0x80],
    "a map": [0x81, 0xa1, 0x61, 0x00],
    "a map of a number": [0x81, 0x00, 0x00],
    "a map of a negative": [0x81, 0xff, 0x00],
    "a map of a wide integer": [0x81, 0xcf, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0x00],
    "a map of 30 keys": () => mapOf30,
    "a map of 200 keys": () => mapOf200,
    "a map of a long key": () => mapOfLong,
    "a map of a key of nine": join([0x81], text("ninebytes"), [0x00]),
    "other maps": (i) => map([`${id(i)}x`]),
    "other second keys": (i) => map(["a", `${id(i)}x`]),
    "other maps of 3 keys": (i) => map([`${id(i)}x`, `${id(i)}y`, `${id(i)}z`]),
    "other orders of 9 keys": (i) => map(shuffledLetters(i).slice(0, 9)),
    "an index of 300": [0x81, 0xcd, 0x01, 0x2c, 0x00],
    "an index of 1023": [0x81, 0xcd, 0x03, 0xff, 0x00],
    "an index of 1023 as text": join([0x81], text("1023"), [0x00]),
    "indexes of 1023 and 2047": join(
      [0x82, 0xcd, 0x03, 0xff, 0x00, 0xcd, 0x07, 0xff, 0x00],
    ),
    "an index far away": [0x81, 0xce, 0x00, 0x01, 0x86, 0x9f, 0x00],
    "a row": (i) =>
      join([0x84], text("id"), integer(i), text("name"), text(`n${i}`), [
        ...text("ok"),
        0xc3,
        ...text("x"),
        0xcb,
        ...new Uint8Array(new Float64Array([i / 7]).buffer).reverse(),
      ]),
    "a list with a length": [0xdc, 0x00, 0x00],
    "a map with a length": [0xde, 0x00, 0x00],
    "a timestamp": [0xd6, 0xff, 0, 0, 0, 0],
    "an extension": [0xd4, 0x01, 0x00],
    "an empty extension": [0xc7, 0x00, 0x01],
    "a pointer": join([0x81], text("$fnptr"), text("a")),
  }),
  containers: {
    "a list": {
      begin: (entries) => counted(0xdd, entries),
      before: () => NOTHING,
      end: () => NOTHING,
    },
    "a map of short keys": mapContainer((i) => text(id(i))),
    "a map of integers": mapContainer(integer),
    "a map of integers far apart": mapContainer((i) => integer(i * 1_000)),
    "a map of one key": mapContainer(() => bytes([0xa1, 0x6b])),
    "lists of one": {
      begin: (entries) => counted(0xdd, entries),
      before: () => bytes([0x91]),
      end: () => NOTHING,
    },
  },
  fillers: {
    "ASCII": textOf("x"),
    "wide text": (size) =>
      join(
        counted(0xdb, Math.max(3, size - 5)),
        "€",
        "x".repeat(Math.max(0, size - 8)),
      ),
    "two bytes": textOf("é"),
    "three bytes": textOf("€"),
    "four bytes": textOf("😀"),
    "invalid bytes": textOf([0xff]),
    "cut characters": textOf([0xe2]),
    "bytes": repeated([0], (length) => counted(0xc6, length)),
  },
};

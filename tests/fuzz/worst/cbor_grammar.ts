import {
  bytes,
  counted,
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

const BREAK = bytes([0xff]);

/** A text of up to 255 bytes. */
function text(of: string): Uint8Array {
  const encoded = bytes(of);
  return encoded.length < 24
    ? join([0x60 + encoded.length], encoded)
    : join([0x78, encoded.length], encoded);
}

/** An unsigned integer of up to 32 bits. */
function integer(value: number): Uint8Array {
  return counted(0x1a, value);
}

function map(keys: readonly string[]): Uint8Array {
  return join([0xb8, keys.length], ...keys.flatMap((key) => [text(key), [0]]));
}

function mapContainer(key: (i: number) => Uint8Array) {
  return {
    begin: (entries: number) => counted(0xba, entries),
    before: key,
    end: () => NOTHING,
  };
}

function taggedMap(key: (i: number) => Uint8Array) {
  const map = mapContainer(key);
  return {
    ...map,
    begin: (entries: number) => join([0xd9, 0x01, 0x03], map.begin(entries)),
  };
}

const colliding: number[] = [];

/** Integers that V8 finds in the same bucket of a Map or a Set. */
function sameHash(index: number): number {
  // More of them do not fit in any value that is accepted.
  const at = index % 4_096;
  for (let i = (colliding.at(-1) ?? -1) + 1; colliding.length <= at; i++) {
    if ((hashOf(i) & 0x3fff) === 5) colliding.push(i);
  }
  return colliding[at]!;
}

/** The hash that V8 makes of a small integer. */
function hashOf(integer: number): number {
  let hash = ~integer + (integer << 15);
  hash ^= hash >>> 12;
  hash += hash << 2;
  hash ^= hash >>> 4;
  hash = Math.imul(hash, 2_057);
  hash ^= hash >>> 16;
  return hash & 0x3fff_ffff;
}

const textOf = (piece: string | readonly number[]) =>
  repeated(piece, (length) => counted(0x7a, length));
const bignum = join([0xc2, 0x59, 0x06, 0xa4], new Uint8Array(1_700).fill(0x77));

/** The pieces of CBOR (RFC 8949). */
export const cborGrammar: Grammar = {
  tokens: tokens({
    "0": [0x00],
    "a small integer": [0x18, 0xff],
    "an integer": (i) => integer(i),
    "a wide integer": [0x1b, 0, 0, 0x7f, 0, 0, 0, 0, 0],
    "a long integer": [0x1b, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "a long negative": [0x3b, 0x7f, 0, 0, 0, 0, 0, 0, 0],
    "null": [0xf6],
    "undefined": [0xf7],
    "true": [0xf5],
    "half a float": [0xf9, 0x3c, 0x01],
    "a float": [0xfa, 0x3f, 0xc0, 0x00, 0x01],
    "a double": [0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 1],
    "empty bytes": [0x40],
    "a byte": [0x41, 0x00],
    "100 bytes": join([0x58, 100], new Uint8Array(100)),
    "an empty text": [0x60],
    "a text": [0x61, 0x61],
    "other texts": (i) => text(id(i + 46_656)),
    "other longer texts": (i) => text(id(i).padStart(20, "x")),
    "other texts of 40 bytes": (i) => text(id(i).padStart(40, "x")),
    "other wide texts": (i) => text(`€${id(i)}`),
    "other long wide texts": (i) => text(`€${id(i).padStart(40, "x")}`),
    "replaced characters": (i) => text(`\ufffd${id(i).padStart(20, "x")}`),
    "an empty list": [0x80],
    "a list": [0x81, 0x00],
    "lists in one another": [0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x80],
    "an empty map": [0xa0],
    "a map": [0xa1, 0x61, 0x61, 0x00],
    "a map of a number": [0xa1, 0x00, 0x00],
    "a map of a negative": [0xa1, 0x20, 0x00],
    "a map of a long integer": [0xa1, 0x1b, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0x00],
    "a map of undefined": [0xa1, 0x61, 0x61, 0xf7],
    "a map of 30 keys": () => maps.of30,
    "a map of 200 keys": () => maps.of200,
    "a map of a long key": () => maps.long,
    "other maps": (i) => map([`${id(i)}x`]),
    "other second keys": (i) => map(["a", `${id(i)}x`]),
    "other maps of 3 keys": (i) => map([`${id(i)}x`, `${id(i)}y`, `${id(i)}z`]),
    "other orders of 9 keys": (i) => map(shuffledLetters(i).slice(0, 9)),
    "an index of 300": [0xa1, 0x19, 0x01, 0x2c, 0x00],
    "an index of 1023": [0xa1, 0x19, 0x03, 0xff, 0x00],
    "an index of 1023 as text": join([0xa1], text("1023"), [0x00]),
    "indexes of 1023 and 2047": join(
      [0xa2, 0x19, 0x03, 0xff, 0x00, 0x19, 0x07, 0xff, 0x00],
    ),
    "an index far away": [0xa1, 0x1a, 0x00, 0x01, 0x86, 0x9f, 0x00],
    "a row": (i) =>
      join([0xa4], text("id"), integer(i), text("name"), text(`n${i}`), [
        ...text("ok"),
        0xf5,
        ...text("x"),
        0xfb,
        ...new Uint8Array(new Float64Array([i / 7]).buffer).reverse(),
      ]),
    "a date": [0xc1, 0x00],
    "a date as text": join([0xc0], text("2013-03-21T20:04:00Z")),
    "a big integer": [0xc2, 0x41, 0x01],
    "a big integer of 1,700 bytes": () => bignum,
    "tagged bytes": [0xd8, 0x40, 0x40],
    "a typed array": [0xd8, 0x52, 0x48, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
    "big integers of the same hash": (i) =>
      join([0xc2, 0x4c], counted(0, i).subarray(1), [0, 0, 0, 0, 0, 0, 0, 5]),
    "integers of the same hash": (i) => integer(sameHash(i)),
    "digits far apart": (i) => text(String(i * 4_096)),
    "crowded digits": (i) => text(crowdedDigits(i)),
    "a tagged Set": [0xd9, 0x01, 0x02, 0x80],
    "a tagged Map": [0xd9, 0x01, 0x03, 0xa0],
    "self-described": [0xd9, 0xd9, 0xf7, 0x00],
    "a tag unknown": [0xd8, 0xff, 0x00],
    "endless bytes": [0x5f, 0xff],
    "an endless text": [0x7f, 0xff],
    "an endless list": [0x9f, 0xff],
    "an endless list of one": [0x9f, 0x00, 0xff],
    "an endless map": [0xbf, 0xff],
    "a long length": [0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
    "a pointer": join([0xa1], text("$fnptr"), text("a")),
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
    "a map of short keys": mapContainer((i) => text(id(i))),
    "a map of integers": mapContainer(integer),
    "a map of integers far apart": mapContainer((i) => integer(i * 1_000)),
    "a map of one key": mapContainer(() => bytes([0x61, 0x6b])),
    "an endless map": {
      begin: () => bytes([0xbf]),
      before: (i) => text(id(i)),
      end: () => BREAK,
    },
    "a Set": {
      begin: (entries) => join([0xd9, 0x01, 0x02], counted(0x9a, entries)),
      before: () => NOTHING,
      end: () => NOTHING,
    },
    "a Map of short keys": taggedMap((i) => text(id(i))),
    "a Map of integers of the same hash": taggedMap((i) =>
      integer(sameHash(i))
    ),
    "a Map of digits": taggedMap((i) => text(String(i * 4_096))),
    "a Map of lists": taggedMap(() => bytes([0x80])),
    "lists of one": {
      begin: (entries) => counted(0x9a, entries),
      before: () => bytes([0x81]),
      end: () => NOTHING,
    },
  },
  fillers: {
    "ASCII": textOf("x"),
    "wide text": (size) =>
      join(
        counted(0x7a, Math.max(3, size - 5)),
        "€",
        "x".repeat(Math.max(0, size - 8)),
      ),
    "two bytes": textOf("é"),
    "three bytes": textOf("€"),
    "four bytes": textOf("😀"),
    "replaced characters": textOf("\ufffd"),
    "cut characters": textOf([0xe2]),
    "bytes": repeated([0], (length) => counted(0x5a, length)),
    "doubles of the other byte order": repeated(
      [0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
      (length) => join([0xd8, 0x52], counted(0x5a, length)),
    ),
    "small integers of the other byte order": repeated(
      [0, 1],
      (length) => join([0xd8, 0x41], counted(0x5a, length)),
    ),
  },
};

const maps = {
  of30: map(manyKeys(30)),
  of200: map(manyKeys(200)),
  long: map(["k".repeat(200)]),
};

import { malformed, truncated } from "./errors.ts";
import { Tag } from "./tags.ts";
import { SHORT_TEXT } from "./text.ts";
import { CodecError } from "../errors.ts";
import { KeyCounter } from "../key_counter.ts";
import { type CodecLimits, tooDeep, tooManyItems } from "../limits.ts";

/** The major types, which are the three highest bits of a first byte. */
export const Major = {
  UNSIGNED: 0,
  NEGATIVE: 1,
  BYTES: 2,
  TEXT: 3,
  ARRAY: 4,
  MAP: 5,
  TAG: 6,
} as const;

/** First bytes of major type 7 that begin a value. */
export const Simple = {
  FALSE: 0xf4,
  TRUE: 0xf5,
  NULL: 0xf6,
  UNDEFINED: 0xf7,
  FLOAT_16: 0xf9,
  FLOAT_32: 0xfa,
  FLOAT_64: 0xfb,
} as const;
/** The first byte that ends an array or map of indefinite length. */
export const BREAK = 0xff;

/** The five lowest bits of a first byte up to which they are its argument. */
export const MAX_SHORT_ARGUMENT = 23;
/** Of these five bits: the argument is in the next eight bytes. */
const LONGEST_ARGUMENT = 27;
/** Of these five bits: a break, and not an argument, says where it ends. */
export const INDEFINITE = 31;

/** In place of a length: more items than fit in any value, and an even number. */
const ENDLESS = 2 ** 52;
/**
 * The most tags directly inside one another: the self-describing tag around one
 * that has a meaning. Decoding recurses for each, as it does for nesting.
 */
const MAX_TAGS = 2;

/**
 * What the parts of a value count as: an item takes at most about 75 ns to
 * decode, and 32 bytes of memory.
 */
const Items = {
  /** An element of a Set, or a key of a Map. */
  ELEMENT: 4,
  SCALAR: 1,
  FLOAT: 2,
  WIDE: 2,
  BIGINT: 5,
  SHORT_TEXT: 4,
  TEXT: 8,
  BYTES: 16,
  CONTAINER: 4,
  ENDLESS: 6,
  TAG: 20,
  UNDEFINED: 10,
};
const KEYS = {
  known: 3,
  firstNew: 48,
  nextNew: 16,
  ofMany: 6,
  manyKeys: 64,
  index: 8,
  oneByOne: true,
};

/** What an open array or map is. */
const Kind = { ARRAY: 0, OBJECT: 1, SET: 2, MAP: 3 } as const;

/**
 * Engines find the elements of a Set by a hash, which for numbers is known to
 * attackers: each may have to be compared with all before it. So an element
 * counts as one item more for so many of them.
 */
const COMPARED_SHIFT = 4;
/** Digits up to which the hash of a text is derived from its number. */
const MAX_HASHED_DIGITS = 16;

/**
 * Checks the structure of CBOR before anything is built from it: that it is one
 * whole value, how deep it is nested, what its keys are, and its items.
 */
export class CborScanner {
  /** The items of the last value. */
  items = 0;
  readonly #limits: CodecLimits;
  readonly #keys: KeyCounter;
  /** By depth: what is still to come in the open array or map. */
  readonly #left: Float64Array;
  /** By depth: the `Kind` of it. */
  readonly #kinds: Uint8Array;
  /** By depth: of a Set or Map, the elements so far that have such a hash. */
  readonly #compared: Float64Array;

  /** Makes a scanner for one value after another. */
  constructor(limits: CodecLimits) {
    this.#limits = limits;
    this.#keys = new KeyCounter(KEYS, limits.maxDepth);
    this.#left = new Float64Array(limits.maxDepth + 1);
    this.#kinds = new Uint8Array(limits.maxDepth + 1);
    this.#compared = new Float64Array(limits.maxDepth + 1);
  }

  /**
   * Scans the bytes of a value.
   *
   * @throws {CodecError} `truncated`, `malformed`, `too-deep` or
   * `too-many-items`
   */
  scan(bytes: Uint8Array): void {
    const { maxDepth, maxItems } = this.#limits;
    const keys = this.#keys;
    const lefts = this.#left;
    const kinds = this.#kinds;
    const size = bytes.length;
    keys.begin();
    let items = 0;
    let depth = 0;
    let tags = 0;
    /** The last tag, if `tags` is not 0. */
    let tag = 0;
    let at = 0;
    for (;;) {
      if (at >= size) throw truncated(size);
      const first = bytes[at++]!;
      const major = first >> 5;
      let argument = first & 31;
      if (argument > MAX_SHORT_ARGUMENT && argument !== INDEFINITE) {
        if (argument > LONGEST_ARGUMENT) throw invalidMinor(first);
        const length = 1 << (argument - MAX_SHORT_ARGUMENT - 1);
        if (length > size - at) throw truncated(size);
        argument = uint(bytes, at, length);
        at += length;
      }
      const left = lefts[depth]!;
      const kind = depth > 0 ? kinds[depth]! : Kind.ARRAY;
      const isKey = kind === Kind.OBJECT && left % 2 === 0;
      if (kind >= Kind.SET && major !== Major.TAG) {
        if (kind === Kind.SET || left % 2 === 0) {
          items += Items.ELEMENT +
            this.#compare(depth, bytes, at, major, argument, tags > 0);
        }
      }
      switch (major) {
        case Major.UNSIGNED:
        case Major.NEGATIVE:
          if ((first & 31) === INDEFINITE) throw invalidMinor(first);
          if (isKey) {
            const key = major === Major.UNSIGNED ? argument : -1 - argument;
            items += keys.integer(depth, key);
          } else if ((first & 31) !== LONGEST_ARGUMENT) items += Items.SCALAR;
          else {
            items += argument < Number.MAX_SAFE_INTEGER
              ? Items.WIDE
              : Items.BIGINT;
          }
          break;
        case Major.BYTES:
        case Major.TEXT:
          if ((first & 31) === INDEFINITE) {
            throw malformed("strings of indefinite length are not supported");
          }
          if (argument > size - at) throw truncated(size);
          if (major === Major.BYTES) {
            if (isKey) throw badKey();
            items += Items.BYTES;
          } else if (isKey) {
            items += keys.text(depth, bytes, at, at + argument);
          } else {
            items += argument <= SHORT_TEXT ? Items.SHORT_TEXT : Items.TEXT;
          }
          at += argument;
          break;
        case Major.ARRAY:
        case Major.MAP: {
          if (isKey) throw badKey();
          if (depth >= maxDepth) throw tooDeep("CBOR", maxDepth);
          const count = (first & 31) === INDEFINITE
            ? ENDLESS
            : major === Major.MAP
            ? 2 * argument
            : argument;
          if (argument > Number.MAX_SAFE_INTEGER) {
            throw malformed("64-bit lengths not supported");
          }
          // Each takes at least one byte.
          if (count > size - at && count !== ENDLESS) throw truncated(size);
          items += count === ENDLESS ? Items.ENDLESS : Items.CONTAINER;
          if (count === 0) break;
          lefts[++depth] = count;
          if (major === Major.ARRAY) {
            kinds[depth] = tags > 0 && tag === Tag.SET ? Kind.SET : Kind.ARRAY;
          } else if (tags > 0 && tag === Tag.MAP) kinds[depth] = Kind.MAP;
          else {
            kinds[depth] = Kind.OBJECT;
            keys.open(depth);
          }
          this.#compared[depth] = 0;
          tags = 0;
          if (items > maxItems) throw tooManyItems("CBOR", maxItems);
          continue;
        }
        case Major.TAG:
          if ((first & 31) === INDEFINITE) throw invalidMinor(first);
          if (++tags > MAX_TAGS) throw tooManyTags();
          tag = argument;
          if (isKey) throw malformed("the key of a map has a tag");
          items += Items.TAG;
          if (items > maxItems) throw tooManyItems("CBOR", maxItems);
          continue;
        default:
          if (first === BREAK) {
            // A map cannot end between a key and its value.
            const isWhole = depth > 0 && left > ENDLESS / 2 &&
              (kind === Kind.ARRAY || kind === Kind.SET || left % 2 === 0);
            if (!isWhole || tags > 0) {
              throw malformed("a break is in the place of a value");
            }
            depth--;
          } else {
            if (first < Simple.FALSE || first === Simple.UNDEFINED + 1) {
              throw malformed("simple values are not supported");
            }
            if (isKey) throw badKey();
            items += first === Simple.UNDEFINED
              ? Items.UNDEFINED
              : first >= Simple.FLOAT_16
              ? Items.FLOAT
              : Items.SCALAR;
          }
      }
      if (items > maxItems) throw tooManyItems("CBOR", maxItems);
      tags = 0;
      // What is complete may complete what it is in.
      while (depth > 0 && --lefts[depth]! === 0) depth--;
      if (depth === 0) break;
    }
    if (at < size) throw malformed(`${size - at} bytes follow it`);
    this.items = items;
  }

  /** Returns the items of comparing an element of a Set, or a key of a Map. */
  #compare(
    depth: number,
    bytes: Uint8Array,
    at: number,
    major: number,
    argument: number,
    tagged: boolean,
  ): number {
    switch (major) {
      case Major.ARRAY:
      case Major.MAP:
        return 0;
      case Major.TEXT:
        if (!isDigits(bytes, at, argument)) return 0;
        break;
      case Major.BYTES:
        // With a tag, it may be an integer.
        if (!tagged) return 0;
    }
    return ++this.#compared[depth]! >> COMPARED_SHIFT;
  }
}

/** Whether a text is an integer whose hash engines derive from the number. */
function isDigits(bytes: Uint8Array, start: number, size: number): boolean {
  if (size === 0 || size > MAX_HASHED_DIGITS) return false;
  for (let at = start; at < start + size; at++) {
    const byte = bytes[at]!;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}

/** Returns an unsigned integer; beyond 2^53, it is rounded. */
function uint(bytes: Uint8Array, start: number, size: number): number {
  let value = 0;
  for (let at = start; at < start + size; at++) {
    value = value * 256 + bytes[at]!;
  }
  return value;
}

function invalidMinor(first: number) {
  return malformed(
    `0x${first.toString(16)} does not begin a value: invalid minor ${
      first & 31
    }`,
  );
}

function tooManyTags() {
  return new CodecError(
    "too-deep",
    `Cannot decode value as CBOR: it has more than ${MAX_TAGS} tags around a value`,
  );
}

function badKey() {
  return malformed("the key of a map is neither text nor an integer");
}

import { malformed, truncated } from "./errors.ts";
import { isSlotAt } from "./slots.ts";
import { KeyCounter } from "../key_counter.ts";
import { type CodecLimits, tooDeep, tooManyItems } from "../limits.ts";

/** First bytes of some forms of MessagePack. */
export const Form = {
  NEVER_USED: 0xc1,
  BIN_8: 0xc4,
  BIN_32: 0xc6,
  FLOAT_64: 0xcb,
  UINT_64: 0xcf,
  INT_8: 0xd0,
  INT_64: 0xd3,
} as const;

const SCALAR = 0, INTEGER = 1, BYTES = 2, STRING = 3, ARRAY = 4, MAP = 5;
const UNSUPPORTED = 6;

/** The kind of each form from `FIRST_FORM` on, up to the negative integers. */
// deno-fmt-ignore
const KINDS: readonly number[] = [
  SCALAR, UNSUPPORTED, SCALAR, SCALAR, // nil, never used, false, true
  BYTES, BYTES, BYTES,
  UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, // extension types
  SCALAR, SCALAR, // floats
  INTEGER, INTEGER, INTEGER, INTEGER, // unsigned
  INTEGER, INTEGER, INTEGER, INTEGER, // signed
  UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED,
  STRING, STRING, STRING,
  ARRAY, ARRAY,
  MAP, MAP,
];
/** The size in bytes of what follows: a payload, or the length of one. */
// deno-fmt-ignore
const SIZES: readonly number[] = [
  0, 0, 0, 0, // nil, never used, false, true
  1, 2, 4, // bytes
  1, 2, 4, // extension types
  4, 8, // floats
  1, 2, 4, 8, // unsigned
  1, 2, 4, 8, // signed
  1, 2, 4, 8, 16, // extension types
  1, 2, 4, // strings
  2, 4, // arrays
  2, 4, // maps
];
const FIRST_FORM = 0xc0;

/**
 * What the parts of a value count as: an item takes at most about 75 ns to
 * decode, and 32 bytes of memory.
 */
const Items = {
  SCALAR: 1,
  WIDE: 6,
  BIGINT: 12,
  STRING: 6,
  NOT_ASCII: 12,
  BYTES: 16,
  ARRAY: 6,
  MAP: 4,
};
const KEYS = {
  known: 5,
  firstNew: 48,
  nextNew: 24,
  ofMany: 14,
  manyKeys: 24,
  index: 8,
  oneByOne: true,
};

/**
 * Checks the structure of MessagePack before a library decodes it, since
 * libraries differ in what they accept: that it is one whole value, how deep it
 * is nested, what its keys are, and its items.
 */
export class MsgpackScanner {
  /** The items of the last value. */
  items = 0;
  /**
   * Where its special values start, where their payloads start, and where they
   * end: bytes, text that is not ASCII, integers of 64 bits, and doubles that are
   * reserved for slots. Libraries encode or decode these differently.
   */
  specials: readonly number[] = [];
  readonly #limits: CodecLimits;
  readonly #keys: KeyCounter;
  /** By depth: what is still to come in the open array or map. */
  readonly #left: Float64Array;
  /** By depth: whether it is a map, whose keys and values are to come. */
  readonly #isMap: Uint8Array;

  /** Makes a scanner for one value after another. */
  constructor(limits: CodecLimits) {
    this.#limits = limits;
    this.#keys = new KeyCounter(KEYS, limits.maxDepth);
    this.#left = new Float64Array(limits.maxDepth + 1);
    this.#isMap = new Uint8Array(limits.maxDepth + 1);
  }

  /**
   * Scans the bytes of a value.
   *
   * @throws {CodecError} `truncated` if a length exceeds the bytes, before anything
   * is allocated for it; `malformed` for trailing bytes, forms that MessagePack
   * does not have, extension types, and keys that are neither strings nor
   * integers; `too-deep`; `too-many-items`
   */
  scan(bytes: Uint8Array): void {
    const { maxDepth, maxItems } = this.#limits;
    const keys = this.#keys;
    const lefts = this.#left;
    const isMap = this.#isMap;
    const specials: number[] = [];
    const size = bytes.length;
    keys.begin();
    let items = 0;
    let depth = 0;
    let at = 0;
    do {
      if (at >= size) throw truncated(size);
      const start = at;
      const form = bytes[at++]!;
      let kind: number;
      let length: number;
      if (form <= 0x7f || form >= 0xe0) {
        kind = INTEGER;
        length = 0;
      } else if (form < FIRST_FORM) {
        kind = form <= 0x8f ? MAP : form <= 0x9f ? ARRAY : STRING;
        length = form & (kind === STRING ? 0x1f : 0x0f);
      } else {
        kind = KINDS[form - FIRST_FORM]!;
        length = SIZES[form - FIRST_FORM]!;
        if (kind === UNSUPPORTED) throw unsupported(form);
        if (kind >= BYTES) {
          if (length > size - at) throw truncated(size);
          const value = uint(bytes, at, length);
          at += length;
          length = value;
        }
      }
      const isKey = depth > 0 && isMap[depth] === 1 && lefts[depth]! % 2 === 0;
      if (kind < ARRAY && length > size - at) throw truncated(size);
      switch (kind) {
        case INTEGER:
          if (isKey || length === 8) {
            const value = integer(bytes, start, length);
            const isSafe = Number.isSafeInteger(value);
            if (length === 8) specials.push(start, at, at + 8);
            if (!isKey) items += isSafe ? Items.WIDE : Items.BIGINT;
            else if (isSafe) items += keys.integer(depth, value);
            else throw malformed("the key of a map is beyond 2^53");
          } else items += Items.SCALAR;
          at += length;
          break;
        case STRING:
          if (isKey) {
            checkKey(bytes, at, at + length);
            items += keys.text(depth, bytes, at, at + length);
          } else {
            if (isAscii(bytes, at, at + length)) items += Items.STRING;
            else {
              specials.push(start, at, at + length);
              items += Items.NOT_ASCII;
            }
          }
          at += length;
          break;
        case SCALAR:
          if (isKey) throw badKey();
          if (form === Form.FLOAT_64 && isSlotAt(bytes, at)) {
            specials.push(start, at, at + length);
            items += Items.WIDE;
          } else items += Items.SCALAR;
          at += length;
          break;
        case BYTES:
          if (isKey) throw badKey();
          specials.push(start, at, at + length);
          items += Items.BYTES;
          at += length;
          break;
        default: {
          if (isKey) throw badKey();
          if (depth >= maxDepth) throw tooDeep("MessagePack", maxDepth);
          const count = kind === MAP ? 2 * length : length;
          // Each takes at least one byte.
          if (count > size - at) throw truncated(size);
          items += kind === MAP ? Items.MAP : Items.ARRAY;
          if (count > 0) {
            lefts[++depth] = count;
            isMap[depth] = kind === MAP ? 1 : 0;
            if (kind === MAP) keys.open(depth);
            if (items > maxItems) throw tooManyItems("MessagePack", maxItems);
            continue;
          }
        }
      }
      if (items > maxItems) throw tooManyItems("MessagePack", maxItems);
      // What is complete may complete what it is in.
      while (depth > 0 && --lefts[depth]! === 0) depth--;
    } while (depth > 0);
    if (at < size) throw malformed(`${size - at} bytes follow it`);
    this.items = items;
    this.specials = specials;
  }
}

/** Returns an unsigned integer; beyond 2^53, it is rounded. */
function uint(bytes: Uint8Array, start: number, size: number): number {
  let value = 0;
  for (let at = start; at < start + size; at++) {
    value = value * 256 + bytes[at]!;
  }
  return value;
}

/**
 * Returns the integer with a form and so many bytes after it; beyond 2^53, it is
 * rounded to another unsafe integer.
 */
export function integer(
  bytes: Uint8Array,
  start: number,
  size: number,
): number {
  const form = bytes[start]!;
  if (size === 0) return form <= 0x7f ? form : form - 0x100;
  const value = uint(bytes, start + 1, size);
  const isNegative = form >= Form.INT_8 && bytes[start + 1]! >= 0x80;
  if (!isNegative) return value;
  if (size < 8) return value - 256 ** size;
  // The difference of two rounded numbers would be wrong.
  return (uint(bytes, start + 1, 4) - 2 ** 32) * 2 ** 32 +
    uint(bytes, start + 5, 4);
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at]! > 0x7f) return false;
  }
  return true;
}

/** Refuses keys that libraries decode differently. */
function checkKey(bytes: Uint8Array, start: number, end: number): void {
  // `__proto__` has nine bytes.
  if (end - start !== 9 && isAscii(bytes, start, end)) return;
  let key: string;
  try {
    key = strict.decode(bytes.subarray(start, end));
  } catch {
    throw malformed("the key of a map is not valid UTF-8");
  }
  if (key === "__proto__" || key.startsWith("\ufeff")) {
    throw malformed(`${JSON.stringify(key)} cannot be the key of a map`);
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function badKey() {
  return malformed("the key of a map is neither a string nor an integer");
}

function unsupported(form: number) {
  return malformed(
    form === Form.NEVER_USED
      ? `0x${form.toString(16)} does not begin a value`
      : "extension types are not supported",
  );
}

import { CodecError } from "../errors.ts";
import { HashSet, KeyCounter } from "../key_counter.ts";
import { type CodecLimits, tooDeep, tooManyItems } from "../limits.ts";

const TAB = 0x09, LINE_FEED = 0x0a, CARRIAGE_RETURN = 0x0d, SPACE = 0x20;
const QUOTE = 0x22, COMMA = 0x2c, MINUS = 0x2d, COLON = 0x3a, BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
const DIGIT_0 = 0x30, DIGIT_9 = 0x39, LETTER_E = 0x65, PLUS = 0x2b;

/**
 * What the parts of a value count as: an item takes at most about 75 ns to
 * decode, and 32 bytes of memory.
 */
const Items = { SCALAR: 1, LONG_INTEGER: 10, STRING: 3, CONTAINER: 2 };
/** By how much more everything counts if there is a long integer. */
const WITH_LONG_INTEGERS = 1.5;
/** What a key with an escape counts as more, beside its bytes. */
const ESCAPED_KEY = 20;
/** By how much more everything counts if there is such a key. */
const WITH_ESCAPED_KEYS = 2;
const KEYS = {
  known: 0,
  firstNew: 18,
  nextNew: 10,
  ofMany: 3,
  manyKeys: 128,
  index: 4,
  oneByOne: false,
};
/** At most this many items of a valid value fall on one of its bytes. */
const ITEMS_OF_BYTE = 11;
/** A level of nesting has a bracket at its start and one at its end. */
const BYTES_OF_LEVEL = 2;

/** Returns the size in bytes up to which no valid value exceeds a limit. */
export function unlimitedSize({ maxDepth, maxItems }: CodecLimits): number {
  return Math.min(maxDepth * BYTES_OF_LEVEL, maxItems / ITEMS_OF_BYTE);
}

/** An integer of this many digits may be too large for a double. */
export const LONG_DIGITS = 16;
/** Bytes of a string up to which a loop is faster than `indexOf()`. */
const SHORT_STRING = 32;

/**
 * Looks at the structure of JSON text before it is parsed. What is not valid is
 * left to the parser, which then refuses it.
 */
export class JsonScanner {
  /** The items of the last value. */
  items = 0;
  /** The offsets where each of its integers beyond 2^53 starts and ends. */
  longIntegers: readonly number[] = [];
  /** The offsets where each of its keys with escapes starts and ends. */
  escapedKeys: readonly number[] = [];
  readonly #limits: CodecLimits;
  readonly #bigints: boolean;
  readonly #keys: KeyCounter;
  readonly #digitTexts = new DigitTexts();

  /**
   * Makes a scanner for one value after another.
   *
   * @param bigints whether integers beyond 2^53 are looked for; they are numbers
   * otherwise
   */
  constructor(limits: CodecLimits, bigints: boolean) {
    this.#limits = limits;
    this.#bigints = bigints;
    this.#keys = new KeyCounter(KEYS, limits.maxDepth);
  }

  /**
   * Scans a value.
   *
   * @param text the same value, decoded: if it has as many characters as bytes, it
   * is searched in place of the bytes, which takes a thirtieth of the time
   * @throws {CodecError} `too-deep` or `too-many-items`; `malformed` for a number
   * that a double cannot hold
   */
  scan(bytes: Uint8Array, text?: string): void {
    const aligned = text?.length === bytes.length ? text : undefined;
    const { maxDepth, maxItems } = this.#limits;
    const bigints = this.#bigints;
    const keys = this.#keys;
    const digitTexts = this.#digitTexts;
    const length = bytes.length;
    const longIntegers: number[] = [];
    keys.begin();
    digitTexts.begin();
    let items = 0;
    let depth = 0;
    /** The last string, which may be a key; -1 after another value. */
    let stringStart = -1;
    let stringEnd = -1;
    let valid = true;
    const escapedKeys: number[] = [];
    for (let at = 0; at < length;) {
      switch (bytes[at]!) {
        case QUOTE:
          stringStart = at + 1;
          stringEnd = endOfString(bytes, stringStart, aligned);
          at = stringEnd + 1;
          if (bytes[at] === COLON) {
            at++;
            items += keys.text(depth, bytes, stringStart, stringEnd);
            if (hasEscape(bytes, stringStart, stringEnd)) {
              items += ESCAPED_KEY + stringEnd - stringStart;
              escapedKeys.push(stringStart, stringEnd);
            }
          } else {
            if (bytes[at] === COMMA) at++;
            items += Items.STRING;
            if (isDigit(bytes[stringStart]!)) {
              items += digitTexts.items(bytes, stringStart, stringEnd);
            }
          }
          break;
        case COLON:
          // After space, or not after a string at all.
          at++;
          if (stringStart < 0) valid = false;
          else {
            items += keys.text(depth, bytes, stringStart, stringEnd) -
              Items.STRING;
            if (hasEscape(bytes, stringStart, stringEnd)) {
              items += ESCAPED_KEY + stringEnd - stringStart;
              escapedKeys.push(stringStart, stringEnd);
            }
          }
          break;
        case OPEN_BRACE:
          keys.open(++depth);
          if (depth > maxDepth) throw tooDeep("JSON", maxDepth);
          at++;
          items += Items.CONTAINER;
          break;
        case OPEN_BRACKET:
          if (++depth > maxDepth) throw tooDeep("JSON", maxDepth);
          at++;
          items += Items.CONTAINER;
          break;
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          depth--;
          at++;
          break;
        case COMMA:
        case SPACE:
        case LINE_FEED:
        case CARRIAGE_RETURN:
        case TAB:
          at++;
          break;
        default: {
          const start = at;
          at = endOfDigits(bytes, at + 1);
          if (at < length && isPartOfScalar(bytes[at]!)) {
            at = endOfScalar(bytes, at + 1);
            if (checkNumber(bytes, start, at)) items += Items.SCALAR;
          } else if (!bigints) {
            if (
              at - start > MAX_DIGITS_OF_DOUBLE &&
              checkNumber(bytes, start, at)
            ) items += Items.SCALAR;
          } else if (isLongInteger(bytes, start, at)) {
            longIntegers.push(start, at);
            items += Items.LONG_INTEGER - Items.SCALAR;
          }
          if (bytes[at] === COMMA) at++;
          stringStart = -1;
          items += Items.SCALAR;
        }
      }
      if (items > maxItems) throw tooManyItems("JSON", maxItems);
    }
    if (longIntegers.length > 0) {
      items = Math.ceil(items * WITH_LONG_INTEGERS);
      if (items > maxItems) throw tooManyItems("JSON", maxItems);
    }
    if (escapedKeys.length > 0) {
      items *= WITH_ESCAPED_KEYS;
      if (items > maxItems) throw tooManyItems("JSON", maxItems);
    }
    this.items = items;
    this.escapedKeys = valid ? escapedKeys : [];
    this.longIntegers = valid ? longIntegers : [];
  }
}

/**
 * Returns the offset of the quote that ends a string, or of the end of the bytes.
 *
 * @param text the same as the bytes, if its offsets are the same
 */
export function endOfString(
  bytes: Uint8Array,
  start: number,
  text?: string,
): number {
  let at = start;
  for (;;) {
    const short = Math.min(bytes.length, at + SHORT_STRING);
    for (; at < short; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      if (byte === BACKSLASH) at++;
    }
    const quote = text?.indexOf('"', at) ?? bytes.indexOf(QUOTE, at);
    if (quote < 0) return bytes.length;
    let before = quote;
    while (before > at && bytes[before - 1] === BACKSLASH) before--;
    // After an odd number of backslashes, the quote is part of the string.
    if ((quote - before) % 2 === 0) return quote;
    at = quote + 1;
  }
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === BACKSLASH) return true;
  return false;
}

function endOfDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && isDigit(bytes[at]!)) at++;
  return at;
}

function endOfScalar(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && isPartOfScalar(bytes[at]!)) at++;
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

/** Whether a byte can be part of a number, `true`, `false` or `null`. */
function isPartOfScalar(byte: number): boolean {
  switch (byte) {
    case QUOTE:
    case COLON:
    case OPEN_BRACE:
    case OPEN_BRACKET:
    case CLOSE_BRACE:
    case CLOSE_BRACKET:
    case COMMA:
      return false;
    default:
      return byte > SPACE;
  }
}

/** A number with so many digits before its point is less than the largest double. */
const MAX_DIGITS_OF_DOUBLE = 308;

/**
 * Refuses a number that would become `Infinity`, which JSON does not have.
 *
 * @returns whether the number was close to that, which takes time to find out
 * @throws {CodecError} `malformed`
 */
function checkNumber(bytes: Uint8Array, start: number, end: number): boolean {
  let exponent = 0;
  let letter = end - 1;
  // Read backwards, as most numbers have a short exponent, or none.
  for (; letter > start && isDigit(bytes[letter]!); letter--);
  const last = letter;
  if (bytes[letter] === PLUS || bytes[letter] === MINUS) letter--;
  if ((bytes[letter]! | 0x20) !== LETTER_E) letter = end;
  else if (bytes[last] !== MINUS) {
    for (let at = last + 1; at < end; at++) {
      exponent = exponent * 10 + (bytes[at]! - DIGIT_0);
    }
  }
  if (letter - start + exponent <= MAX_DIGITS_OF_DOUBLE) return false;
  const text = new TextDecoder().decode(bytes.subarray(start, end));
  if (Math.abs(Number(text)) !== Infinity) return true;
  const shown = text.length > 20 ? `${text.slice(0, 20)}\u2026` : text;
  throw new CodecError(
    "malformed",
    `Cannot decode value as JSON: the number ${shown} is too large`,
  );
}

/** Whether digits, with or without a sign, are an integer beyond 2^53. */
function isLongInteger(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start] === MINUS ? start + 1 : start;
  if (end - first < LONG_DIGITS) return false;
  // No digits after a zero: the parser refuses them.
  if (bytes[first]! <= DIGIT_0 || bytes[first]! > DIGIT_9) return false;
  if (end - first > LONG_DIGITS) return true;
  let value = 0;
  for (let at = first; at < end; at++) {
    value = value * 10 + (bytes[at]! - DIGIT_0);
  }
  return !Number.isSafeInteger(value);
}

/** Digits of a text up to which engines derive its hash from its number. */
const MAX_DIGITS = 9;
/** Of this many digits on, several texts have the same hash. */
const MIN_AMBIGUOUS_DIGITS = 8;
/** The bits of the number that the hash is derived from. */
const HASHED_BITS = 0xff_ffff;

/** How many items a text of digits counts as more than others. */
const DigitItems = {
  /** Its hash may be close to that of others. */
  DIGITS: 8,
  /** Its hash is that of an earlier one. */
  SAME_HASH: 60,
};

/**
 * Finds short texts of digits. Engines keep short texts in one table, and find
 * them by a hash. That of digits is the same for up to 54 texts, which are then
 * compared with one another.
 */
export class DigitTexts {
  readonly #texts = new HashSet();
  readonly #hashes = new HashSet();

  /** Begins the next value. */
  begin(): void {
    this.#texts.clear();
    this.#hashes.clear();
  }

  /**
   * Returns by how much a text counts as more items than others.
   *
   * @param bytes contain the text, from `start` to `end`
   */
  items(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start;
    if (size > MAX_DIGITS) return 0;
    let number = 0;
    for (let at = start; at < end; at++) {
      const digit = bytes[at]! - DIGIT_0;
      if (digit < 0 || digit > 9) return 0;
      number = number * 10 + digit;
    }
    if (
      size < MIN_AMBIGUOUS_DIGITS || !add(this.#texts, number) ||
      add(this.#hashes, number & HASHED_BITS | size << 24)
    ) return DigitItems.DIGITS;
    return DigitItems.SAME_HASH;
  }
}

function add(set: HashSet, number: number): boolean {
  return set.add(set.hash(Math.imul(number, set.factor)));
}

/** The number of keys of an object: colons outside strings and inner objects. */
export function keyCount(bytes: Uint8Array): number {
  let depth = 0;
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        i = endOfString(bytes, i + 1);
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth++;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--;
        break;
      case COLON:
        if (depth === 1) count++;
    }
  }
  return count;
}

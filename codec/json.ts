import {
  JsonScanner,
  keyCount,
  LONG_DIGITS,
  unlimitedSize,
} from "./json/scan.ts";
import type { CarriedByBigIntJson, Codec, CodecOptions } from "./codec.ts";
import { CodecError } from "./errors.ts";
import {
  EscapedKeys,
  LongIntegers,
  MAX_INTEGER_LENGTH,
  mayHaveEscapedKey,
} from "./json/rewriting.ts";
import { codecLimits, weightOf } from "./limits.ts";
import { Normalizer } from "./normalizer.ts";

/**
 * Makes the JSON codec (RFC 8259), the default of qtalk-go and of this package.
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `undefined` | `null`; a member of an object is left out | `null`, absent |
 * | `Uint8Array` | base64 string, like Go's `[]byte` | string |
 * | `bigint` | - | `CodecError`, `unsupported-type` |
 * | integer beyond ±(2^53 - 1) | its digits | `number`, rounded as by `JSON.parse()` |
 * | number that a double cannot hold, such as `1e400` | | `CodecError`, `malformed` |
 * | string | text; a lone surrogate as its escape, `\ud800` | string |
 * | invalid UTF-8, from another implementation | | U+FFFD, as in Go |
 * | byte order mark before the text | | `CodecError`, `malformed` |
 * | `Date`, or another object with `toJSON()` | the result of `toJSON()` | that result |
 * | `NaN`, `±Infinity` | - | `CodecError`, `unsupported-type` |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, ... | - | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or containing itself | - | `CodecError`, `too-deep` |
 *
 * JavaScript has one number type, so an integral number is encoded as an integer,
 * whatever it was decoded from: `100.0` is passed on as `100`. `-0` is encoded as
 * `0`, and decoded as `-0`.
 *
 * With the option `bigint`, which suits Go's 64-bit integers, these differ:
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `bigint` | its digits | `number` if it is a safe integer, else `bigint` |
 * | integer beyond ±(2^53 - 1) | its digits | `bigint` |
 * | integer of more than 4,096 characters, encoding or decoding | - | `CodecError` |
 *
 * In JSON, `1e16` and `10n ** 16n` have the same digits: with that option both
 * arrive as a `bigint`, and so do all whole numbers from 2^53 to 1e21.
 *
 * The parts of a decoded value count towards `maxItems` as follows, unless the
 * value is shorter than 1 KiB:
 *
 * | part of the value | items |
 * | --- | --- |
 * | number, boolean, `null` | 1 |
 * | string | 3; of up to 9 digits 11; of digits that V8 confuses with others 63 |
 * | array, object | 2 |
 * | key that follows the same keys as in an earlier object | 0 |
 * | other key, if it is the first such key of its object | 18 |
 * | other key | 10 |
 * | key of an object that has at least 128 | 3 more |
 * | key that is a number | 4 more |
 * | key with an escape such as `\n` | 20 more, and 1 for each byte; all other parts of the value count twice |
 * | integer beyond ±(2^53 - 1), with the option `bigint` | 10; all other parts of the value count 1.5 times |
 *
 * @example
 * ```ts
 * import { json } from "@qtalk/qtalk/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = json();
 * const bytes = codec.encode({ id: 1e16, name: undefined });
 * assertEquals(new TextDecoder().decode(bytes), '{"id":10000000000000000}');
 * assertEquals(codec.decode(bytes), { id: 1e16 });
 * ```
 *
 * @example For Go's 64-bit integers
 * ```ts
 * import { json } from "@qtalk/qtalk/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = json({ bigint: true });
 * const bytes = codec.encode({ id: 2n ** 60n, name: undefined });
 * assertEquals(new TextDecoder().decode(bytes), '{"id":1152921504606846976}');
 * assertEquals(codec.decode(bytes), { id: 2n ** 60n });
 * ```
 *
 * @param options whether integers may be `bigint`, and the limits
 * @throws {RangeError} if a limit is out of range
 */
export function json(
  options: JsonOptions & { bigint: true },
): Codec<CarriedByBigIntJson>;
/** Makes the JSON codec whose numbers are all `number`. */
export function json(
  options?: JsonOptions & { bigint?: false | undefined },
): Codec;
export function json(options: JsonOptions = {}): Codec {
  const limits = codecLimits(options);
  const bigints = options.bigint === true;
  const normalizer = bigints ? new BigIntNormalizer() : new JsonNormalizer();
  // The same, or an integer beyond 2^53.
  const special = bigints
    ? new RegExp(`[eE]\\+?\\d{3}|\\d{${LONG_DIGITS}}`)
    : LARGE_NUMBER;
  const scannedFrom = unlimitedSize(limits) + 1;
  // Made when a value needs it: most peers have a codec, and small values.
  let scanner: JsonScanner | undefined;
  let longIntegers: LongIntegers | undefined;
  let escapedKeys: EscapedKeys | undefined;
  const encoder = new TextEncoder();
  // Not fatal: as in Go, invalid UTF-8 becomes U+FFFD. Deno's fatal decoder
  // takes twice the time.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  function stringify(value: unknown): string {
    return JSON.stringify(normalizer.normalize(value, limits.maxDepth));
  }

  /** Parses text that the scanner has seen. */
  function parseScanned(bytes: Uint8Array, text?: string): unknown {
    const { escapedKeys: keys, longIntegers: integers } = scanner!;
    if (keys.length > 0) {
      return (escapedKeys ??= new EscapedKeys()).parse(
        bytes,
        keys,
        (rewritten) => {
          scanner!.scan(rewritten);
          return parseScanned(rewritten);
        },
      );
    }
    if (integers.length > 0) {
      return (longIntegers ??= new LongIntegers())
        .parse(bytes, integers, decoder);
    }
    return JSON.parse(text ?? decoder.decode(bytes));
  }

  const codec: Codec = {
    name: "JSON",
    beginsMap: (firstByte) => firstByte === OPEN_BRACE,
    keyCount,
    encode: (value) => encoder.encode(stringify(value)),
    encodeInto(value, sink) {
      const text = tinyText(value) ?? stringify(value);
      if (text.length <= SMALL_TEXT) {
        // A UTF-16 code unit takes at most three bytes. The sink keeps the room
        // for tiny text.
        const isTiny = text.length <= TINY_TEXT;
        const room = sink.reserve(3 * (isTiny ? TINY_TEXT : text.length));
        const written = isTiny ? putAscii(text, room) : -1;
        sink.commit(
          written < 0 ? encoder.encodeInto(text, room).written : written,
        );
      } else {
        // Most text is ASCII.
        const { read, written } = encoder.encodeInto(
          text,
          sink.reserve(text.length),
        );
        sink.commit(written);
        if (read === text.length) return;
        const rest = encoder.encode(text.slice(read));
        sink.reserve(rest.length).set(rest);
        sink.commit(rest.length);
      }
    },
    decode(bytes, weight) {
      try {
        let text: string | undefined;
        if (bytes.length < scannedFrom) {
          const tiny = tinyValue(bytes, 0, bytes.length);
          if (tiny !== undefined) {
            if (weight !== undefined) {
              weight.bytes = weightOf(bytes.length, bytes.length);
            }
            return tiny;
          }
          text = tinyAscii(bytes) ?? decoder.decode(bytes);
          // A string has neither numbers nor keys.
          const isPlain = bytes[0] === QUOTE ||
            (text.length < SHORTEST_SPECIAL || !special.test(text)) &&
              !mayHaveEscapedKey(text);
          if (isPlain) {
            if (weight !== undefined) {
              weight.bytes = weightOf(bytes.length, bytes.length);
            }
            return JSON.parse(text);
          }
        }
        scanner ??= new JsonScanner(limits, bigints);
        text ??= decoder.decode(bytes);
        scanner.scan(bytes, text);
        if (weight !== undefined) {
          weight.bytes = weightOf(bytes.length, scanner.items);
        }
        return parseScanned(bytes, text);
      } catch (cause) {
        if (cause instanceof CodecError) throw cause;
        throw new CodecError(
          bytes.length === 0 ? "truncated" : "malformed",
          `Cannot decode value as JSON: ${(cause as Error).message}`,
          { cause },
        );
      }
    },
  };
  // Hidden from a program that spreads the codec to decode in another way.
  if (scannedFrom > TINY_TEXT) {
    Object.defineProperty(codec, decodesTiny, { value: true });
  }
  return codec;
}

/** Marks the codecs for which {@linkcode tinyValue} is right. */
const decodesTiny = Symbol("qtalk.decodesTiny");

/**
 * Decodes a value whose bytes are a range of others, if it is one of a few that are
 * small and frequent; undefined for anything else.
 */
export type TinyDecoder = (
  bytes: Uint8Array,
  from: number,
  to: number,
) => unknown;

/**
 * What decodes the tiny values of a codec where they are; undefined if nothing
 * does. A view of their bytes, as {@linkcode Codec.decode} wants it, costs more than
 * decoding them.
 */
export function tinyDecoderOf(codec: Codec): TinyDecoder | undefined {
  return Object.hasOwn(codec, decodesTiny) ? tinyValue : undefined;
}

/** Characters up to which reserving room for the worst case is worthwhile. */
const SMALL_TEXT = 4 * 1024;
/** Characters or bytes up to which a loop is faster than the runtime's coders. */
const TINY_TEXT = 12;
/** What a text contains if it may contain a number beyond the largest double. */
const LARGE_NUMBER = /[eE]\+?\d{3}|\d{200}/;
/** The length of `1e309`, the shortest text that has either. */
const SHORTEST_SPECIAL = 5;

/** JSON.rawJSON(), which is missing from TypeScript's library. */
const rawJSON = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON;

/** The options of {@linkcode json}. */
export interface JsonOptions extends CodecOptions {
  /**
   * Whether a `bigint` is encoded, and an integer beyond ±(2^53 - 1) decoded as
   * one. Default: `false`.
   */
  bigint?: boolean | undefined;
}

class JsonNormalizer extends Normalizer {
  constructor() {
    super("JSON");
  }

  protected override number(value: number): number {
    // An integral double beyond 2^53 may be written with an exponent; that is
    // still the same number.
    if (!Number.isFinite(value)) throw this.unsupported(String(value));
    return value;
  }

  protected override bigint(_value: bigint): unknown {
    throw this.unsupported(
      "a bigint",
      "use cbor(), or json({ bigint: true })",
    );
  }

  protected override bytes(value: Uint8Array): string {
    return toBase64(value);
  }
}

class BigIntNormalizer extends JsonNormalizer {
  protected override bigint(value: bigint): unknown {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    const digits = String(value);
    if (digits.length > MAX_INTEGER_LENGTH) {
      throw this.unsupported(`a bigint of ${digits.length} digits`);
    }
    if (rawJSON === undefined) {
      throw this.unsupported("a bigint beyond 2^53, in this runtime,");
    }
    return rawJSON(digits);
  }
}

function toBase64(bytes: Uint8Array): string {
  const native = (bytes as { toBase64?: () => string }).toBase64;
  if (native !== undefined) return native.call(bytes);
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8_192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  }
  return btoa(binary);
}

/** Writes ASCII text; returns the bytes written, or -1 if it is not ASCII. */
function putAscii(text: string, room: Uint8Array): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return -1;
    room[i] = unit;
  }
  return text.length;
}

/** Decodes a few bytes of ASCII; undefined for anything else. */
function tinyAscii(bytes: Uint8Array): string | undefined {
  if (bytes.length > TINY_TEXT) return undefined;
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte > 0x7f) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/**
 * The text of `null`, a boolean or a small integer, or of an array of one such value
 * or of none; undefined for other values. Normalizing and the runtime's coder take
 * up to 0.2 µs for each.
 */
function tinyText(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return scalarText(value);
  if (!Array.isArray(value) || value.length > 1 || "toJSON" in value) {
    return undefined;
  }
  if (value.length === 0) return "[]";
  const item = scalarText(value[0]);
  return item === undefined ? undefined : `[${item}]`;
}

function scalarText(value: unknown): string | undefined {
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  return typeof value === "number" && value === (value | 0)
    ? String(value)
    : undefined;
}

/**
 * The value of a few bytes: `null`, a boolean, an integer of up to nine digits, or
 * an array of one such integer or of none, which are frequent results and
 * arguments. The runtime's parser takes 0.1 to 0.2 µs for each. Undefined for
 * anything else.
 */
function tinyValue(bytes: Uint8Array, from: number, to: number): unknown {
  const length = to - from;
  if (length === 0 || length > TINY_TEXT) return undefined;
  if (bytes[from] === OPEN_BRACKET) {
    if (bytes[to - 1] !== CLOSE_BRACKET || length === 1) return undefined;
    if (length === 2) return [];
    const item = tinyInteger(bytes, from + 1, to - 1);
    return item < 0 ? undefined : [item];
  }
  if (length === 4) {
    if (hasWord(bytes, from, NULL)) return null;
    if (hasWord(bytes, from, TRUE)) return true;
  }
  if (length === 5 && hasWord(bytes, from, FALSE)) return false;
  const integer = tinyInteger(bytes, from, to);
  return integer < 0 ? undefined : integer;
}

/** Reads digits without a leading zero; -1 for anything else. */
function tinyInteger(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > 9 || (bytes[from] === ZERO && to - from > 1)) return -1;
  let integer = 0;
  for (let i = from; i < to; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    integer = 10 * integer + digit;
  }
  return integer;
}

function hasWord(
  bytes: Uint8Array,
  from: number,
  word: readonly number[],
): boolean {
  for (let i = 0; i < word.length; i++) {
    if (bytes[from + i] !== word[i]) return false;
  }
  return true;
}

const QUOTE = 0x22;
const ZERO = 0x30;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const NULL = [0x6e, 0x75, 0x6c, 0x6c];
const TRUE = [0x74, 0x72, 0x75, 0x65];
const FALSE = [0x66, 0x61, 0x6c, 0x73, 0x65];
const OPEN_BRACE = 0x7b;

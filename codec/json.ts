import { type Codec, type CodecOptions, maxDepthOf } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { Normalizer } from "./normalizer.ts";

/**
 * Makes the JSON codec (RFC 8259), the default of qtalk-go and of this package.
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `undefined` | `null`; a member of an object is left out | `null`, absent |
 * | `Uint8Array` | base64 string, like Go's `[]byte` | string |
 * | `bigint` | its digits | `number` if it is a safe integer, else `bigint` |
 * | integer beyond ±(2^53 − 1) | its digits | `bigint` |
 * | integer of more than 4,096 characters, encoding or decoding | – | `CodecError` |
 * | `Date`, or another object with `toJSON()` | the result of `toJSON()` | that result |
 * | `NaN`, `±Infinity` | – | `CodecError`, `unsupported-type` |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or containing itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one number type, so an integral number is encoded as an integer,
 * whatever it was decoded from: `100.0` is passed on as `100`, and `-0` as `0`.
 *
 * @example
 * ```ts
 * import { json } from "@qtalk/qtalk/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = json();
 * const bytes = codec.encode({ id: 2n ** 60n, name: undefined });
 * assertEquals(new TextDecoder().decode(bytes), '{"id":1152921504606846976}');
 * assertEquals(codec.decode(bytes), { id: 2n ** 60n });
 * ```
 *
 * @param options the nesting limit
 * @throws {RangeError} if `maxDepth` is out of range
 */
export function json(options: CodecOptions = {}): Codec {
  const maxDepth = maxDepthOf(options);
  const normalizer = new JsonNormalizer();
  const encoder = new TextEncoder();
  // Not fatal: as in Go, invalid UTF-8 becomes U+FFFD. Deno's fatal decoder
  // takes twice the time.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  function stringify(value: unknown): string {
    return JSON.stringify(normalizer.normalize(value, maxDepth));
  }

  return {
    name: "JSON",
    beginsMap: (firstByte) => firstByte === OPEN_BRACE,
    keyCount,
    encode: (value) => encoder.encode(stringify(value)),
    encodeInto(value, sink) {
      const text = stringify(value);
      if (text.length <= SMALL_TEXT) {
        // A UTF-16 code unit takes at most three bytes.
        const room = sink.reserve(text.length * 3);
        const written = text.length <= TINY_TEXT ? putAscii(text, room) : -1;
        sink.commit(
          written < 0 ? encoder.encodeInto(text, room).written : written,
        );
      } else {
        const bytes = encoder.encode(text);
        sink.reserve(bytes.length).set(bytes);
        sink.commit(bytes.length);
      }
    },
    decode(bytes) {
      const scanned = bytes.length > maxDepth
        ? scan(bytes, maxDepth)
        : undefined;
      try {
        const text = tinyAscii(bytes) ?? decoder.decode(bytes);
        return scanned ?? mayHaveLongNumber(text)
          ? JSON.parse(text, keepIntegers)
          : JSON.parse(text);
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
}

/** Characters up to which reserving room for the worst case is worthwhile. */
const SMALL_TEXT = 4 * 1024;
/** Characters or bytes up to which a loop is faster than the runtime's coders. */
const TINY_TEXT = 12;
/** An integer of this many digits may be too large for a double. */
const LONG_DIGITS = 16;
const LONG_NUMBER = new RegExp(`\\d{${LONG_DIGITS}}`);
const INTEGER = /^-?\d+$/;
/**
 * The largest length of an integer in characters. Converting a `bigint` takes
 * more than linear time: seconds for 16 MiB of digits.
 */
const MAX_INTEGER_LENGTH = 4_096;

/** JSON.rawJSON(), which is missing from TypeScript's library. */
const rawJSON = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON;

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

  protected override bytes(value: Uint8Array): string {
    return toBase64(value);
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

function keepIntegers(
  _key: string,
  value: unknown,
  context?: { source?: string },
): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  if (source === undefined || !INTEGER.test(source)) return value;
  if (source.length > MAX_INTEGER_LENGTH) {
    throw new CodecError(
      "malformed",
      `Cannot decode value as JSON: an integer has ${source.length} digits`,
    );
  }
  return BigInt(source);
}

function mayHaveLongNumber(text: string): boolean {
  return text.length >= LONG_DIGITS && LONG_NUMBER.test(text);
}

const QUOTE = 0x22, BACKSLASH = 0x5c, COLON = 0x3a;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
const DIGIT_0 = 0x30, DIGIT_9 = 0x39;

/**
 * Checks the nesting depth before the text is parsed: counts the brackets
 * outside strings. Returns whether the text may contain a long integer.
 */
function scan(bytes: Uint8Array, maxDepth: number): boolean {
  let depth = 0;
  let digits = 0;
  let long = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte >= DIGIT_0 && byte <= DIGIT_9) {
      if (++digits === LONG_DIGITS) long = true;
      continue;
    }
    digits = 0;
    switch (byte) {
      case QUOTE:
        i = endOfString(bytes, i + 1);
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        if (++depth > maxDepth) {
          throw new CodecError(
            "too-deep",
            `Cannot decode value as JSON: it is nested deeper than ${maxDepth}`,
          );
        }
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--;
        break;
    }
  }
  return long;
}

/** The number of colons outside strings and inner objects. */
function keyCount(bytes: Uint8Array): number {
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

/** Bytes of a string up to which a loop is faster than `indexOf()`. */
const SHORT_STRING = 32;

/** The offset of the quote that ends a string; the end of the bytes if none does. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    const short = Math.min(bytes.length, at + SHORT_STRING);
    for (; at < short; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      if (byte === BACKSLASH) at++;
    }
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) return bytes.length;
    let before = quote;
    while (before > at && bytes[before - 1] === BACKSLASH) before--;
    // After an odd number of backslashes, the quote is part of the string.
    if ((quote - before) % 2 === 0) return quote;
    at = quote + 1;
  }
}

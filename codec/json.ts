/**
 * The JSON codec: the default, and the reference's.
 *
 * @module
 */
import { type Codec, type CodecOptions, DEFAULT_MAX_DEPTH } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { Normalizer } from "./normalizer.ts";

/**
 * Makes the JSON codec (RFC 8259), the default of qtalk-go and of this package.
 *
 * | value | on the wire | arrives as |
 * | --- | --- | --- |
 * | `undefined` | `null`; in an object, the key is left out | `null`, absent |
 * | `Uint8Array` | base64 string, as Go's `[]byte` | string |
 * | `bigint` | its digits | `number` if safe, else `bigint` |
 * | integer beyond ±(2^53 − 1) | its digits | `bigint` |
 * | integer of more than 4,096 digits, either way | – | `CodecError` |
 * | `Date`, or what has `toJSON()` | what that returns | that |
 * | `NaN`, `±Infinity` | – | `CodecError`, `unsupported-type` |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or in itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one type of numbers, so an integral number is written without a
 * fraction, whatever it was read from: `100.0` goes on as `100`, and `-0` as `0`.
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
 * @param options limits
 */
export function json(options: CodecOptions = {}): Codec {
  const { maxDepth = DEFAULT_MAX_DEPTH } = options;
  const normalizer = new JsonNormalizer();
  const encoder = new TextEncoder();
  // Not fatal: as in Go, bytes that are no UTF-8 become U+FFFD. Deno's fatal
  // decoder takes twice the time.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  function stringify(value: unknown): string {
    return JSON.stringify(normalizer.normalize(value, maxDepth));
  }

  return {
    name: "JSON",
    beginsMap: (firstByte) => firstByte === OPEN_BRACE,
    encode: (value) => encoder.encode(stringify(value)),
    encodeInto(value, sink) {
      const text = stringify(value);
      if (text.length <= SMALL_TEXT) {
        // A UTF-16 unit takes three bytes at the most.
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

/** Characters up to which it pays to reserve room for the worst case. */
const SMALL_TEXT = 4 * 1024;
/** Characters, or bytes, up to which a loop is faster than the runtime's coders. */
const TINY_TEXT = 12;
/** As many digits in a row may be an integer that a double cannot hold. */
const LONG_DIGITS = 16;
const LONG_NUMBER = new RegExp(`\\d{${LONG_DIGITS}}`);
const INTEGER = /^-?\d+$/;
/**
 * Characters of an integer that is read or written as `bigint`: making one
 * takes a time that grows faster than its length, seconds for 16 MiB of digits.
 */
const MAX_INTEGER_LENGTH = 4_096;

/** JSON.rawJSON(), which TypeScript's library does not know yet. */
const rawJSON = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON;

class JsonNormalizer extends Normalizer {
  constructor() {
    super("JSON");
  }

  protected override number(value: number): number {
    // Beyond 2^53 an integral double may print with an exponent; that is still
    // the same number.
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
      throw this.unsupported("a bigint beyond 2^53, by this runtime,");
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

/** Writes a text of ASCII; the bytes written, or -1 if it is none. */
function putAscii(text: string, room: Uint8Array): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return -1;
    room[i] = unit;
  }
  return text.length;
}

/** The text of a few bytes of ASCII; undefined for any others. */
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

const QUOTE = 0x22, BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
const DIGIT_0 = 0x30, DIGIT_9 = 0x39;

/**
 * Looks at a text before anything is built from it: counts brackets outside
 * strings, and returns whether a number may be a long integer.
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

/** Bytes of a string up to which a loop is faster than a built-in search. */
const SHORT_STRING = 32;

/** Where the quote is that ends the string; the end of the bytes if none does. */
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
    // Behind an odd number of them it is a part of the string.
    if ((quote - before) % 2 === 0) return quote;
    at = quote + 1;
  }
}

/**
 * The JSON codec: the default, and the reference's.
 *
 * @module
 */
import { type Codec, type CodecOptions, DEFAULT_MAX_DEPTH } from "./codec.ts";
import { CodecError } from "./errors.ts";

/**
 * Makes the JSON codec (RFC 8259), the default of qtalk-go and of this package.
 *
 * | value | on the wire | arrives as |
 * | --- | --- | --- |
 * | `undefined` | `null`; in an object, the key is left out | `null`, absent |
 * | `Uint8Array` | base64 string, as Go's `[]byte` | string |
 * | `bigint` | its digits | `number` if safe, else `bigint` |
 * | integer beyond ±(2^53 − 1) | its digits | `bigint` |
 * | `Date`, or what has `toJSON()` | what that returns | that |
 * | `NaN`, `±Infinity` | – | `CodecError`, `unsupported-type` |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or in itself | – | `CodecError`, `too-deep` |
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
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return {
    name: "JSON",
    encode(value) {
      const plain = isPlain(value, maxDepth);
      const text = plain
        ? JSON.stringify(value)
        : JSON.stringify(value, replaceSpecial);
      // What toJSON() returns may be undefined as a whole.
      return encoder.encode(text ?? "null");
    },
    decode(bytes) {
      if (bytes.length > maxDepth) checkDepth(bytes, maxDepth);
      try {
        const text = decoder.decode(bytes);
        return LONG_NUMBER.test(text)
          ? JSON.parse(text, keepIntegers)
          : JSON.parse(text);
      } catch (cause) {
        throw new CodecError(
          bytes.length === 0 ? "truncated" : "malformed",
          `Cannot decode value as JSON: ${(cause as Error).message}`,
          { cause },
        );
      }
    },
  };
}

/** Sixteen digits in a row may be an integer that a double cannot hold. */
const LONG_NUMBER = /\d{16}/;
const INTEGER = /^-?\d+$/;

/**
 * Whether `JSON.stringify()` alone gives what the table promises.
 *
 * @throws {CodecError} if the value has no form in JSON
 */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      if (!Number.isFinite(value)) throw unsupported(String(value));
      // Beyond 2^53 an integral double may print with an exponent; that is
      // still the same number.
      return true;
    case "undefined":
      // At the top JSON.stringify() returns undefined; encode() mends that.
      return true;
    case "bigint":
      return false;
    case "object":
      return value === null || isPlainObject(value, depth);
    default:
      throw unsupported(`a ${typeof value}`);
  }
}

function isPlainObject(value: object, depth: number): boolean {
  if (depth === 0) {
    throw new CodecError(
      "too-deep",
      "Cannot encode value as JSON: it is nested too deep, or in itself",
    );
  }
  let plain = true;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (!isPlain(value[i], depth - 1)) plain = false;
    }
    return plain;
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    // Node's Buffer has one, but is bytes all the same.
    if (!(value instanceof Uint8Array)) return true;
  }
  if (value instanceof Uint8Array) return false;
  const tag = Object.prototype.toString.call(value);
  if (tag !== "[object Object]") throw unsupported(`a ${typeName(value, tag)}`);
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    if (!isPlain(member, depth - 1)) plain = false;
  }
  return plain;
}

function typeName(value: object, tag: string): string {
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? name : tag.slice(8, -1);
}

function unsupported(what: string): CodecError {
  return new CodecError(
    "unsupported-type",
    `Cannot encode value as JSON: ${what} is not supported`,
  );
}

/** JSON.rawJSON(), which TypeScript's library does not know yet. */
const rawJSON = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON?.bind(
  JSON,
);

function replaceSpecial(
  this: unknown,
  key: string,
  value: unknown,
): unknown {
  // Buffer.toJSON() has run already: look at what it ran on.
  const original = (this as Record<string, unknown>)[key];
  if (original instanceof Uint8Array) return toBase64(original);
  if (typeof value !== "bigint") return value;
  if (rawJSON !== undefined) return rawJSON(String(value));
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw unsupported("a bigint beyond 2^53, by this runtime,");
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

function keepIntegers(
  _key: string,
  value: unknown,
  context?: { source?: string },
): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && INTEGER.test(source) ? BigInt(source) : value;
}

const QUOTE = 0x22, BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;

/** Counts brackets outside strings, before anything is built from the text. */
function checkDepth(bytes: Uint8Array, maxDepth: number): void {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        while (++i < bytes.length && bytes[i] !== QUOTE) {
          if (bytes[i] === BACKSLASH) i++;
        }
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
}

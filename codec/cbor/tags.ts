import type { TagDecoder } from "cborg";
import { malformed } from "./tokenizer.ts";

/** The decoder of each supported tag; the library refuses all others. */
export type CborTags = { [tag: number]: TagDecoder };

/**
 * The largest size of an integer in bytes, which is about as large as what the
 * JSON codec allows: operations on larger integers take seconds.
 */
export const MAX_BIGNUM_SIZE = 1_700;

/** The supported tags of RFC 8949 and RFC 8746, and those of cbor-x. */
export function cborTags(): CborTags {
  return {
    ...typedArrayTags(),
    0: (decode) => dateOfText(decode()),
    1: (decode) => dateOfSeconds(decode()),
    2: (decode) => bignum(bytesOf(decode(), 2)),
    3: (decode) => -1n - bignum(bytesOf(decode(), 3)),
    64: (decode) => bytesOf(decode(), 64),
    // Set and Map of cbor-x: no codec here encodes either of them.
    258: (decode) => arrayOf(decode()),
    259: (decode) => objectOf(decode()),
    // "Self-described CBOR": it does not change its content.
    55799: (decode) => decode(),
  };
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function dateOfText(text: unknown): Date {
  if (typeof text !== "string" || !RFC_3339.test(text)) {
    throw malformed("tag 0 does not contain a date");
  }
  return validDate(new Date(text));
}

function dateOfSeconds(seconds: unknown): Date {
  if (typeof seconds !== "number") {
    throw malformed("tag 1 does not contain a number");
  }
  return validDate(new Date(Math.round(seconds * 1_000)));
}

function validDate(date: Date): Date {
  if (Number.isNaN(date.getTime())) throw malformed("a date is out of range");
  return date;
}

function bytesOf(content: unknown, tag: number): Uint8Array {
  if (content instanceof Uint8Array) return content;
  throw malformed(`tag ${tag} does not contain bytes`);
}

function arrayOf(content: unknown): unknown[] {
  if (Array.isArray(content)) return content;
  throw malformed("tag 258 does not contain an array");
}

function objectOf(content: unknown): object {
  if (Object.prototype.toString.call(content) === "[object Object]") {
    return content as object;
  }
  throw malformed("tag 259 does not contain a map");
}

function bignum(bytes: Uint8Array): bigint {
  if (bytes.length > MAX_BIGNUM_SIZE) {
    throw malformed(`an integer has ${bytes.length} bytes`);
  }
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return BigInt(`0x${hex || "0"}`);
}

/** The bytes of a non-negative integer, without leading zeros. */
export function bignumBytes(integer: bigint): Uint8Array {
  const hex = integer.toString(16);
  const digits = hex.length % 2 === 0 ? hex : `0${hex}`;
  return Uint8Array.from(
    { length: digits.length / 2 },
    (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/**
 * Typed arrays by the tag of their big-endian form (RFC 8746); the tag of the
 * little-endian form is greater by 4. Floats of 16 and 128 bits are missing, as
 * not every runtime has a type for them.
 */
const TYPED_ARRAYS = {
  65: Uint16Array,
  66: Uint32Array,
  67: BigUint64Array,
  73: Int16Array,
  74: Int32Array,
  75: BigInt64Array,
  81: Float32Array,
  82: Float64Array,
} as const;
const LITTLE_ENDIAN = 4;

type TypedArray = InstanceType<
  typeof TYPED_ARRAYS[keyof typeof TYPED_ARRAYS]
>;

function typedArrayTags(): CborTags {
  const tags: CborTags = {
    68: (decode) => new Uint8ClampedArray(bytesOf(decode(), 68)),
    72: (decode) => new Int8Array(bytesOf(decode(), 72)),
  };
  for (const [key, type] of Object.entries(TYPED_ARRAYS)) {
    for (const endianness of [0, LITTLE_ENDIAN]) {
      const tag = Number(key) + endianness;
      tags[tag] = (decode) =>
        typedArray(type, bytesOf(decode(), tag), endianness !== 0);
    }
  }
  return tags;
}

function typedArray(
  type: typeof TYPED_ARRAYS[keyof typeof TYPED_ARRAYS],
  bytes: Uint8Array,
  little: boolean,
): TypedArray {
  const size = type.BYTES_PER_ELEMENT;
  if (bytes.length % size !== 0) {
    throw malformed(`${bytes.length} bytes are not a whole ${type.name}`);
  }
  const own = bytes.slice();
  if (little !== isLittleEndian()) {
    for (let at = 0; at < own.length; at += size) {
      own.subarray(at, at + size).reverse();
    }
  }
  return new type(own.buffer);
}

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

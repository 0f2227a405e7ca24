import { fromHex, toHex } from "../../hex.ts";
import { malformed } from "./errors.ts";

/** The tags that this codec encodes. */
export const Tag = {
  /** A date as text. */
  DATE: 0,
  /** A date in seconds. */
  SECONDS: 1,
  /** A non-negative integer, as bytes. */
  BIGNUM: 2,
  /** A negative one: -1 minus the bytes. */
  NEGATIVE_BIGNUM: 3,
  /** An array of elements. */
  SET: 258,
  /** A map with any keys. */
  MAP: 259,
} as const;

/** What each supported tag makes of its content. */
export type CborTags = { [tag: number]: (content: unknown) => unknown };

/**
 * The largest size of an integer in bytes, which is about as large as what the
 * JSON codec allows: operations on larger integers take seconds.
 */
export const MAX_BIGNUM_SIZE = 1_700;

/** The supported tags of RFC 8949 and RFC 8746, and those of cbor-x. */
export function cborTags(): CborTags {
  return {
    ...typedArrayTags(),
    [Tag.DATE]: (content) => dateOfText(content),
    [Tag.SECONDS]: (content) => dateOfSeconds(content),
    [Tag.BIGNUM]: (content) => bignum(bytesOf(content, 2)),
    [Tag.NEGATIVE_BIGNUM]: (content) => -1n - bignum(bytesOf(content, 3)),
    64: (content) => bytesOf(content, 64),
    [Tag.SET]: (content) => setOf(content),
    // "Self-described CBOR": it does not change its content.
    55799: (content) => content,
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

function setOf(content: unknown): Set<unknown> {
  if (Array.isArray(content)) return new Set(content);
  throw malformed("tag 258 does not contain an array");
}

function bignum(bytes: Uint8Array): bigint {
  if (bytes.length > MAX_BIGNUM_SIZE) {
    throw malformed(`an integer has ${bytes.length} bytes`);
  }
  return BigInt(`0x${toHex(bytes) || "0"}`);
}

/** Years whose dates RFC 3339 has a text for. */
const FOUR_DIGITS = /^\d{4}-/;

/** Returns a date's tag and what it contains. */
export function dateContent(date: Date): [tag: number, content: unknown] {
  const text = date.toISOString();
  return FOUR_DIGITS.test(text)
    ? [Tag.DATE, text]
    : [Tag.SECONDS, date.getTime() / 1_000];
}

/** The bytes of a non-negative integer, without leading zeros. */
export function bignumBytes(integer: bigint): Uint8Array {
  const digits = integer.toString(16);
  return fromHex(digits.length % 2 === 0 ? digits : `0${digits}`);
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
    68: (content) => new Uint8ClampedArray(bytesOf(content, 68)),
    72: (content) => new Int8Array(bytesOf(content, 72)),
  };
  for (const [key, type] of Object.entries(TYPED_ARRAYS)) {
    for (const endianness of [0, LITTLE_ENDIAN]) {
      const tag = Number(key) + endianness;
      tags[tag] = (content) =>
        typedArray(type, bytesOf(content, tag), endianness !== 0);
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
  // The bytes were copied when they were decoded.
  if (little !== isLittleEndian()) reverseEach(bytes, size);
  return new type(bytes.buffer as ArrayBuffer);
}

/** Reverses the bytes of each element. */
function reverseEach(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) {
    for (let low = start, high = start + size - 1; low < high; low++, high--) {
      const byte = bytes[low]!;
      bytes[low] = bytes[high]!;
      bytes[high] = byte;
    }
  }
}

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

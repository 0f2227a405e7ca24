import type { Codec, CodecOptions, ValueWeight } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { checkObject, checkOption } from "../check_option.ts";

/**
 * The default of {@linkcode CodecOptions.maxDepth}: deeper than hand-written
 * data, and far from what overflows the stack.
 */
export const DEFAULT_MAX_DEPTH = 512;
/** Encoding overflows the default stack at about 2,000 levels. */
const DEEPEST_MAX_DEPTH = 1_000;

/**
 * The default of {@linkcode CodecOptions.maxItems}. A value within it, and within
 * the default of `maxValueSize`, takes at most 25 ms to decode on a machine with
 * two cores, and 32 MiB of memory.
 */
export const DEFAULT_MAX_ITEMS = 100_000;

/** What a codec limits in the values that it decodes. */
export interface CodecLimits {
  /** See {@linkcode CodecOptions.maxDepth}. */
  readonly maxDepth: number;
  /** See {@linkcode CodecOptions.maxItems}. */
  readonly maxItems: number;
}

/**
 * Returns the limits that the options set, or their defaults.
 *
 * @throws {RangeError} if an option is out of range
 */
export function codecLimits(options: CodecOptions): CodecLimits {
  checkObject("options of codec", options);
  const { maxDepth = DEFAULT_MAX_DEPTH, maxItems = DEFAULT_MAX_ITEMS } =
    options;
  checkOption("maxDepth", maxDepth, { min: 1, max: DEEPEST_MAX_DEPTH });
  checkOption("maxItems", maxItems, { min: 1, max: Infinity });
  return { maxDepth, maxItems };
}

/**
 * Makes the error for a value that is nested too deep.
 *
 * @param codec the name of the codec
 * @param maxDepth its limit
 */
export function tooDeep(codec: string, maxDepth: number): CodecError {
  return new CodecError(
    "too-deep",
    `Cannot decode value as ${codec}: it is nested deeper than ${maxDepth} levels, the limit of option "maxDepth"`,
  );
}

/**
 * Makes the error for a value that has too many items.
 *
 * @param codec the name of the codec
 * @param maxItems its limit
 */
export function tooManyItems(codec: string, maxItems: number): CodecError {
  return new CodecError(
    "too-many-items",
    `Cannot decode value as ${codec}: it has more than ${maxItems} items, the limit of option "maxItems"`,
  );
}

/** A character of text is at most one encoded byte, and two bytes of memory. */
const WEIGHT_OF_BYTE = 2;
/** The bytes of memory of an item, at most. */
const WEIGHT_OF_ITEM = 32;

/**
 * Estimates the memory, in bytes, of a value that was decoded from `size` bytes
 * and has so many items. The estimate is an upper bound.
 */
export function weightOf(size: number, items: number): number {
  return WEIGHT_OF_BYTE * size + WEIGHT_OF_ITEM * items;
}

/**
 * Decodes a value and estimates what it takes, also if the codec does not.
 *
 * @param codec the codec of the value
 * @param bytes the encoded value
 * @param weight where the estimate is written
 * @throws {CodecError} the error of the codec
 */
export function decodeWeighed(
  codec: Codec,
  bytes: Uint8Array,
  weight: ValueWeight,
): unknown {
  weight.bytes = weightOf(bytes.length, bytes.length);
  return codec.decode(bytes, weight);
}

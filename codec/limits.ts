import type { CodecOptions } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { checkOption } from "../check_option.ts";

/**
 * The default of {@linkcode CodecOptions.maxDepth}: deeper than hand-written
 * data, and far from what overflows the stack.
 */
export const DEFAULT_MAX_DEPTH = 512;
/** Encoding overflows the default stack at about 2,000 levels. */
const DEEPEST_MAX_DEPTH = 1_000;

/**
 * The default of {@linkcode CodecOptions.maxItems}: every value within it and
 * within the default of `maxValueSize` is decoded in at most 25 ms on a machine
 * with two cores, and takes at most 32 MiB of memory.
 */
export const DEFAULT_MAX_ITEMS = 200_000;

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
  const { maxDepth = DEFAULT_MAX_DEPTH, maxItems = DEFAULT_MAX_ITEMS } =
    options;
  checkOption("maxDepth", maxDepth, { min: 1, max: DEEPEST_MAX_DEPTH });
  checkOption("maxItems", maxItems, { min: 1, max: Infinity });
  return { maxDepth, maxItems };
}

/** Makes the error for a value of a codec that is nested too deep. */
export function tooDeep(codec: string, limit: string): CodecError {
  return new CodecError(
    "too-deep",
    `Cannot decode value as ${codec}: it is nested deeper than ${limit}`,
  );
}

/** Makes the error for a value of a codec that has too many items. */
export function tooManyItems(codec: string, maxItems: number): CodecError {
  return new CodecError(
    "too-many-items",
    `Cannot decode value as ${codec}: it has more than ${maxItems} items, the limit of option "maxItems"`,
  );
}

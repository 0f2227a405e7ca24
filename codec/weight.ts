import type { Codec, ValueWeight } from "./codec.ts";

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

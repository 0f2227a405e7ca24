/**
 * Big-endian unsigned 32-bit integers, as in the frames of qmux and in the length
 * before each RPC value.
 *
 * @module
 */

/** The largest uint32, 2^32 - 1. */
export const MAX_UINT32 = 0xffff_ffff;

/** Reads the uint32 at `offset`. */
export function readUint32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) |
    (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0;
}

/** Writes `value` as a uint32 at `offset`. */
export function writeUint32(
  bytes: Uint8Array,
  offset: number,
  value: number,
): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Bytes up to which a loop is faster than `set()`. */
const SHORT = 64;

/**
 * Copies the bytes from `start` to `end` to an offset of another array. Returns
 * the offset after them.
 */
export function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  offset: number,
): number {
  if (end - start > SHORT) to.set(from.subarray(start, end), offset);
  else for (let i = start; i < end; i++) to[offset + i - start] = from[i]!;
  return offset + end - start;
}

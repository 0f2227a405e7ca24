/**
 * The sizes of write buffers: they grow with the traffic and shrink again, so that
 * an idle session holds little memory.
 *
 * @module
 */

/** Initial bytes of a write buffer, and of one that has been idle. */
const SMALL_BUFFER = 256;
/** Consecutive small writes after which a large buffer is released. */
const SHRINK_AFTER = 64;

/** A buffer of at least `needed` bytes, with the first `used` of `buffer`. */
export function growBuffer(
  buffer: Uint8Array,
  used: number,
  needed: number,
): Uint8Array<ArrayBuffer> {
  let size = Math.max(buffer.length, SMALL_BUFFER);
  while (size < needed) size *= 2;
  const grown = new Uint8Array(size);
  grown.set(buffer.subarray(0, used));
  return grown;
}

/** Decides when to release a buffer that was large. */
export class BufferRetention {
  #smallWrites = 0;

  /** The buffer to use after one of which `written` bytes were written. */
  retain(
    buffer: Uint8Array<ArrayBuffer>,
    written: number,
  ): Uint8Array<ArrayBuffer> {
    if (buffer.length <= SMALL_BUFFER) return buffer;
    if (written > buffer.length / 4) {
      this.#smallWrites = 0;
      return buffer;
    }
    if (++this.#smallWrites < SHRINK_AFTER) return buffer;
    this.#smallWrites = 0;
    return new Uint8Array(SMALL_BUFFER);
  }
}

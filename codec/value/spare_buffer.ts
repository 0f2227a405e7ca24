/** Bytes of the smallest buffer that is kept: others cost little. */
const MIN_SIZE = 64 * 1024;
/** Bytes of the largest one: a value of the default limit fits in. */
const MAX_SIZE = 2 * 1024 * 1024;

/**
 * Keeps the buffer of a large value for the next one. A new buffer has to be zeroed,
 * page by page, and freed again, which for values of 512 KiB took a quarter of the
 * time of a call (tests/bench/LOG.md).
 *
 * It is held weakly: an idle session has none after the next major garbage
 * collection.
 */
export class SpareBuffer {
  #kept: WeakRef<Uint8Array<ArrayBuffer>> | undefined;

  /**
   * Takes the buffer, of any content, if it has at least `bytes` bytes, and at most
   * `most`.
   */
  take(bytes: number, most = Infinity): Uint8Array<ArrayBuffer> | undefined {
    const buffer = this.#kept?.deref();
    if (buffer === undefined) return undefined;
    if (buffer.length < bytes || buffer.length > most) return undefined;
    this.#kept = undefined;
    return buffer;
  }

  /** Keeps a buffer that has no other use, unless there is a larger one. */
  give(buffer: Uint8Array<ArrayBuffer>): void {
    const { length } = buffer;
    if (length < MIN_SIZE || length > MAX_SIZE) return;
    const kept = this.#kept?.deref();
    if (kept === undefined || kept.length < length) {
      this.#kept = new WeakRef(buffer);
    }
  }
}

/** Bytes of the smallest block. */
const SMALLEST = 64 * 1024;
/** Bytes of the largest block: as many as a socket is read into. */
const LARGEST = 256 * 1024;
/** Bytes of free blocks that are kept. */
const MAX_FREE = 1024 * 1024;

type Block = Uint8Array<ArrayBuffer>;

/**
 * Blocks of memory that the receive buffers of a session use in turns. A new block
 * has to be zeroed by the kernel, page by page, and freed again, which takes as
 * long as to copy into it (tests/bench/LOG.md).
 *
 * Free blocks are held weakly, so an idle session holds none after the next major
 * garbage collection.
 */
export class BlockPool {
  #free: WeakRef<Block[]> | undefined;

  /** Whether a block of `bytes` bytes belongs into the pool. */
  static has(bytes: number): boolean {
    return bytes >= SMALLEST && bytes <= LARGEST && (bytes & (bytes - 1)) === 0;
  }

  /**
   * The size of the block for `bytes` bytes: less than twice as many. Undefined
   * if the pool has no such blocks.
   */
  static sizeFor(bytes: number): number | undefined {
    if (bytes <= SMALLEST / 2 || bytes > LARGEST) return undefined;
    return Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(bytes)));
  }

  /** A block of `size` bytes. It may have any content. */
  take(size: number): Block {
    const free = this.#free?.deref();
    if (free !== undefined) {
      for (let i = free.length - 1; i >= 0; i--) {
        if (free[i]!.length === size) return free.splice(i, 1)[0]!;
      }
    }
    return new Uint8Array(size);
  }

  /** Returns a block, which must have no other views. */
  give(block: Block): void {
    const free = this.#free?.deref();
    if (free === undefined) {
      this.#free = new WeakRef([block]);
      return;
    }
    free.push(block);
    let size = 0;
    for (const { length } of free) size += length;
    // The one that has waited longest is the least likely to be in a cache.
    if (size > MAX_FREE) free.shift();
  }
}

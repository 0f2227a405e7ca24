import { view } from "../../view.ts";
import { Queue } from "../../queue.ts";

/** Bytes of the smallest block: half as many, or fewer, get a buffer of their own. */
const SMALLEST = 8 * 1024;
/**
 * Bytes of the largest block. A larger one would often be too large a part of a
 * window (see `MIN_BLOCKS`): with 256 KiB, a third of what an echo over 8 channels
 * left unread went into new buffers.
 */
const LARGEST = 64 * 1024;
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
   * The size of the block for the first of `bytes` bytes: less than twice as many,
   * and at most `most`. Undefined if the pool has no such blocks.
   */
  static sizeFor(bytes: number, most = Infinity): number | undefined {
    for (let size = LARGEST; size >= SMALLEST; size /= 2) {
      if (size < 2 * bytes && size <= most) return size;
    }
    return undefined;
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
    // Those that have waited longest are the least likely to be in a cache.
    while (size > MAX_FREE) size -= free.shift()!.length;
  }
}

/** A window has at least as many blocks of the pool. */
const MIN_BLOCKS = 2;
/** Bytes of spare room that a block has at most, for small pieces to come. */
const SPARE_ROOM = 16 * 1024;

/**
 * Bytes that have arrived on a channel and wait for its reader.
 *
 * A piece is *borrowed* at first: it is a view of the transport's buffer, which
 * the next read overwrites. A reader that consumes it in the same turn saves the
 * copy; one that takes chunks to keep gets one copy of all pieces. What is left
 * when the turn ends becomes *owned*: small pieces are copied next to each other
 * into blocks, so that the memory kept alive is what was received, and not the
 * buffers that it arrived in.
 */
export class ReceiveBuffer {
  /** Owned chunks; they precede the borrowed pieces. Each has its own buffer. */
  #owned: Queue<Uint8Array<ArrayBuffer>> | undefined;
  /**
   * The first borrowed piece: the only one of a small message. It is a range of
   * what the transport has read, because views cost more than the rest of this.
   */
  #piece: Uint8Array | undefined;
  #start = 0;
  #end = 0;
  /** The other borrowed pieces. */
  #pieces: Queue<Uint8Array> | undefined;
  #borrowedLength = 0;
  #ownedMemory = 0;
  #length = 0;
  /** Where large blocks come from, for a reader that takes no chunks. */
  #pool: BlockPool | undefined;

  /** Makes a buffer. Its large blocks come from the pool, if there is one. */
  constructor(pool?: BlockPool) {
    this.#pool = pool;
  }

  /** Bytes that wait for the reader. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of memory that they occupy. */
  get heldBytes(): number {
    return this.#ownedMemory + this.#borrowedLength;
  }

  /** Adds a piece of `bytes` that stays valid until {@linkcode own}. */
  borrow(bytes: Uint8Array, from = 0, to: number = bytes.length): void {
    if (this.#piece === undefined) {
      this.#piece = bytes;
      this.#start = from;
      this.#end = to;
    } else (this.#pieces ??= new Queue()).push(view(bytes, from, to));
    this.#borrowedLength += to - from;
    this.#length += to - from;
  }

  /**
   * Copies what is still borrowed. Spare room never exceeds `coming`, the bytes
   * that can still arrive, so that the memory stays within the window.
   */
  own(coming = Infinity): void {
    const needed = this.#borrowedLength;
    if (needed === 0) return;
    const last = this.#owned?.last;
    const room = last === undefined
      ? 0
      : last.buffer.byteLength - last.byteOffset - last.length;
    if (last !== undefined && room > 0) {
      // The next piece would not fit into the rest of the block.
      const filled = Math.min(room, needed);
      this.#copyBorrowed(this.#grow(last, filled), last.length);
    }
    while (this.#borrowedLength > 0) {
      const block = this.#newBlock(this.#borrowedLength, coming);
      const filled = Math.min(this.#borrowedLength, block.length);
      this.#copyBorrowed(block, 0);
      this.#ownedMemory += block.length;
      (this.#owned ??= new Queue()).push(view(block, 0, filled));
    }
  }

  /** A block for the first of `bytes` bytes, which are borrowed. */
  #newBlock(bytes: number, coming: number): Uint8Array<ArrayBuffer> {
    // The credit of a block is returned when all of it is read: it must be a small
    // part of the window.
    const most = (this.#length + coming) / MIN_BLOCKS;
    const pooled = this.#pool && BlockPool.sizeFor(bytes, most);
    if (pooled !== undefined && pooled - bytes <= coming) {
      return this.#pool!.take(pooled);
    }
    const spare = Math.min(SPARE_ROOM, this.#length - bytes, bytes + coming);
    return new Uint8Array(Math.max(bytes, spare));
  }

  /** The first contiguous bytes; they are valid until the turn ends. */
  peek(): Uint8Array | undefined {
    return this.#owned?.first ?? this.#wholePiece();
  }

  /** What the first contiguous bytes are a range of; see {@linkcode peek}. */
  get chunk(): Uint8Array | undefined {
    return this.#owned?.first ?? this.#piece;
  }

  /** Where they start in {@linkcode chunk}. */
  get start(): number {
    return this.#owned?.first === undefined ? this.#start : 0;
  }

  /** Where they end in {@linkcode chunk}. */
  get end(): number {
    return this.#owned?.first?.length ?? this.#end;
  }

  /**
   * Drops the first `bytes`, at most what {@linkcode peek} returned. Returns how
   * many bytes of memory are released: a block is released once half of it is
   * read, and until then the bytes read still count.
   */
  consume(bytes: number): number {
    this.#length -= bytes;
    const first = this.#owned?.first;
    if (first !== undefined) return this.#consumeOwned(first, bytes);
    // It has nothing, and channels share an empty one.
    if (this.#piece === undefined) return this.#length = 0;
    this.#borrowedLength -= bytes;
    this.#start += bytes;
    if (this.#start === this.#end) this.#setPiece(this.#pieces?.shift());
    return bytes;
  }

  /**
   * Takes the next chunk, which the caller may keep: its buffer has no other
   * views. Its `byteOffset` is the bytes consumed from it before; their memory
   * is released with the chunk.
   */
  take(): Uint8Array<ArrayBuffer> | undefined {
    // Chunks that come from a pool would have to be copied again.
    this.#pool = undefined;
    if (this.#owned?.first === undefined) this.own();
    const chunk = this.#dropOwned();
    if (chunk === undefined) return undefined;
    this.#length -= chunk.length;
    return withoutRest(chunk);
  }

  /** Drops everything; returns how many bytes of memory are released. */
  clear(): number {
    const bytes = this.#length + (this.#owned?.first?.byteOffset ?? 0);
    this.#owned = undefined;
    this.#ownedMemory = 0;
    if (this.#piece !== undefined) this.#setPiece(undefined);
    this.#pieces = undefined;
    this.#borrowedLength = 0;
    this.#length = 0;
    return bytes;
  }

  #setPiece(piece: Uint8Array | undefined): void {
    this.#piece = piece;
    this.#start = 0;
    this.#end = piece === undefined ? 0 : piece.length;
  }

  /** The first borrowed piece as a view of its own. */
  #wholePiece(): Uint8Array | undefined {
    const piece = this.#piece;
    if (piece !== undefined && this.#end - this.#start < piece.length) {
      this.#setPiece(view(piece, this.#start, this.#end));
    }
    return this.#piece;
  }

  #consumeOwned(first: Uint8Array<ArrayBuffer>, bytes: number): number {
    // A block starts at the start of its buffer.
    const read = first.byteOffset + bytes;
    const pool = BlockPool.has(first.buffer.byteLength)
      ? this.#pool
      : undefined;
    if (bytes === first.length) {
      this.#dropOwned();
      pool?.give(new Uint8Array(first.buffer));
      return read;
    }
    const rest = view(first, bytes, first.length);
    if (read < rest.length || pool !== undefined) {
      this.#owned!.replaceFirst(rest);
      return 0;
    }
    this.#owned!.replaceFirst(rest.slice());
    this.#ownedMemory -= first.buffer.byteLength - rest.length;
    return read;
  }

  #dropOwned(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#owned?.shift();
    if (chunk !== undefined) this.#ownedMemory -= chunk.buffer.byteLength;
    return chunk;
  }

  /** Extends the last chunk by `bytes` of its block. */
  #grow(last: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array {
    const grown = new Uint8Array(
      last.buffer,
      last.byteOffset,
      last.length + bytes,
    );
    this.#owned!.replaceLast(grown);
    return grown;
  }

  /** Copies as many of the borrowed bytes as there is room for after `at`. */
  #copyBorrowed(target: Uint8Array, from: number): void {
    let at = from;
    let piece = this.#wholePiece();
    while (piece !== undefined) {
      const room = target.length - at;
      if (piece.length > room) {
        target.set(view(piece, 0, room), at);
        piece = view(piece, room, piece.length);
        at += room;
        break;
      }
      target.set(piece, at);
      at += piece.length;
      piece = this.#pieces?.shift();
    }
    this.#setPiece(piece);
    if (piece === undefined) this.#pieces = undefined;
    this.#borrowedLength -= at - from;
  }
}

/**
 * The chunk, copied if its buffer may have other bytes after it: what was read
 * from another channel is of no concern to the reader of this one.
 */
function withoutRest(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = chunk;
  const end = byteOffset + length;
  if (end === buffer.byteLength || !BlockPool.has(buffer.byteLength)) {
    return chunk;
  }
  const copy = new Uint8Array(end);
  copy.set(chunk, byteOffset);
  return view(copy, byteOffset, end);
}

import { view } from "../../view.ts";
import { Queue } from "../../queue.ts";

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
  /** The first borrowed piece: the only one of a small message. */
  #piece: Uint8Array | undefined;
  /** The other borrowed pieces. */
  #pieces: Queue<Uint8Array> | undefined;
  #borrowedLength = 0;
  #ownedMemory = 0;
  #length = 0;

  /** Bytes that wait for the reader. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of memory that they occupy. */
  get heldBytes(): number {
    return this.#ownedMemory + this.#borrowedLength;
  }

  /** Adds a piece that stays valid until {@linkcode own}. */
  borrow(piece: Uint8Array): void {
    if (this.#piece === undefined) this.#piece = piece;
    else (this.#pieces ??= new Queue()).push(piece);
    this.#borrowedLength += piece.length;
    this.#length += piece.length;
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
    if (last !== undefined && room >= needed) {
      this.#copyBorrowed(this.#grow(last, needed), last.length);
      return;
    }
    const spare = Math.min(SPARE_ROOM, this.#length - needed, needed + coming);
    let block = new Uint8Array(Math.max(needed, spare));
    this.#copyBorrowed(block, 0);
    if (last !== undefined && room > 0) {
      // Fill the last block: the next piece would not fit into the rest of it.
      this.#grow(last, room).set(block.subarray(0, room), last.length);
      block = block.slice(room);
    }
    this.#ownedMemory += block.length;
    (this.#owned ??= new Queue()).push(block.subarray(0, needed - room));
  }

  /** The first contiguous bytes; they are valid until the turn ends. */
  peek(): Uint8Array | undefined {
    return this.#owned?.first ?? this.#piece;
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
    const piece = this.#piece;
    if (piece === undefined) return 0;
    this.#borrowedLength -= bytes;
    this.#piece = bytes === piece.length
      ? this.#pieces?.shift()
      : view(piece, bytes, piece.length);
    return bytes;
  }

  /**
   * Takes the next chunk, which the caller may keep: its buffer has no other
   * views. Its `byteOffset` is the bytes consumed from it before; their memory
   * is released with the chunk.
   */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#owned?.first === undefined) this.own();
    const chunk = this.#dropOwned();
    if (chunk === undefined) return undefined;
    this.#length -= chunk.length;
    return chunk;
  }

  /** Drops everything; returns how many bytes of memory are released. */
  clear(): number {
    const bytes = this.#length + (this.#owned?.first?.byteOffset ?? 0);
    this.#owned = undefined;
    this.#ownedMemory = 0;
    this.#piece = undefined;
    this.#pieces = undefined;
    this.#borrowedLength = 0;
    this.#length = 0;
    return bytes;
  }

  #consumeOwned(first: Uint8Array<ArrayBuffer>, bytes: number): number {
    // A block starts at the start of its buffer.
    const read = first.byteOffset + bytes;
    if (bytes === first.length) {
      this.#dropOwned();
      return read;
    }
    const rest = view(first, bytes, first.length);
    if (read < rest.length) {
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

  #copyBorrowed(target: Uint8Array, at: number): void {
    let piece = this.#piece;
    while (piece !== undefined) {
      target.set(piece, at);
      at += piece.length;
      piece = this.#pieces?.shift();
    }
    this.#piece = undefined;
    this.#pieces = undefined;
    this.#borrowedLength = 0;
  }
}

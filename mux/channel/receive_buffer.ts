/** The most room that is kept ready behind small pieces, in bytes. */
const SPARE_ROOM = 16 * 1024;

/** Shared by all buffers that have nothing settled; never added to. */
const NOTHING: Uint8Array<ArrayBuffer>[] = [];

/**
 * Bytes that arrived on a channel and wait for its reader.
 *
 * A piece comes in *borrowed*: a view of the transport's buffer, which is used
 * again for the next read. A reader that takes it in time spares the copy or,
 * for a reader that keeps what it gets, has it made once, for all pieces
 * together. What is left when the turn ends is *settled*: copied, small pieces
 * side by side, so that what is kept alive is what was received and not the
 * buffers around it.
 */
export class ReceiveBuffer {
  /** Settled chunks, before all borrowed ones; each is alone in its buffer. */
  #settled = NOTHING;
  /** The first borrowed piece; a small message has no other. */
  #piece: Uint8Array | undefined;
  /** The borrowed pieces behind it. */
  #pieces: Uint8Array[] | undefined;
  #borrowedLength = 0;
  #settledMemory = 0;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of the buffers that are kept alive for them. */
  get heldBytes(): number {
    return this.#settledMemory + this.#borrowedLength;
  }

  /** Adds a piece that is valid until {@linkcode own}. */
  borrow(piece: Uint8Array): void {
    if (this.#piece === undefined) this.#piece = piece;
    else (this.#pieces ??= []).push(piece);
    this.#borrowedLength += piece.length;
    this.#length += piece.length;
  }

  /**
   * Copies what is still borrowed. No room is kept ready for more than `coming`,
   * the bytes that can still arrive: what is held stays within the window.
   */
  own(coming = Infinity): void {
    const needed = this.#borrowedLength;
    if (needed === 0) return;
    const last = this.#settled.at(-1);
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
      // Room that the next piece does not fit into would be kept for nothing.
      this.#grow(last, room).set(block.subarray(0, room), last.length);
      block = block.slice(room);
    }
    this.#settledMemory += block.length;
    if (this.#settled === NOTHING) this.#settled = [];
    this.#settled.push(block.subarray(0, needed - room));
  }

  /** The first bytes that wait, as many as lie side by side; valid this turn. */
  peek(): Uint8Array | undefined {
    return this.#settled[0] ?? this.#piece;
  }

  /**
   * Drops the first `bytes`, at most what {@linkcode peek} returned. Returns
   * how many are not held any more: a block is let go once half of it is read,
   * and what of it was read counts until then.
   */
  consume(bytes: number): number {
    this.#length -= bytes;
    const first = this.#settled[0];
    if (first !== undefined) return this.#skipSettled(first, bytes);
    const piece = this.#piece;
    if (piece === undefined) return 0;
    this.#borrowedLength -= bytes;
    this.#piece = bytes === piece.length
      ? this.#pieces?.shift()
      : piece.subarray(bytes);
    return bytes;
  }

  /**
   * Takes the next chunk, to keep: nobody else has a view of its buffer. What
   * of that was skipped before, its `byteOffset`, is not held any more either.
   */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#settled.length === 0) this.own();
    const chunk = this.#settled[0];
    if (chunk === undefined) return undefined;
    this.#dropSettled();
    this.#length -= chunk.length;
    return chunk;
  }

  /** Drops everything; returns how many bytes are not held any more. */
  clear(): number {
    const bytes = this.#length + (this.#settled[0]?.byteOffset ?? 0);
    this.#settled = NOTHING;
    this.#settledMemory = 0;
    this.#piece = undefined;
    this.#pieces = undefined;
    this.#borrowedLength = 0;
    this.#length = 0;
    return bytes;
  }

  #skipSettled(first: Uint8Array<ArrayBuffer>, bytes: number): number {
    // A block begins at the beginning of its buffer.
    const read = first.byteOffset + bytes;
    if (bytes === first.length) {
      this.#dropSettled();
      return read;
    }
    const rest = first.subarray(bytes);
    if (read < rest.length) {
      this.#settled[0] = rest;
      return 0;
    }
    this.#settled[0] = rest.slice();
    this.#settledMemory -= first.buffer.byteLength - rest.length;
    return read;
  }

  #dropSettled(): void {
    const chunk = this.#settled.shift();
    if (chunk !== undefined) this.#settledMemory -= chunk.buffer.byteLength;
  }

  /** Makes the last chunk reach that much further into its block. */
  #grow(last: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array {
    const grown = new Uint8Array(
      last.buffer,
      last.byteOffset,
      last.length + bytes,
    );
    this.#settled[this.#settled.length - 1] = grown;
    return grown;
  }

  #copyBorrowed(target: Uint8Array, at: number): void {
    if (this.#piece !== undefined) target.set(this.#piece, at);
    at += this.#piece?.length ?? 0;
    for (const piece of this.#pieces ?? []) {
      target.set(piece, at);
      at += piece.length;
    }
    this.#piece = undefined;
    this.#pieces = undefined;
    this.#borrowedLength = 0;
  }
}

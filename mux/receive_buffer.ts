/** The most room that is kept ready behind small pieces, in bytes. */
const SPARE_ROOM = 16 * 1024;

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
  /** Settled chunks; each is alone in its buffer. */
  #chunks: Uint8Array[] = [];
  #borrowed: Uint8Array[] = [];
  #borrowedLength = 0;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Adds a piece that is valid until {@linkcode settle}. */
  borrow(piece: Uint8Array): void {
    this.#borrowed.push(piece);
    this.#borrowedLength += piece.length;
    this.#length += piece.length;
  }

  /** Copies what is still borrowed. */
  settle(): void {
    if (this.#borrowedLength === 0) return;
    const needed = this.#borrowedLength;
    const last = this.#chunks.at(-1);
    const room = last === undefined
      ? 0
      : last.buffer.byteLength - last.byteOffset - last.length;
    if (last !== undefined && room >= needed) {
      const grown = new Uint8Array(
        last.buffer,
        last.byteOffset,
        last.length + needed,
      );
      this.#copyBorrowed(grown, last.length);
      this.#chunks[this.#chunks.length - 1] = grown;
    } else {
      const settled = this.#length - needed;
      const size = Math.max(needed, Math.min(SPARE_ROOM, settled));
      const block = new Uint8Array(size);
      this.#copyBorrowed(block, 0);
      this.#chunks.push(block.subarray(0, needed));
    }
  }

  /** The first bytes that wait, as many as lie side by side; valid this turn. */
  peek(): Uint8Array | undefined {
    return this.#chunks[0] ?? this.#borrowed[0];
  }

  /** Drops the first `bytes`, at most what {@linkcode peek} returned. */
  skip(bytes: number): void {
    this.#length -= bytes;
    if (this.#chunks.length > 0) {
      skipIn(this.#chunks, bytes);
    } else {
      this.#borrowedLength -= bytes;
      skipIn(this.#borrowed, bytes);
    }
  }

  /** Takes the next chunk, to keep: nobody else has a view of its buffer. */
  take(): Uint8Array | undefined {
    if (this.#chunks.length === 0) this.settle();
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#length -= chunk.length;
    return chunk;
  }

  /** Drops everything; returns how many bytes that were. */
  clear(): number {
    const bytes = this.#length;
    this.#chunks = [];
    this.#borrowed = [];
    this.#borrowedLength = 0;
    this.#length = 0;
    return bytes;
  }

  #copyBorrowed(target: Uint8Array, at: number): void {
    for (const piece of this.#borrowed) {
      target.set(piece, at);
      at += piece.length;
    }
    this.#borrowed.length = 0;
    this.#borrowedLength = 0;
  }
}

function skipIn(pieces: Uint8Array[], bytes: number): void {
  const first = pieces[0]!;
  if (bytes === first.length) pieces.shift();
  else pieces[0] = first.subarray(bytes);
}

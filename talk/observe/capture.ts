/** Bytes of one value that are kept at most; of longer ones, the beginning. */
export const MAX_CAPTURE = 64 * 1024;
/** Bytes that all incomplete values together may keep. */
export const MAX_CAPTURED = 16 * 1024 * 1024;
/**
 * Room for a value before any of its bytes has arrived. It is not counted, so that
 * the headers of calls are read even if nothing is left.
 */
const INITIAL_ROOM = 256;

/** What the captures of an observer may still keep. */
export class CaptureBudget {
  #left: number;

  /** Makes a budget of so many bytes. */
  constructor(bytes: number = MAX_CAPTURED) {
    this.#left = bytes;
  }

  /** Takes bytes, if there are as many. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives bytes back. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** Gathers the bytes of one value, up to what may be kept of it. */
export class Capture {
  readonly #budget: CaptureBudget;
  #bytes = new Uint8Array(0);
  #length = 0;
  #full = false;

  /** Makes an empty one. */
  constructor(budget: CaptureBudget) {
    this.#budget = budget;
  }

  /** What was kept. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a piece. */
  add(piece: Uint8Array): void {
    if (this.#full) return;
    const size = Math.min(piece.length, MAX_CAPTURE - this.#length);
    if (!this.#grow(this.#length + size)) {
      this.#full = true;
      return;
    }
    this.#bytes.set(piece.subarray(0, size), this.#length);
    this.#length += size;
    if (size < piece.length) this.#full = true;
  }

  /** Forgets what was kept. */
  clear(): void {
    this.#budget.give(counted(this.#bytes.length));
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    this.#full = false;
  }

  #grow(needed: number): boolean {
    const room = this.#bytes.length;
    if (needed <= room) return true;
    const wanted = Math.min(
      MAX_CAPTURE,
      Math.max(needed, 2 * room, INITIAL_ROOM),
    );
    if (!this.#budget.take(counted(wanted) - counted(room))) return false;
    const bytes = new Uint8Array(wanted);
    bytes.set(this.bytes);
    this.#bytes = bytes;
    return true;
  }
}

function counted(room: number): number {
  return Math.max(0, room - INITIAL_ROOM);
}

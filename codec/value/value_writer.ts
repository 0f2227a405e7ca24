import { view } from "../../view.ts";
import type { ByteSink, Codec } from "../codec.ts";
import { writeUint32 } from "../../uint32.ts";

/**
 * Bytes of the length in front of each value: a big-endian uint32 (rpc/SPEC.md,
 * "Values").
 */
export const PREFIX_SIZE = 4;

/** Size in bytes of the buffer of a new writer. */
const INITIAL_SIZE = 256;
/** Size in bytes above which a buffer is worth a promise to have it back. */
const LARGE_SIZE = 16 * 1024;
/** Size in bytes above which the buffer is replaced for the next message. */
const MAX_KEPT_SIZE = 128 * 1024;

/**
 * Encodes the values of one message after another into a buffer that is reused,
 * each value with its length in front.
 */
export class ValueWriter implements ByteSink {
  #buffer = new Uint8Array(INITIAL_SIZE);
  #length = 0;
  // Views that were made last, while they are of the buffer. A view costs 60 ns,
  // more than writing a small value, and the values of one method are often of the
  // same size, after headers that are.
  #room: Uint8Array<ArrayBuffer> | undefined;
  #roomAt = 0;
  #message: Uint8Array<ArrayBuffer> | undefined;
  /** Has the buffer of a large message; undefined if there was none. */
  #spare: SpareBuffer | undefined;

  /** Starts a message; overwrites what {@linkcode message} returned before. */
  begin(): void {
    this.#length = 0;
    if (this.#buffer.length > MAX_KEPT_SIZE) {
      (this.#spare ??= new SpareBuffer()).give(this.#buffer);
      this.#replaceBuffer(new Uint8Array(INITIAL_SIZE));
    }
  }

  /**
   * Adds a value.
   *
   * @throws {CodecError} if the value cannot be encoded; the message must not be
   * used then
   */
  add(codec: Codec, value: unknown): void {
    const prefix = this.#length;
    this.#grow(PREFIX_SIZE);
    this.#length += PREFIX_SIZE;
    if (codec.encodeInto !== undefined) codec.encodeInto(value, this);
    else this.addRaw(codec.encode(value));
    const size = this.#length - prefix - PREFIX_SIZE;
    writeUint32(this.#buffer, prefix, size);
  }

  /** Adds a value that is bytes as they are. */
  addBytes(bytes: Uint8Array): void {
    this.#grow(PREFIX_SIZE);
    writeUint32(this.#buffer, this.#length, bytes.length);
    this.#length += PREFIX_SIZE;
    this.addRaw(bytes);
  }

  /** Adds bytes as they are, such as those of an earlier message. */
  addRaw(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  reserve(bytes: number): Uint8Array<ArrayBuffer> {
    this.#grow(bytes);
    const at = this.#length;
    const last = this.#room;
    if (last?.length === bytes && this.#roomAt === at) return last;
    this.#roomAt = at;
    return this.#room = view(this.#buffer, at, at + bytes);
  }

  commit(bytes: number): void {
    this.#length += bytes;
  }

  /** Whether its buffer is so large that a new one would cost something. */
  get isLarge(): boolean {
    return this.#buffer.length > LARGE_SIZE;
  }

  /** Bytes added since {@linkcode begin}. */
  get length(): number {
    return this.#length;
  }

  /** Everything added since {@linkcode begin}; valid until the next `begin()`. */
  message(): Uint8Array<ArrayBuffer> {
    const length = this.#length;
    const last = this.#message;
    if (last?.length === length) return last;
    return this.#message = view(this.#buffer, 0, length);
  }

  /** Makes room for `bytes` more bytes. */
  #grow(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const size = Math.max(needed, this.#buffer.length * 2);
    const grown = size > MAX_KEPT_SIZE && this.#spare?.take(needed) ||
      new Uint8Array(size);
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#replaceBuffer(grown);
  }

  #replaceBuffer(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.#room = this.#message = undefined;
  }
}

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

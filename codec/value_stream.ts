/**
 * Values on a stream of bytes: a uint32 length, big-endian, then that many
 * bytes (rpc/SPEC.md, "Values").
 *
 * @module
 */
import { CodecError } from "./errors.ts";

/** Bytes of the length in front of each value. */
export const PREFIX_SIZE = 4;
/**
 * Default limit for one value: 16 MiB. Larger things are better sent as a
 * stream of values or of bytes, which cost no memory.
 */
export const DEFAULT_MAX_VALUE_SIZE = 16 * 1024 * 1024;
/** Bytes allocated at once on the word of a length alone. */
const TRUSTED_SIZE = 64 * 1024;

/** Where a {@linkcode ValueReader} finds bytes. A qmux channel is one. */
export interface ByteSource {
  /** Whether nothing more will arrive behind what is there. */
  readonly ended: boolean;
  /** Why nothing more arrives, if that is a failure. */
  readonly failure: unknown;
  /** The next bytes, as many as lie side by side; valid this turn. */
  peek(): Uint8Array | undefined;
  /** Takes that many of them. */
  skip(bytes: number): void;
  /** Calls back once when there are bytes, or the end. */
  wait(callback: () => void): void;
}

/** Joins encoded values, each with its length in front. */
export function joinValues(values: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const value of values) size += PREFIX_SIZE + value.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (const value of values) {
    const length = value.length;
    out[at] = length >>> 24;
    out[at + 1] = length >>> 16;
    out[at + 2] = length >>> 8;
    out[at + 3] = length;
    out.set(value, at + PREFIX_SIZE);
    at += PREFIX_SIZE + length;
  }
  return out;
}

/**
 * Reads one encoded value after the other, and never a byte beyond the one
 * asked for: what follows may be something else.
 */
export class ValueReader {
  readonly #source: ByteSource;
  readonly #maxSize: number;
  /** Bytes of the prefix that were read, and their value so far. */
  #prefixRead = 0;
  #size = 0;
  /** What arrived of a value that did not come in one piece. */
  #body: Uint8Array | undefined;
  #bodyRead = 0;

  /**
   * Makes a reader.
   *
   * @param source where the bytes are
   * @param maxSize bytes that a value may have
   */
  constructor(source: ByteSource, maxSize: number = DEFAULT_MAX_VALUE_SIZE) {
    this.#source = source;
    this.#maxSize = maxSize;
  }

  /**
   * The next value's bytes, valid this turn; `undefined` if they have not all
   * arrived, `null` at the end.
   *
   * @throws {CodecError} `too-large`, before any of it is stored, or
   * `truncated`
   * @throws {unknown} the source's failure
   */
  next(): Uint8Array | null | undefined {
    for (;;) {
      const bytes = this.#source.peek();
      if (bytes === undefined) {
        return this.#source.ended ? this.#end() : undefined;
      }
      const value = this.#prefixRead < PREFIX_SIZE
        ? this.#readPrefix(bytes)
        : this.#readBody(bytes);
      if (value !== undefined) return value;
    }
  }

  /**
   * As {@linkcode next}, but waits for the value, and decodes it while its
   * bytes are valid. Resolves to `undefined` at the end.
   */
  read<T>(decode: (bytes: Uint8Array) => T): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const advance = () => {
        try {
          const value = this.next();
          if (value === undefined) this.#source.wait(advance);
          else resolve(value === null ? undefined : decode(value));
        } catch (error) {
          reject(error);
        }
      };
      advance();
    });
  }

  #readPrefix(bytes: Uint8Array): Uint8Array | undefined {
    const used = Math.min(PREFIX_SIZE - this.#prefixRead, bytes.length);
    for (let i = 0; i < used; i++) {
      this.#size = (this.#size * 256) + bytes[i]!;
    }
    this.#prefixRead += used;
    if (this.#prefixRead < PREFIX_SIZE) {
      this.#source.skip(used);
      return undefined;
    }
    const size = this.#size;
    if (size > this.#maxSize) {
      throw new CodecError(
        "too-large",
        `Cannot read value: ${size} bytes are more than ${this.#maxSize}`,
      );
    }
    if (bytes.length - used >= size) {
      // The usual case: all of it lies here, and nothing needs a copy.
      const value = bytes.subarray(used, used + size);
      this.#source.skip(used + size);
      this.#reset();
      return value;
    }
    this.#source.skip(used);
    this.#body = new Uint8Array(Math.min(size, TRUSTED_SIZE));
    return undefined;
  }

  #readBody(bytes: Uint8Array): Uint8Array | undefined {
    const used = Math.min(this.#size - this.#bodyRead, bytes.length);
    const body = this.#room(this.#bodyRead + used);
    body.set(bytes.subarray(0, used), this.#bodyRead);
    this.#bodyRead += used;
    this.#source.skip(used);
    if (this.#bodyRead < this.#size) return undefined;
    const value = body.subarray(0, this.#size);
    this.#reset();
    return value;
  }

  /** Memory follows what has arrived, not what was announced. */
  #room(needed: number): Uint8Array {
    const body = this.#body!;
    if (needed <= body.length) return body;
    const grown = new Uint8Array(
      Math.min(this.#size, Math.max(needed, body.length * 2)),
    );
    grown.set(body.subarray(0, this.#bodyRead));
    return this.#body = grown;
  }

  #end(): null {
    if (this.#source.failure !== undefined) throw this.#source.failure;
    if (this.#prefixRead > 0) {
      throw new CodecError(
        "truncated",
        this.#prefixRead < PREFIX_SIZE
          ? "Cannot read value: the stream ended inside its length"
          : `Cannot read value: the stream ended after ${this.#bodyRead} of ${this.#size} bytes`,
      );
    }
    return null;
  }

  #reset(): void {
    this.#prefixRead = 0;
    this.#size = 0;
    this.#body = undefined;
    this.#bodyRead = 0;
  }
}

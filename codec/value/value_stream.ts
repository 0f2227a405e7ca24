/**
 * Values on a stream of bytes: a uint32 length, big-endian, then that many
 * bytes (rpc/SPEC.md, "Values").
 *
 * @module
 */
import type { ByteSink, Codec } from "../codec.ts";
import { writeUint32 } from "../../uint32.ts";
import { CodecError } from "../errors.ts";

/** Bytes of the length in front of each value. */
export const PREFIX_SIZE = 4;
/**
 * Default limit for one value: 16 MiB. Larger things are better sent as a
 * stream of values or of bytes, which cost no memory.
 */
export const DEFAULT_MAX_VALUE_SIZE = 16 * 1024 * 1024;
/**
 * Default limit for all values of a session that have arrived in part: 64 MiB,
 * four of the largest, or a thousand of 64 KiB.
 */
export const DEFAULT_VALUE_BUDGET_SIZE = 64 * 1024 * 1024;
/** Bytes allocated at once on the word of a length alone. */
const TRUSTED_SIZE = 64 * 1024;

/** Bytes that are asked for at once on the word of a length alone. */
const CLAIM = 1024 * 1024;

/** Where a {@linkcode ValueReader} finds bytes. A qmux channel is one. */
export interface ByteSource {
  /** Whether nothing more will arrive behind what is there. */
  readonly ended: boolean;
  /** Why nothing more arrives, if that is a failure. */
  readonly failure: unknown;
  /** The next bytes, as many as lie side by side; valid this turn. */
  peek(): Uint8Array | undefined;
  /** Takes that many of them. */
  consume(bytes: number): void;
  /** Calls back once when there are bytes, or the end. */
  whenReadable(callback: () => void): void;
  /** Is told of bytes that will be taken as soon as they arrive. */
  expect?(bytes: number): void;
}

/** Bytes of a writer's buffer at first, and the most that it keeps. */
const WRITER_SIZE = 256;
const WRITER_KEEPS = 64 * 1024;

/**
 * Gathers encoded values, each with its length in front, in one buffer that is
 * used again for the next message.
 */
export class ValueWriter implements ByteSink {
  #buffer = new Uint8Array(WRITER_SIZE);
  #length = 0;

  /** Starts a message; what {@linkcode message} returned is overwritten. */
  begin(): void {
    this.#length = 0;
    if (this.#buffer.length > WRITER_KEEPS) {
      this.#buffer = new Uint8Array(WRITER_SIZE);
    }
  }

  /**
   * Adds a value.
   *
   * @throws {CodecError} if it cannot be encoded; the message is void then
   */
  add(codec: Codec, value: unknown): void {
    const prefix = this.#length;
    this.#room(PREFIX_SIZE);
    this.#length += PREFIX_SIZE;
    if (codec.encodeInto !== undefined) codec.encodeInto(value, this);
    else this.addRaw(codec.encode(value));
    const size = this.#length - prefix - PREFIX_SIZE;
    writeUint32(this.#buffer, prefix, size);
  }

  /** Adds bytes as they are, such as a message made earlier. */
  addRaw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  reserve(bytes: number): Uint8Array<ArrayBuffer> {
    this.#room(bytes);
    return this.#buffer.subarray(this.#length, this.#length + bytes);
  }

  commit(bytes: number): void {
    this.#length += bytes;
  }

  /** What was added since {@linkcode begin}; valid until the next one. */
  message(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** The memory that the readers of one session share for values in the making. */
export class ValueBudget {
  #left: number;

  /** Makes a budget of that many bytes. */
  constructor(bytes: number = DEFAULT_VALUE_BUDGET_SIZE) {
    this.#left = bytes;
  }

  /** Bytes that nobody holds. */
  get left(): number {
    return this.#left;
  }

  /**
   * Takes bytes.
   *
   * @throws {CodecError} `too-large` if there are not as many
   */
  take(bytes: number): void {
    if (bytes > this.#left) {
      throw new CodecError(
        "too-large",
        `Cannot read value: ${bytes} bytes more would exceed what values in the making may take together, of which ${this.#left} are left`,
      );
    }
    this.#left -= bytes;
  }

  /** Gives bytes back. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}

/**
 * Reads one encoded value after the other, and never a byte beyond the one
 * asked for: what follows may be something else.
 */
export class ValueReader {
  readonly #source: ByteSource;
  readonly #maxSize: number;
  readonly #budget: ValueBudget;
  /** Bytes of the prefix that were read, and their value so far. */
  #prefixRead = 0;
  #size = 0;
  /** What arrived of a value that did not come in one piece. */
  #body: Uint8Array | undefined;
  #bodyRead = 0;
  #failed = false;
  #failure: unknown;

  /**
   * Makes a reader. One that is given up in the middle of a value keeps its
   * part of the budget until {@linkcode release}.
   *
   * @param source where the bytes are
   * @param maxSize bytes that a value may have
   * @param budget what values that come in parts may take together
   */
  constructor(
    source: ByteSource,
    maxSize: number = DEFAULT_MAX_VALUE_SIZE,
    budget: ValueBudget = new ValueBudget(maxSize),
  ) {
    this.#source = source;
    this.#maxSize = maxSize;
    this.#budget = budget;
  }

  /**
   * The next value's bytes, valid this turn; `undefined` if they have not all
   * arrived, `null` at the end.
   *
   * @param maxSize bytes that this value may have, if that is less than usual
   * @throws {CodecError} `too-large`, before any of it is stored, or
   * `truncated`; the same again for every value after it
   * @throws {unknown} the source's failure
   */
  next(maxSize: number = this.#maxSize): Uint8Array | null | undefined {
    if (this.#failed) throw this.#failure;
    try {
      for (;;) {
        const bytes = this.#source.peek();
        if (bytes === undefined) {
          return this.#source.ended ? this.#end() : undefined;
        }
        const value = this.#prefixRead < PREFIX_SIZE
          ? this.#readPrefix(bytes, Math.min(maxSize, this.#maxSize))
          : this.#readBody(bytes);
        if (value !== undefined) return value;
      }
    } catch (error) {
      // Nobody knows where the next value would begin.
      this.#failed = true;
      this.#failure = error;
      this.release();
      throw error;
    }
  }

  /** Drops what arrived of a value that nobody wants any more. */
  release(): void {
    if (this.#body !== undefined) this.#budget.give(this.#body.length);
    this.#body = undefined;
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
          if (value === undefined) this.#source.whenReadable(advance);
          else resolve(value === null ? undefined : decode(value));
        } catch (error) {
          reject(error);
        }
      };
      advance();
    });
  }

  #readPrefix(bytes: Uint8Array, maxSize: number): Uint8Array | undefined {
    const used = Math.min(PREFIX_SIZE - this.#prefixRead, bytes.length);
    for (let i = 0; i < used; i++) {
      this.#size = (this.#size * 256) + bytes[i]!;
    }
    this.#prefixRead += used;
    if (this.#prefixRead < PREFIX_SIZE) {
      this.#source.consume(used);
      return undefined;
    }
    const size = this.#size;
    if (size > maxSize) {
      throw new CodecError(
        "too-large",
        `Cannot read value: ${size} bytes are more than ${maxSize}`,
      );
    }
    if (bytes.length - used >= size) {
      // The usual case: all of it lies here, and nothing needs a copy.
      const value = bytes.subarray(used, used + size);
      this.#source.consume(used + size);
      this.#reset();
      return value;
    }
    this.#source.consume(used);
    const room = Math.min(size, TRUSTED_SIZE);
    this.#budget.take(room);
    this.#body = new Uint8Array(room);
    this.#claim();
    return undefined;
  }

  #readBody(bytes: Uint8Array): Uint8Array | undefined {
    const used = Math.min(this.#size - this.#bodyRead, bytes.length);
    const body = this.#room(this.#bodyRead + used);
    body.set(bytes.subarray(0, used), this.#bodyRead);
    this.#bodyRead += used;
    this.#source.consume(used);
    if (this.#bodyRead < this.#size) {
      this.#claim();
      return undefined;
    }
    const value = body.subarray(0, this.#size);
    this.#reset();
    return value;
  }

  /** As with memory, what is asked for follows what has arrived. */
  #claim(): void {
    const most = Math.max(CLAIM, 2 * this.#bodyRead);
    this.#source.expect?.(Math.min(this.#size - this.#bodyRead, most));
  }

  /** Memory follows what has arrived, not what was announced. */
  #room(needed: number): Uint8Array {
    // Released: who does so reads no further, and its bytes go nowhere.
    const body = this.#body ?? new Uint8Array(0);
    if (needed <= body.length) return body;
    const size = Math.min(this.#size, Math.max(needed, body.length * 2));
    this.#budget.take(size - body.length);
    const grown = new Uint8Array(size);
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
    this.#bodyRead = 0;
    this.release();
  }
}

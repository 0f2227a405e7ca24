import { CodecError } from "../errors.ts";
import { PREFIX_SIZE } from "./value_writer.ts";
import { ValueBudget } from "./value_budget.ts";

/**
 * Default limit for the size of one value: 1 MiB. Send larger data as a stream
 * of values or bytes, which is never held in memory as a whole.
 */
export const DEFAULT_MAX_VALUE_SIZE = 1024 * 1024;
/** Bytes that are allocated before any byte of a value has arrived. */
const INITIAL_BODY_SIZE = 64 * 1024;
/** Bytes that are announced to the source before any byte of a value arrived. */
const INITIAL_EXPECTED_SIZE = 1024 * 1024;

/** Where a {@linkcode ValueReader} reads bytes, such as a channel. */
export interface ByteSource {
  /** Whether nothing arrives after the bytes that are there. */
  readonly ended: boolean;
  /** The error that ended the source, if it did not end regularly. */
  readonly failure: unknown;
  /** The next contiguous bytes, valid until the turn ends. */
  peek(): Uint8Array | undefined;
  /** Removes the first `bytes` of what {@linkcode peek} returned. */
  consume(bytes: number): void;
  /** Calls `callback` once, when there are bytes or the source has ended. */
  whenReadable(callback: () => void): void;
  /** Announces that the next `bytes` are consumed as soon as they arrive. */
  expect?(bytes: number): void;
}

/**
 * Reads encoded values from a source, and no byte after the value that was
 * asked for: bytes that follow may not be a value.
 */
export class ValueReader {
  readonly #source: ByteSource;
  readonly #maxSize: number;
  readonly #budget: ValueBudget;
  /** Bytes of the length that were read, and their value so far. */
  #prefixRead = 0;
  #size = 0;
  /** The first part of a value that did not arrive in one piece. */
  #body: Uint8Array | undefined;
  #bodyRead = 0;
  #failed = false;
  #failure: unknown;

  /**
   * Makes a reader. A reader that is abandoned in the middle of a value keeps
   * its part of the budget until {@linkcode release}.
   *
   * @param source where the bytes come from
   * @param maxSize the largest size of a value, in bytes
   * @param budget the memory for values that do not arrive in one piece
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
   * Returns the bytes of the next value, valid until the turn ends; `undefined`
   * if they have not all arrived, `null` at the end of the source.
   *
   * @param maxSize a smaller limit for this value, in bytes
   * @throws {CodecError} `too-large`, before any byte of the value is stored, or
   * `truncated`; every later call throws the same error
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
      // The start of the next value is unknown.
      this.#failed = true;
      this.#failure = error;
      this.release();
      throw error;
    }
  }

  /** Drops the partly received value and returns its memory to the budget. */
  release(): void {
    if (this.#body !== undefined) this.#budget.give(this.#body.length);
    this.#body = undefined;
  }

  /**
   * Like {@linkcode next}, but waits for the value and decodes it while its
   * bytes are valid. Resolves to `undefined` at the end of the source.
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
        `Cannot read value: its ${size} bytes exceed the limit of ${maxSize} bytes${
          maxSize === this.#maxSize ? ' (option "maxValueSize")' : ""
        }`,
      );
    }
    if (bytes.length - used >= size) {
      // The usual case: the value is complete and needs no copy.
      const value = bytes.subarray(used, used + size);
      this.#source.consume(used + size);
      this.#reset();
      return value;
    }
    this.#source.consume(used);
    const allocated = Math.min(size, INITIAL_BODY_SIZE);
    this.#budget.take(allocated);
    this.#body = new Uint8Array(allocated);
    this.#expectMore();
    return undefined;
  }

  #readBody(bytes: Uint8Array): Uint8Array | undefined {
    const used = Math.min(this.#size - this.#bodyRead, bytes.length);
    const body = this.#grow(this.#bodyRead + used);
    body.set(bytes.subarray(0, used), this.#bodyRead);
    this.#bodyRead += used;
    this.#source.consume(used);
    if (this.#bodyRead < this.#size) {
      this.#expectMore();
      return undefined;
    }
    const value = body.subarray(0, this.#size);
    this.#reset();
    return value;
  }

  /**
   * Announces bytes in proportion to those that arrived: the length alone must
   * not make the peer's window grow to the size of the largest value.
   */
  #expectMore(): void {
    const limit = Math.max(INITIAL_EXPECTED_SIZE, 2 * this.#bodyRead);
    this.#source.expect?.(Math.min(this.#size - this.#bodyRead, limit));
  }

  /**
   * Allocates memory in proportion to the bytes that arrived: the length alone
   * must not cost memory.
   */
  #grow(needed: number): Uint8Array {
    // There is no body after release(); bytes that still arrive are discarded.
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

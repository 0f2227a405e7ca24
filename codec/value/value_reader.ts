import { readUint32 } from "../../uint32.ts";
import { view } from "../../view.ts";
import { CodecError } from "../errors.ts";
import type { TinyDecoder } from "../json.ts";
import { PREFIX_SIZE, type SpareBuffer } from "./value_writer.ts";

/**
 * Where a `ValueReader` takes the memory of values from. It counts bytes and
 * allocates nothing; several readers share one.
 */
export interface ValueMemory {
  /** The most that can ever be taken at once, in bytes. */
  readonly largest: number;
  /** Whether {@linkcode tryTake} would take `bytes`. */
  canTake(bytes: number): boolean;
  /** Takes `bytes` if they are free; returns whether it did. */
  tryTake(bytes: number): boolean;
  /** Gives `bytes` back that were taken. */
  give(bytes: number): void;
  /**
   * Takes `bytes` once they are free, then calls `callback`, but not within this
   * method. Returns a function that gives up waiting.
   */
  whenFree(bytes: number, callback: () => void): () => void;
  /** Whether even a small value has to wait. Default: no. */
  readonly isFull?: boolean;
  /**
   * Whether an encoded value can be used that takes nothing, because all of it has
   * arrived at once. Default: whether its bytes can be taken.
   */
  canUse?(value: Uint8Array): boolean;
  /** What a value of `bytes` takes while it arrives. Default: its bytes. */
  needFor?(bytes: number): number;
  /**
   * Asks whether an encoded value that has arrived may be used, for which more may
   * be needed than was `taken`. Returns undefined if it may; otherwise calls
   * `callback` later, and returns a function that gives up waiting.
   */
  whenUsable?(
    value: Uint8Array,
    taken: number,
    callback: () => void,
  ): (() => void) | undefined;
}

/** Memory without a limit of its own: only the size of each value is limited. */
export const UNLIMITED: ValueMemory = Object.freeze({
  largest: Infinity,
  canTake: () => true,
  tryTake: () => true,
  give() {},
  whenFree: (): () => void => {
    throw new Error("Cannot wait for memory: there is no limit");
  },
});

/**
 * Default limit for the size of one value: 1 MiB. Send larger data as a stream
 * of values or bytes, which is never held in memory as a whole.
 */
export const DEFAULT_MAX_VALUE_SIZE = 1024 * 1024;
/** Bytes that are allocated before any byte of a value has arrived. */
const INITIAL_BODY_SIZE = 128 * 1024;
/**
 * By how much the memory of a value grows at once. With 2, growing takes twice the
 * time: each byte is copied once more, and the memory that is given up was new.
 */
const GROWTH = 4;
/** Bytes of a value from which on it is worthwhile to look for a used buffer. */
const SPARE_FROM = 32 * 1024;
/** By how many times such a buffer may be larger than the value. */
const SPARE_PART = 2;
/** Bytes that are announced to the source before any byte of a value arrived. */
const INITIAL_EXPECTED_SIZE = 1024 * 1024;
/**
 * The rest of a value is announced with what comes before it if that makes it at
 * most this many times as much. A text of 1 MiB is a value of a few bytes more, and
 * the peer would have to wait a round trip for their credit.
 */
const WITH_REST = 1.5;

/**
 * Values of up to so many bytes are read without asking for memory if they have
 * arrived: what they become is not worth the count.
 */
const LIGHT_SIZE = 1024;

/** Where a {@linkcode ValueReader} reads bytes, such as a channel. */
export interface ByteSource {
  /** Whether nothing arrives after the bytes that are there. */
  readonly ended: boolean;
  /** The error that ended the source, if it did not end regularly. */
  readonly failure: unknown;
  /**
   * What the next contiguous bytes are a range of; valid until the turn ends, and
   * undefined if there are none.
   */
  readonly chunk: Uint8Array | undefined;
  /** Where they start in {@linkcode chunk}. */
  readonly chunkStart: number;
  /** Where they end. */
  readonly chunkEnd: number;
  /** Removes `bytes` bytes from the start of them. */
  consume(bytes: number): void;
  /** Calls `callback` once, when there are bytes or the source has ended. */
  whenReadable(callback: () => void): void;
  /** Forgets a callback of {@linkcode whenReadable} that still waits. */
  cancelWhenReadable?(callback: () => void): void;
  /** Announces that the next `bytes` are consumed as soon as they arrive. */
  expect?(bytes: number): void;
}

/** What a reader knows of a value that has not all arrived, or that has failed. */
class PartialValue {
  /** Bytes of the length that were read, and their value so far. */
  prefixRead = 0;
  size = 0;
  /** The first part of a value that has begun; undefined if it was dropped. */
  body: Uint8Array<ArrayBuffer> | undefined;
  bodyRead = 0;
  /** Whether all of a value has arrived that is not returned yet. */
  isComplete = false;
  /** What the memory of the value was taken from, and how much of it. */
  takenFrom: ValueMemory | undefined;
  taken = 0;
  /** Gives up waiting for memory; undefined if the reader does not wait for any. */
  cancelWait: (() => void) | undefined;
  /** To be called when there is memory. */
  callbacks: (() => void)[] | undefined;
  failed = false;
  failure: unknown;
}

/**
 * Reads encoded values from a source, and no byte after the value that was
 * asked for: bytes that follow may not be a value.
 *
 * A value begins when its size fits into the memory. Until then its bytes stay
 * unread, so that the peer stops sending. All of the size is taken at once: a
 * value that has begun needs no more memory, so it completes as soon as its bytes
 * have arrived. Of several values that take what they need bit by bit, each could
 * wait for what the others have.
 */
export class ValueReader {
  /**
   * Where the memory of the next value is taken from. May be replaced between
   * values.
   */
  memory: ValueMemory;
  readonly #source: ByteSource;
  readonly #maxSize: number;
  readonly #spare: SpareBuffer | undefined;
  /** Most readers read only values that have arrived, and need none. */
  #part: PartialValue | undefined;

  /**
   * Makes a reader. A reader that is abandoned in the middle of a value keeps
   * its memory until {@linkcode release}.
   *
   * @param source where the bytes come from
   * @param maxSize the largest size of a value, in bytes
   * @param memory where the memory of values is taken from
   * @param spare keeps the buffer of a large value for the next one, of whichever
   * reader has the same one. Default: none is kept
   */
  constructor(
    source: ByteSource,
    maxSize: number = DEFAULT_MAX_VALUE_SIZE,
    memory: ValueMemory = UNLIMITED,
    spare?: SpareBuffer,
  ) {
    this.#source = source;
    this.#maxSize = maxSize;
    this.memory = memory;
    this.#spare = spare;
  }

  /**
   * Returns the bytes of the next value, valid until the caller returns, or
   * another reader reads; `undefined` if they have not all arrived or there is no
   * memory for them, `null` at the end of the source.
   *
   * @param maxSize the limit for this value, in bytes. Default: that of the reader
   * @throws {CodecError} `too-large`, before any byte of the value is stored, or
   * `truncated`; every later call throws the same error
   * @throws {unknown} the source's failure
   */
  next(maxSize: number = this.#maxSize): Uint8Array | null | undefined {
    if (this.#part?.failed) throw this.#part.failure;
    try {
      for (;;) {
        let part = this.#part;
        if (part?.cancelWait !== undefined) return undefined;
        if (part?.isComplete) {
          const value = this.#takeBody(part);
          if (value !== undefined) return value;
          part = undefined;
        }
        const { chunk } = this.#source;
        if (chunk === undefined) {
          return this.#source.ended ? this.#end() : undefined;
        }
        const value = part === undefined || part.prefixRead < PREFIX_SIZE
          ? this.#readPrefix(chunk, maxSize, part)
          : this.#readBody(chunk, part);
        if (value !== undefined) return value;
      }
    } catch (error) {
      // The start of the next value is unknown.
      const part = this.#part ??= new PartialValue();
      part.failed = true;
      part.failure = error;
      this.release();
      throw error;
    }
  }

  /**
   * Takes the next value if its bytes are `expected` and have arrived; returns
   * whether it did. They are compared where they are: a view of them, which
   * {@linkcode next} makes, costs 60 ns.
   */
  takeIf(expected: Uint8Array): boolean {
    const source = this.#source;
    const { chunk } = source;
    const size = expected.length;
    if (chunk === undefined || !this.#isBetween || size > LIGHT_SIZE) {
      return false;
    }
    const { chunkStart: start, chunkEnd: end } = source;
    const from = start + PREFIX_SIZE;
    if (from + size > end || readUint32(chunk, start) !== size) return false;
    for (let i = 0; i < size; i++) {
      if (chunk[from + i] !== expected[i]) return false;
    }
    source.consume(PREFIX_SIZE + size);
    return true;
  }

  /**
   * Takes the next value if it has arrived and `decode` knows it; returns undefined
   * otherwise. It is decoded where it is, like the one that {@linkcode takeIf} takes.
   */
  takeTiny(decode: TinyDecoder): unknown {
    const source = this.#source;
    const { chunk } = source;
    if (chunk === undefined || !this.#isBetween) return undefined;
    const { chunkStart: start, chunkEnd: end } = source;
    const from = start + PREFIX_SIZE;
    if (from >= end) return undefined;
    const to = from + readUint32(chunk, start);
    if (to > end || to - from > this.#maxSize) return undefined;
    const value = decode(chunk, from, to);
    if (value !== undefined) source.consume(to - start);
    return value;
  }

  /** Whether a small value can be taken that begins with the next byte. */
  get #isBetween(): boolean {
    return this.#part === undefined && this.memory.isFull !== true;
  }

  /**
   * Calls `callback` once, when {@linkcode next} may return something else than
   * `undefined`.
   */
  whenReadable(callback: () => void): void {
    const part = this.#part;
    if (part?.cancelWait === undefined) this.#source.whenReadable(callback);
    else (part.callbacks ??= []).push(callback);
  }

  /** Forgets a callback of {@linkcode whenReadable} that still waits. */
  cancelWhenReadable(callback: () => void): void {
    this.#source.cancelWhenReadable?.(callback);
    const part = this.#part;
    if (part?.callbacks === undefined) return;
    part.callbacks = part.callbacks.filter((other) => other !== callback);
  }

  /**
   * The bytes that were read of a value which {@linkcode next} has not returned, with
   * its length; undefined if there are none.
   */
  get partial(): Uint8Array | undefined {
    const part = this.#part;
    if (part === undefined || part.prefixRead === 0) return undefined;
    const { prefixRead, size } = part;
    const body = part.body?.subarray(0, part.bodyRead) ?? new Uint8Array(0);
    const bytes = new Uint8Array(prefixRead + body.length);
    for (let i = 0; i < prefixRead; i++) {
      bytes[i] = size / 256 ** (prefixRead - 1 - i) % 256;
    }
    bytes.set(body, prefixRead);
    return bytes;
  }

  /**
   * Drops the partly received value and gives its memory back. What still arrives
   * of it is skipped.
   */
  release(): void {
    const part = this.#part;
    if (part === undefined) return;
    part.cancelWait?.();
    part.cancelWait = undefined;
    part.callbacks = undefined;
    this.#letGo(part);
  }

  /**
   * Gives back the memory of a value that cannot complete, since nothing more
   * arrives. {@linkcode next} still throws `truncated`.
   */
  releaseCut(): void {
    const part = this.#part;
    if (part === undefined || part.isComplete) return;
    if (!this.#source.ended || this.#source.chunk !== undefined) return;
    part.cancelWait?.();
    this.#letGo(part);
    this.#resume(part);
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
          if (value === undefined) this.whenReadable(advance);
          else resolve(value === null ? undefined : decode(value));
        } catch (error) {
          reject(error);
        }
      };
      advance();
    });
  }

  #readPrefix(
    chunk: Uint8Array,
    maxSize: number,
    begun: PartialValue | undefined,
  ): Uint8Array | undefined {
    const { chunkStart: start, chunkEnd: end } = this.#source;
    if (begun === undefined && end - start >= PREFIX_SIZE) {
      const size = readUint32(chunk, start);
      const from = start + PREFIX_SIZE;
      if (size <= end - from && size <= maxSize) {
        const value = view(chunk, from, from + size);
        if (this.#hasMemory(value)) {
          // The usual case: the value is complete and needs no copy.
          this.#source.consume(PREFIX_SIZE + size);
          return value;
        }
      }
    }
    const part = begun ?? (this.#part = new PartialValue());
    const used = Math.min(PREFIX_SIZE - part.prefixRead, end - start);
    for (let i = 0; i < used; i++) {
      part.size = (part.size * 256) + chunk[start + i]!;
    }
    part.prefixRead += used;
    if (part.prefixRead === PREFIX_SIZE) this.#checkSize(part.size, maxSize);
    this.#source.consume(used);
    if (part.prefixRead < PREFIX_SIZE) return undefined;
    if (part.size === 0) {
      this.#part = undefined;
      return new Uint8Array(0);
    }
    this.#begin(part);
    return undefined;
  }

  #checkSize(size: number, maxSize: number): void {
    if (size <= maxSize) return;
    throw new CodecError(
      "too-large",
      `Cannot read value: its ${size} bytes exceed the limit of ${maxSize} bytes${
        maxSize === this.#maxSize ? ' (option "maxValueSize")' : ""
      }`,
    );
  }

  #hasMemory(value: Uint8Array): boolean {
    const { memory } = this;
    const { length } = value;
    if (length <= LIGHT_SIZE && memory.isFull !== true) return true;
    return memory.canUse?.(value) ?? memory.canTake(length);
  }

  /** Begins the value when there is memory for all of it. */
  #begin(part: PartialValue): void {
    const { size } = part;
    const { memory } = this;
    const need = memory.needFor?.(size) ?? size;
    if (size > memory.largest) {
      throw new CodecError(
        "too-large",
        `Cannot read value: its ${size} bytes exceed the memory of ${memory.largest} bytes that a session can have`,
      );
    }
    if (memory.tryTake(need)) return this.#hasBegun(part, memory, need);
    part.cancelWait = memory.whenFree(need, () => {
      this.#hasBegun(part, memory, need);
      this.#resume(part);
    });
  }

  #hasBegun(part: PartialValue, memory: ValueMemory, amount: number): void {
    part.takenFrom = memory;
    part.taken = amount;
    const size = Math.min(part.size, INITIAL_BODY_SIZE);
    // One that is much larger than the value would be more than was taken.
    part.body =
      size >= SPARE_FROM && this.#spare?.take(size, SPARE_PART * part.size) ||
      new Uint8Array(size);
    this.#expectMore(part);
  }

  #readBody(chunk: Uint8Array, part: PartialValue): Uint8Array | undefined {
    const { chunkStart: start, chunkEnd: end } = this.#source;
    const used = Math.min(part.size - part.bodyRead, end - start);
    if (part.body !== undefined) {
      grow(part, part.body, part.bodyRead + used)
        .set(view(chunk, start, start + used), part.bodyRead);
    }
    part.bodyRead += used;
    this.#source.consume(used);
    if (part.bodyRead < part.size) {
      this.#expectMore(part);
      return undefined;
    }
    if (part.body === undefined) return this.#takeBody(part);
    part.isComplete = true;
    part.cancelWait = part.takenFrom?.whenUsable?.(
      view(part.body, 0, part.size),
      part.taken,
      () => this.#resume(part),
    );
    return part.cancelWait === undefined ? this.#takeBody(part) : undefined;
  }

  /** Ends the value; returns it, unless it was dropped. */
  #takeBody(part: PartialValue): Uint8Array | undefined {
    const value = part.body && view(part.body, 0, part.size);
    this.#letGo(part);
    this.#part = undefined;
    return value;
  }

  /** There is the memory that the reader has waited for. */
  #resume(part: PartialValue): void {
    part.cancelWait = undefined;
    const callbacks = part.callbacks ?? [];
    part.callbacks = undefined;
    for (const callback of callbacks) callback();
  }

  /**
   * Announces bytes in proportion to those that arrived: the length alone must
   * not make the peer's window grow to the size of the largest value.
   */
  #expectMore({ body, bodyRead, size }: PartialValue): void {
    if (body === undefined) return;
    const limit = Math.max(INITIAL_EXPECTED_SIZE, 2 * bodyRead);
    const left = size - bodyRead;
    this.#source.expect?.(left <= WITH_REST * limit ? left : limit);
  }

  #end(): null {
    if (this.#source.failure !== undefined) throw this.#source.failure;
    const part = this.#part;
    if (part !== undefined && part.prefixRead > 0) {
      throw new CodecError(
        "truncated",
        part.prefixRead < PREFIX_SIZE
          ? "Cannot read value: the stream ended inside its length"
          : `Cannot read value: the stream ended after ${part.bodyRead} of ${part.size} bytes`,
      );
    }
    return null;
  }

  /** Gives back the memory of a value, and its buffer. */
  #letGo(part: PartialValue): void {
    part.takenFrom?.give(part.taken);
    part.takenFrom = undefined;
    const { body } = part;
    if (body === undefined) return;
    if (body.length >= SPARE_FROM) this.#spare?.give(body);
    part.body = undefined;
  }
}

/**
 * Allocates memory in proportion to the bytes that arrived: the length alone must
 * not cost any.
 */
function grow(
  part: PartialValue,
  body: Uint8Array<ArrayBuffer>,
  needed: number,
): Uint8Array {
  if (needed <= body.length) return body;
  const size = Math.min(part.size, Math.max(needed, body.length * GROWTH));
  const grown = new Uint8Array(size);
  grown.set(body.subarray(0, part.bodyRead));
  return part.body = grown;
}

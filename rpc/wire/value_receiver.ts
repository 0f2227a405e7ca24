import type { Codec, ValueReader } from "../../codec/internal.ts";
import type { WaitOptions } from "../../mux/internal.ts";
import { RemoteError } from "../errors.ts";
import { decodeResponseHeader } from "./headers.ts";

/** Means that a value has not arrived yet; `undefined` means the end. */
export const absent: unique symbol = Symbol("absent");

/**
 * Receives the values on one channel, and the error that may end them: an empty
 * frame, which is not a value in any codec, followed by a response header
 * (rpc/SPEC.md, "Errors in mid-stream").
 */
export class ValueReceiver {
  readonly #reader: ValueReader;
  readonly #codec: Codec;
  readonly #decode: (bytes: Uint8Array) => unknown;
  readonly #trailers: boolean;
  #state: "values" | "trailer" | "failed" = "values";
  #failure: unknown;

  /**
   * Makes a receiver.
   *
   * @param reader reads the values of the channel
   * @param codec decodes the header of an error
   * @param decode decodes a value; its bytes are valid during the call only
   * @param trailers whether the peer may send an error in mid-stream
   */
  constructor(
    reader: ValueReader,
    codec: Codec,
    decode: (bytes: Uint8Array) => unknown,
    trailers: boolean,
  ) {
    this.#reader = reader;
    this.#codec = codec;
    this.#decode = decode;
    this.#trailers = trailers;
  }

  /**
   * The next value, if all of it has arrived; `absent` if it has not, undefined
   * at the end.
   *
   * @throws {RemoteError} if the peer ended the values with an error
   * @throws {CodecError} if the value cannot be decoded
   */
  receiveNow(): unknown | typeof absent {
    for (;;) {
      const bytes = this.#reader.next();
      if (bytes === undefined) return absent;
      if (bytes === null) return this.#end();
      const value = this.take(bytes);
      if (value !== absent) return value;
    }
  }

  /**
   * As {@linkcode receiveNow}, but waits for the value. Aborting the wait leaves
   * the value to the next call.
   */
  receive(options?: WaitOptions): Promise<unknown> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    try {
      // Most values have arrived already and need no callback.
      const value = this.receiveNow();
      return value === absent ? this.#wait(signal) : Promise.resolve(value);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Drops what has arrived of a value; nothing more will be received. */
  release(): void {
    this.#reader.release();
  }

  /** Decodes bytes that were read; `absent` if they are not a value. */
  take(bytes: Uint8Array): unknown | typeof absent {
    if (this.#state === "trailer") {
      const { error, code } = decodeResponseHeader(this.#codec, bytes);
      this.#fail(error ?? "", code);
    }
    if (this.#state === "failed") throw this.#failure;
    if (bytes.length > 0 || !this.#trailers) return this.#decode(bytes);
    this.#state = "trailer";
    return absent;
  }

  #wait(signal: AbortSignal | undefined): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let stopListening: (() => void) | undefined;
    const advance = () => {
      try {
        const value = this.receiveNow();
        if (value === absent) return this.#reader.whenReadable(advance);
        resolve(value);
      } catch (error) {
        reject(error);
      }
      stopListening?.();
    };
    if (signal !== undefined) {
      const onAbort = () => {
        this.#reader.cancelWhenReadable(advance);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      stopListening = () => signal.removeEventListener("abort", onAbort);
    }
    try {
      this.#reader.whenReadable(advance);
    } catch (error) {
      stopListening?.();
      reject(error);
    }
    return promise;
  }

  #end(): undefined {
    if (this.#state === "trailer") this.#fail("");
    if (this.#state === "failed") throw this.#failure;
  }

  #fail(text: string, code?: string): void {
    this.#state = "failed";
    this.#failure = new RemoteError(text, code);
  }
}

/**
 * An iterator over received values. Unlike an async generator, it can be left
 * while it waits: `return()` does not queue after `next()`.
 */
export class ValueIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #receive: () => Promise<T | undefined>;
  readonly #close: () => void | Promise<void>;
  #closed = false;
  /** Calls of `next()` that wait, and the result of the latest. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Makes an iterator.
   *
   * @param receive returns the next value, undefined at the end
   * @param close called once: at the end, after an error, or on leaving the loop
   */
  constructor(
    receive: () => Promise<T | undefined>,
    close: () => void | Promise<void>,
  ) {
    this.#receive = receive;
    this.#close = close;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const run = () => this.#next();
    const result = this.#waiting++ === 0 ? run() : this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.#closeOnce();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    try {
      const value = this.#closed ? undefined : await this.#receive();
      if (value !== undefined && !this.#closed) return { done: false, value };
    } catch (error) {
      // An error after leaving the loop is of no interest.
      if (!this.#closed) {
        await this.#closeOnce();
        throw error;
      }
    } finally {
      this.#waiting--;
    }
    await this.#closeOnce();
    return { done: true, value: undefined };
  }

  async #closeOnce(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#close();
  }
}

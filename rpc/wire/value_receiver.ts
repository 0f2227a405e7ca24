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

import type { Codec, ValueReader } from "../../codec/internal.ts";
import { RemoteError } from "../errors.ts";
import { decodeResponseHeader } from "./headers.ts";

/** Says that a value has not arrived yet; `undefined` says that none will. */
export const absent: unique symbol = Symbol("absent");

/**
 * The values that come on one channel, and the error that may end them: an
 * empty frame, which is no value in any codec, and a response header behind it
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
   * @param reader where the values are
   * @param codec what the header of an error is in
   * @param decode makes a value of its bytes, which are valid during the call
   * @param trailers whether the other side can know how an error is sent
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
   * @throws {RemoteError} if the other side ended the values by an error
   * @throws {CodecError} if the value cannot be decoded
   */
  now(): unknown | typeof absent {
    for (;;) {
      const bytes = this.#reader.next();
      if (bytes === undefined) return absent;
      if (bytes === null) return this.#end();
      const value = this.take(bytes);
      if (value !== absent) return value;
    }
  }

  /** As {@linkcode now}, but waits for the value. */
  receive(): Promise<unknown> {
    try {
      // Mostly it is there, and needs no callback.
      const value = this.now();
      return value === absent ? this.#wait() : Promise.resolve(value);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Nothing more is received: drops what arrived of a value. */
  release(): void {
    this.#reader.release();
  }

  async #wait(): Promise<unknown> {
    for (;;) {
      const value = await this.#reader.read((bytes) => this.take(bytes));
      if (value === undefined) return this.#end();
      if (value !== absent) return value;
    }
  }

  /** Makes a value of bytes that were read; `absent` if they are none. */
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

  #end(): undefined {
    if (this.#state === "trailer") this.#fail("");
    if (this.#state === "failed") throw this.#failure;
  }

  #fail(text: string, code?: string): void {
    this.#state = "failed";
    this.#failure = new RemoteError(text, code);
  }
}

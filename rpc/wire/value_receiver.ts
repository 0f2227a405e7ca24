import { rejectedBy } from "../../check_option.ts";
import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import type { Codec, ValueReader } from "../../codec/internal.ts";
import type { WaitOptions } from "../../mux/internal.ts";
import type { HeldValue } from "../callback/pointers.ts";
import { incomplete, namedAfterCall } from "../errors.ts";
import { MAX_CALL_HEADER_SIZE } from "./headers/header.ts";
import {
  decodeResponseHeader,
  type ReceivedHeader,
  remoteError,
} from "./headers/response_header.ts";
import { type Metadata, refusalOfMeta } from "./metadata.ts";

/** Means that a value has not arrived yet; `undefined` means the end. */
export const absent: unique symbol = Symbol("absent");

/**
 * Whether the values on a channel end in a trailer.
 *
 * - `none`: the peer is not extended, and sends none.
 * - `possible`: there is one if the stream has failed, and there may be one if it
 *   is complete.
 * - `required`: without one, the stream is incomplete.
 */
export type TrailerRule = "none" | "possible" | "required";

/**
 * Receives the values on one channel, and the trailer that may end them: an empty
 * frame, which is not a value in any codec, followed by a response header
 * (rpc/SPEC.md, "Endings"). Such a header can also say that the values that
 * follow are bytes, or that they are not.
 */
export class ValueReceiver {
  readonly #reader: ValueReader;
  readonly #codec: Codec;
  readonly #decode: (bytes: Uint8Array) => unknown;
  readonly #trailer: TrailerRule;
  readonly #selector: string | undefined;
  readonly #maxMetaSize: number | undefined;
  /** The metadata in the trailer. */
  trailerMeta: Metadata | undefined;
  /** What {@linkcode receive} has rejected with last, except for its signal. */
  error: unknown;
  #state: "values" | "held" | "trailer" | "complete" | "failed" = "values";
  /** In the state `held`: a value that comes before all that was not read. */
  #held: HeldValue | undefined;
  #failure: unknown;
  /** Whether values are bytes as they are. */
  #bytes = false;
  /** Why the end of the values is not one: what was left of them was dropped. */
  #cut: unknown;
  /** Looks again for the value that {@linkcode receive} waits for. */
  #wake: (() => void) | undefined;

  /**
   * Makes a receiver.
   *
   * @param reader reads the values of the channel
   * @param codec decodes the header of an error
   * @param decode decodes a value; its bytes are valid during the call only. It
   * returns `absent` if it has called {@linkcode hold}
   * @param trailer whether a trailer ends the values
   * @param selector what was called, for errors
   * @param maxMetaSize the limit for metadata in the trailer. Default: it is ignored
   */
  constructor(
    reader: ValueReader,
    codec: Codec,
    decode: (bytes: Uint8Array) => unknown,
    trailer: TrailerRule,
    selector?: string,
    maxMetaSize?: number,
  ) {
    this.#reader = reader;
    this.#codec = codec;
    this.#decode = decode;
    this.#trailer = trailer;
    this.#selector = selector;
    this.#maxMetaSize = maxMetaSize;
  }

  /**
   * The next value, if all of it has arrived; `absent` if it has not, undefined
   * at the end.
   *
   * @throws {RemoteError} if the peer ended the values with an error
   * @throws {RpcError} `incomplete` if the required trailer is missing
   * @throws {CodecError} if the value cannot be decoded
   */
  receiveNow(): unknown | typeof absent {
    for (;;) {
      if (this.#state === "complete") return this.#end();
      if (this.#state === "held") return this.#finishHeld();
      const bytes = this.#next();
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
    const rejected = rejectedBy(signal);
    if (rejected !== undefined) return rejected;
    try {
      // Most values have arrived already and need no callback.
      const value = this.receiveNow();
      return value === absent ? this.#wait(signal) : Promise.resolve(value);
    } catch (error) {
      return Promise.reject(this.#named(error));
    }
  }

  /**
   * Passes over the values that have arrived, without decoding them. If an error
   * ended them, it is thrown by the next call of {@linkcode receive}.
   */
  skip(): void {
    try {
      this.takeHeld();
      while (this.#state !== "complete") {
        const bytes = this.#next();
        if (bytes === undefined || bytes === null) return;
        const isValue = this.#state === "values" &&
          (bytes.length > 0 || this.#trailer === "none");
        if (!isValue) this.take(bytes);
      }
    } catch {
      // The reader, or this receiver, throws it again.
    }
  }

  #next(): Uint8Array | null | undefined {
    // A trailer is a header, to which the limit for values does not apply.
    return this.#state === "trailer"
      ? this.#reader.next(MAX_CALL_HEADER_SIZE)
      : this.#reader.next();
  }

  /** Drops what has arrived of a value; nothing more will be received. */
  release(): void {
    this.#reader.release();
  }

  /** From now on, the end of the values throws `reason`: they were cut off. */
  cutOff(reason: unknown): void {
    this.#cut = reason;
  }

  /** Ends a wait for memory: there are no more values to wait for. */
  wake(): void {
    this.#wake?.();
  }

  /** Keeps a value that was decoded until it is ready; the next ones wait for it. */
  hold(value: HeldValue): typeof absent {
    this.#held = value;
    this.#state = "held";
    return absent;
  }

  /** Whether {@linkcode hold} keeps a value. */
  get holds(): boolean {
    return this.#state === "held";
  }

  /** The value that is held, which is not received any more. */
  takeHeld(): HeldValue | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    this.#held = undefined;
    this.#state = "values";
    return held;
  }

  #finishHeld(): unknown | typeof absent {
    // What was cut off is received as little as what was not read.
    if (this.#cut === undefined && !this.#held!.isReady) return absent;
    const held = this.takeHeld()!;
    return this.#cut === undefined ? held.finish() : this.#end();
  }

  /** Decodes bytes that were read; `absent` if they are not a value. */
  take(bytes: Uint8Array): unknown | typeof absent {
    if (this.#state === "failed") throw this.#failure;
    if (this.#state === "trailer") {
      const header = decodeResponseHeader(this.#codec, bytes);
      this.#takeMeta(header, bytes.length);
      if (header.error !== undefined) {
        this.#failWith(remoteError(header, this.#selector));
      }
      if (header.bytes === undefined) this.#state = "complete";
      else {
        this.#state = "values";
        this.#bytes = header.bytes;
      }
      return absent;
    }
    if (bytes.length > 0 || this.#trailer === "none") {
      return this.#bytes ? bytes.slice() : this.#decode(bytes);
    }
    this.#state = "trailer";
    return absent;
  }

  #takeMeta({ meta }: ReceivedHeader, headerSize: number): void {
    if (meta === undefined || this.#maxMetaSize === undefined) return;
    const refusal = refusalOfMeta(
      meta,
      this.#codec,
      headerSize,
      this.#maxMetaSize,
      "stream",
    );
    if (refusal !== undefined) this.#failWith(refusal);
    this.trailerMeta = meta;
  }

  #wait(signal: AbortSignal | undefined): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let stopListening: (() => void) | undefined;
    let isOver = false;
    const fail = (error: unknown) => {
      isOver = true;
      stopListening?.();
      reject(error);
    };
    const advance = () => {
      if (isOver) return;
      this.#wake = undefined;
      try {
        const value = this.receiveNow();
        if (value === absent) {
          this.#wake = advance;
          return this.#whenNext(advance, fail);
        }
        resolve(value);
      } catch (error) {
        reject(this.#named(error));
      }
      isOver = true;
      stopListening?.();
    };
    if (signal !== undefined) {
      const giveUp = () => {
        this.#wake = undefined;
        this.#reader.cancelWhenReadable(advance);
        fail(reasonOf(signal));
      };
      onAbort(signal, giveUp);
      stopListening = () => offAbort(signal, giveUp);
    }
    this.#wake = advance;
    try {
      this.#whenNext(advance, fail);
    } catch (error) {
      this.#wake = undefined;
      fail(error);
    }
    return promise;
  }

  /** Calls back when there may be a value, or when what is held cannot be loaded. */
  #whenNext(advance: () => void, fail: (error: unknown) => void): void {
    if (this.#held === undefined) this.#reader.whenReadable(advance);
    else this.#held.whenReady().then(advance, fail);
  }

  #named(error: unknown): unknown {
    return this.error = this.#selector === undefined
      ? error
      : namedAfterCall(error, this.#selector);
  }

  #end(): undefined {
    if (this.#state === "failed") throw this.#failure;
    if (this.#cut !== undefined) throw this.#cut;
    const isMissing = this.#state === "trailer" ||
      (this.#state === "values" && this.#trailer === "required");
    if (isMissing) this.#failWith(incomplete());
    return undefined;
  }

  #failWith(failure: unknown): never {
    this.#state = "failed";
    throw this.#failure = failure;
  }
}

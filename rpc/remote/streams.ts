import type { WaitOptions } from "../../mux/internal.ts";
import type { Metadata } from "../wire/metadata.ts";

/**
 * What a method returns to become a stream of bytes in both directions. A method
 * can return any such pair of streams: a connection, the stdin and stdout of a
 * child process, the two ends of a `TransformStream`.
 */
export interface ByteStream {
  /** Bytes to the caller. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes from the caller. */
  readonly writable:
    | WritableStream<Uint8Array>
    | WritableStream<Uint8Array<ArrayBuffer>>
    | WritableStream<ArrayBuffer | ArrayBufferView<ArrayBuffer>>;
}

/** A call that has become a stream of bytes. Close it when you have finished. */
export interface RemoteBytes extends AsyncDisposable {
  /** The value before the bytes; usually `null`. */
  readonly value: unknown;
  /**
   * The metadata that the method has sent so far. At the end of a stream of values,
   * it is complete.
   */
  readonly meta: Metadata;
  /** Bytes from the method. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes to the method; closing it leaves `readable` open. */
  readonly writable: WritableStream<Uint8Array>;
  /** Closes both directions. */
  close(): Promise<void>;
}

/** A continued response as a whole. Close it when you have finished. */
export interface RemoteContinuation<T> extends RemoteBytes, AsyncIterable<T> {
  /**
   * The next value; `undefined` at the end. Aborting `signal` rejects the wait
   * with its reason, and leaves the value to the next `receive()`.
   */
  receive(options?: WaitOptions): Promise<T | undefined>;
  /**
   * Sends a value to the method; waits while the method does not read. Aborting
   * `signal` rejects the wait with its reason, and sends nothing. If a part of
   * the value was sent already, the call is closed.
   */
  send(value: unknown, options?: WaitOptions): Promise<void>;
  /** Receives until the end. Leaving the loop closes the call. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined>;
}

/**
 * A call that streams values: iterate it. Leaving the loop ends the producer; an
 * error of the producer is thrown in the loop, as a `RemoteError`. The return value
 * of a generator is not sent (a loop would not see it either): yield it as the last
 * value instead.
 *
 * Await it instead to get the response as a whole. It can be used in only one of
 * these two ways: the first use decides.
 */
export interface RemoteStream<T>
  extends AsyncIterable<T>, Promise<RemoteContinuation<T>> {
  /** Receives until the end. Leaving the loop closes the call. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined>;
}

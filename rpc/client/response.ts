import { checkNotAborted, checkSignal } from "../../check_option.ts";
import type { Channel, WaitOptions } from "../../mux/internal.ts";
import { RpcError } from "../errors.ts";
import { type Metadata, NO_META } from "../wire/metadata.ts";
import { ValueIterator } from "../wire/value_iterator.ts";

/** What a continued response needs of its call. */
export interface ResponsePort {
  /** The open channel. */
  readonly channel: Channel;
  /** Whether the peer is extended. */
  readonly responderExtended: boolean;
  /** The metadata that has arrived. */
  readonly meta: Metadata;
  /** The next value; undefined at the end. */
  receive(options?: WaitOptions): Promise<unknown>;
  /** Sends a value. */
  send(value: unknown, options?: WaitOptions): Promise<void>;
  /** The error of a wait, with what awaits it in its stack. */
  atCaller(error: unknown): unknown;
  /** Closes the channel. */
  close(): Promise<void>;
}

/** The key of the method that makes the result of `call()` of a response. */
export const firstValue: unique symbol = Symbol("qtalk.firstValue");

/** The error of `call()` for a response that is a stream. */
export function unexpectedStream(selector: string): RpcError {
  return new RpcError(
    "invalid-state",
    `Cannot complete call "${selector}": its response is a stream, which request() and remote() receive`,
  );
}

/**
 * The response to a call.
 *
 * If the response is complete, `values` holds all reply values and `channel` is
 * undefined. If it is *continued*, `values` holds the first value. More come by
 * {@linkcode receive}, by iterating, or as bytes on `channel`, as the two sides
 * have agreed. Close a continued response when you have finished.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("count", async (call, respond) => {
 *   const n = await call.receive() as number;
 *   const channel = await respond.continue(n);
 *   for (let i = 0; i < n; i++) await respond.send(i);
 *   await channel.close();
 * });
 *
 * await using response = await client.request("count", 3);
 * assertEquals(response.value, 3);
 * assertEquals(await Array.fromAsync(response), [0, 1, 2]);
 * ```
 */
export class RpcResponse implements AsyncIterable<unknown>, AsyncDisposable {
  /** The reply values: all of them, or the first of a continued response. */
  readonly values: readonly unknown[];
  readonly #port: ResponsePort | undefined;
  readonly #meta: Metadata | undefined;

  /**
   * Responses are made by callers.
   *
   * @ignore
   */
  constructor(
    values: readonly unknown[],
    port?: ResponsePort,
    meta?: Metadata,
  ) {
    this.values = values;
    this.#port = port;
    this.#meta = meta;
  }

  /** The first reply value; `null` if there is none. */
  get value(): unknown {
    return this.values[0] ?? null;
  }

  /**
   * The metadata that the handler has sent so far. At the end of a stream of values
   * it also has what the handler added while the stream went on.
   */
  get meta(): Metadata {
    return this.#port?.meta ?? this.#meta ?? NO_META;
  }

  /** Whether the response is continued: its channel stays open. */
  get continued(): boolean {
    return this.#port !== undefined;
  }

  /** The open channel of a continued response. */
  get channel(): Channel | undefined {
    return this.#port?.channel;
  }

  /**
   * Bytes from the handler, after the values that were received.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   */
  get readable(): Channel["readable"] {
    return this.#continuedPort("read bytes").channel.readable;
  }

  /**
   * Bytes to the handler. Closing it leaves `readable` open.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   */
  get writable(): Channel["writable"] {
    return this.#continuedPort("write bytes").channel.writable;
  }

  /**
   * The next value; `undefined` at the end, and always if the response is
   * complete.
   *
   * Aborting `signal` rejects the wait with its reason. A value that arrives
   * later is left to the next `receive()`.
   *
   * @param options signal
   * @throws {RemoteError} if the handler's stream of values failed
   * @throws {CodecError} if the value cannot be decoded
   * @throws {MuxError} `connection-lost`
   * @throws {unknown} `signal.reason`
   */
  async receive(options?: WaitOptions): Promise<unknown> {
    const port = this.#port;
    const signal = options?.signal;
    checkSignal(signal);
    if (port === undefined) return checkNotAborted(signal);
    try {
      return await port.receive(options);
    } catch (error) {
      throw signal?.aborted ? error : port.atCaller(error);
    }
  }

  /**
   * Sends a value to the handler. Waits while the handler does not read.
   *
   * Aborting `signal` rejects the wait with its reason, and nothing is sent. If a
   * part of the value was sent already, the channel is closed.
   *
   * @param value the value to send
   * @param options signal
   * @throws {RpcError} `invalid-state` if the response is not continued
   * @throws {CodecError} if the value cannot be encoded
   * @throws {MuxError} if the channel is closed
   * @throws {unknown} `signal.reason`
   */
  async send(value: unknown, options?: WaitOptions): Promise<void> {
    checkSignal(options?.signal);
    const port = this.#continuedPort("send value");
    try {
      await port.send(value, options);
    } catch (error) {
      throw options?.signal?.aborted ? error : port.atCaller(error);
    }
  }

  /** Receives until the end. Leaving the loop closes the channel. */
  [Symbol.asyncIterator](): AsyncIterableIterator<unknown, undefined> {
    return new ValueIterator(() => this.receive(), () => this.close());
  }

  /** Closes the channel, if it is still open. */
  async close(): Promise<void> {
    await this.#port?.close();
  }

  /**
   * What `call()` resolves to: the first value. A continued response is closed.
   *
   * @throws {RpcError} `invalid-state` if the response is a stream
   * @ignore
   */
  [firstValue](selector: string): unknown {
    const port = this.#port;
    if (port === undefined) return this.value;
    port.close().catch(() => {});
    // The value before a stream is `null`, which is no result.
    if (this.value === null && port.responderExtended) {
      throw unexpectedStream(selector);
    }
    return this.value;
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #continuedPort(what: string): ResponsePort {
    if (this.#port !== undefined) return this.#port;
    throw new RpcError(
      "invalid-state",
      `Cannot ${what}: the response is complete`,
    );
  }
}

import type { Channel } from "../../mux/internal.ts";
import { RpcError } from "../errors.ts";
import { ValueIterator } from "../wire/value_source.ts";

/** What a continued response is received from, sent to and closed by. */
export interface ResponsePort {
  /** The next value; undefined at the end. */
  receive(): Promise<unknown>;
  /** Sends a value. */
  send(value: unknown): Promise<void>;
  /** Closes the channel. */
  close(): Promise<void>;
}

/**
 * The response to a call.
 *
 * If it is complete, `values` holds everything and `channel` is undefined. If
 * it is *continued*, `values` holds the first value, and the rest comes by
 * {@linkcode receive}, by iterating, or as bytes by `channel`: whatever the two
 * ends agreed on. Who holds a continued response closes it.
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
  /** The reply values: all, or the first of a continued response. */
  readonly values: readonly unknown[];
  readonly #channel: Channel | undefined;
  readonly #port: ResponsePort;

  /** Responses are made by a client. */
  constructor(
    values: readonly unknown[],
    channel: Channel | undefined,
    port: ResponsePort,
  ) {
    this.values = values;
    this.#channel = channel;
    this.#port = port;
  }

  /** The first value; `null` when there is none. */
  get value(): unknown {
    return this.values[0] ?? null;
  }

  /** Whether the channel stays open. */
  get continued(): boolean {
    return this.#channel !== undefined;
  }

  /** The open channel of a continued response. */
  get channel(): Channel | undefined {
    return this.#channel;
  }

  /**
   * The bytes behind the values received.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   */
  get readable(): Channel["readable"] {
    return this.#open("read bytes").readable;
  }

  /**
   * Bytes to the handler; closing it leaves `readable` open.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   */
  get writable(): Channel["writable"] {
    return this.#open("write bytes").writable;
  }

  /**
   * The next value; `undefined` at the end.
   *
   * @throws {RemoteError} if the handler's stream of values failed
   * @throws {CodecError} if it cannot be decoded
   * @throws {MuxError} `connection-lost`
   */
  async receive(): Promise<unknown> {
    return this.#channel === undefined ? undefined : await this.#port.receive();
  }

  /**
   * Sends a value to the handler; waits while it does not read.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   * @throws {CodecError} if the value cannot be encoded
   * @throws {MuxError} if the channel is closed
   */
  async send(value: unknown): Promise<void> {
    this.#open("send value");
    await this.#port.send(value);
  }

  /** Receives until the end; leaving the loop closes the channel. */
  [Symbol.asyncIterator](): AsyncIterableIterator<unknown, undefined> {
    return new ValueIterator(() => this.receive(), () => this.close());
  }

  /** Closes the channel, if it is still open. */
  async close(): Promise<void> {
    if (this.#channel !== undefined) await this.#port.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(what: string): Channel {
    if (this.#channel !== undefined) return this.#channel;
    throw new RpcError(
      "invalid-state",
      `Cannot ${what}: the response is complete`,
    );
  }
}

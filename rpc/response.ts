import { type ValueReader, ValueWriter } from "../codec/value_stream.ts";
import type { Codec } from "../codec/codec.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { Channel } from "../mux/types.ts";
import { RpcError } from "./errors.ts";

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
  readonly #channel: QmuxChannel;
  readonly #reader: ValueReader;
  readonly #codec: Codec;
  readonly #continued: boolean;

  /** Responses are made by a client. */
  constructor(
    values: readonly unknown[],
    continued: boolean,
    channel: QmuxChannel,
    reader: ValueReader,
    codec: Codec,
  ) {
    this.values = values;
    this.#continued = continued;
    this.#channel = channel;
    this.#reader = reader;
    this.#codec = codec;
  }

  /** The first value; `null` when there is none. */
  get value(): unknown {
    return this.values[0] ?? null;
  }

  /** Whether the channel stays open. */
  get continued(): boolean {
    return this.#continued;
  }

  /** The open channel of a continued response. */
  get channel(): Channel | undefined {
    return this.#continued ? this.#channel : undefined;
  }

  /**
   * The next value; `undefined` at the end.
   *
   * @throws {CodecError} if it cannot be decoded
   * @throws {MuxError} `connection-lost`
   */
  async receive(): Promise<unknown> {
    if (!this.#continued) return undefined;
    return await this.#reader.read((bytes) => this.#codec.decode(bytes));
  }

  /**
   * Sends a value to the handler; waits while it does not read.
   *
   * @throws {RpcError} `invalid-state` if the response is not continued
   * @throws {CodecError} if the value cannot be encoded
   * @throws {MuxError} if the channel is closed
   */
  async send(value: unknown): Promise<void> {
    if (!this.#continued) {
      throw new RpcError(
        "invalid-state",
        "Cannot send value: the response is complete",
      );
    }
    const message = new ValueWriter();
    message.add(this.#codec, value);
    await this.#channel.send(message.message());
  }

  /** Receives until the end; leaving the loop closes the channel. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, undefined> {
    try {
      for (;;) {
        const value = await this.receive();
        if (value === undefined) return;
        yield value;
      }
    } finally {
      await this.close();
    }
  }

  /** Closes the channel, if it is still open. */
  async close(): Promise<void> {
    this.#reader.release();
    await this.#channel.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

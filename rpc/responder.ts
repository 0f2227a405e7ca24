import type { Codec } from "../codec/codec.ts";
import { joinValues } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { Channel } from "../mux/types.ts";
import { errorText, RpcError } from "./errors.ts";
import { encodeResponseHeader } from "./protocol.ts";
import type { Responder } from "./types.ts";

const SENT = Promise.resolve();

/** The answer to one call, on its channel. */
export class ChannelResponder implements Responder {
  readonly #channel: QmuxChannel;
  readonly #codec: Codec;
  #state: "pending" | "returned" | "continued" = "pending";

  /** Makes the responder of a call. */
  constructor(channel: QmuxChannel, codec: Codec) {
    this.#channel = channel;
    this.#codec = codec;
  }

  /** What has been answered so far. */
  get state(): "pending" | "returned" | "continued" {
    return this.#state;
  }

  return(...values: unknown[]): Promise<void> {
    const sent = this.#respond("returned", values);
    // EOF before CLOSE: qtalk-js reads no end from a CLOSE alone.
    this.#channel.shutdown();
    return sent;
  }

  async continue(...values: unknown[]): Promise<Channel> {
    await this.#respond("continued", values);
    return this.#channel;
  }

  async send(value: unknown): Promise<void> {
    if (this.#state !== "continued") {
      throw new RpcError(
        "invalid-state",
        `Cannot send value: the call is ${this.#state}, not continued`,
      );
    }
    await this.#channel.send(joinValues([this.#codec.encode(value)]));
  }

  /** Encodes everything, then changes the state, then sends. */
  #respond(
    state: "returned" | "continued",
    values: unknown[],
  ): Promise<void> {
    if (this.#state !== "pending") {
      throw new RpcError(
        "invalid-state",
        `Cannot respond to call: it is ${this.#state} already`,
      );
    }
    const failure = values.length === 1 && values[0] instanceof Error
      ? values[0]
      : undefined;
    const header = encodeResponseHeader(this.#codec, {
      error: failure === undefined ? undefined : errorText(failure),
      continued: state === "continued",
    });
    const body = failure !== undefined || values.length === 0 ? [null] : values;
    const encoded = body.map((value) => this.#codec.encode(value));
    this.#state = state;
    try {
      const sent = this.#channel.send(joinValues([header, ...encoded]));
      // A caller that is gone needs no answer, and that is no fault of ours.
      return sent?.catch(() => {}) ?? SENT;
    } catch {
      return SENT;
    }
  }
}

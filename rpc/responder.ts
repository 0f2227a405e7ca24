import type { Codec } from "../codec/codec.ts";
import { ValueWriter } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { Channel } from "../mux/types.ts";
import { errorCode, errorText, RpcError } from "./errors.ts";
import { MessageWriter } from "./message_writer.ts";
import { responseHeaderValue } from "./protocol.ts";
import type { Responder } from "./types.ts";

const SENT = Promise.resolve();

/** Encodes and sends responses; one for all calls of a session. */
export class ResponseWriter {
  readonly #codec: Codec;
  readonly #messages = new MessageWriter();
  /** The headers without an error, which are the same every time. */
  readonly #returned: Uint8Array;
  readonly #continued: Uint8Array;

  /** Makes a writer for responses in `codec`. */
  constructor(codec: Codec) {
    this.#codec = codec;
    const header = (continued: boolean) => {
      const writer = new ValueWriter();
      writer.add(codec, responseHeaderValue({ error: undefined, continued }));
      return writer.message();
    };
    this.#returned = header(false);
    this.#continued = header(true);
  }

  /**
   * Encodes a response: the values, or an error.
   *
   * @throws {CodecError} if a value cannot be encoded
   */
  response(values: unknown[], continued: boolean): ValueWriter {
    const failure = values.length === 1 && values[0] instanceof Error
      ? values[0]
      : undefined;
    const message = this.#messages.begin();
    if (failure !== undefined) {
      const header = {
        error: errorText(failure),
        code: errorCode(failure),
        continued,
      };
      message.add(this.#codec, responseHeaderValue(header));
      message.add(this.#codec, null);
      return message;
    }
    message.addRaw(continued ? this.#continued : this.#returned);
    if (values.length === 0) message.add(this.#codec, null);
    for (const value of values) message.add(this.#codec, value);
    return message;
  }

  /** Encodes one more value of a continued response. */
  value(value: unknown): ValueWriter {
    const message = this.#messages.begin();
    message.add(this.#codec, value);
    return message;
  }

  /** Sends what was encoded; see `QmuxChannel.send()`. */
  send(channel: QmuxChannel, message: ValueWriter): Promise<void> | undefined {
    return this.#messages.send(channel, message);
  }
}

/** The answer to one call, on its channel. */
export class ChannelResponder implements Responder {
  readonly #channel: QmuxChannel;
  readonly #writer: ResponseWriter;
  #state: "pending" | "returned" | "continued" = "pending";

  /** Makes the responder of a call. */
  constructor(channel: QmuxChannel, writer: ResponseWriter) {
    this.#channel = channel;
    this.#writer = writer;
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
    await this.#writer.send(this.#channel, this.#writer.value(value));
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
    const message = this.#writer.response(values, state === "continued");
    this.#state = state;
    try {
      const sent = this.#writer.send(this.#channel, message);
      // A caller that is gone needs no answer, and that is no fault of ours.
      return sent?.catch(() => {}) ?? SENT;
    } catch {
      return SENT;
    }
  }
}

import { type Codec, ValueWriter } from "../../codec/internal.ts";
import type { Channel, RawChannel } from "../../mux/internal.ts";
import type { BorrowedCallbacks } from "../callback/callback.ts";
import type { Lending } from "../callback/callback_table.ts";
import { errorCode, errorText, RpcError } from "../errors.ts";
import type { Request } from "./request_decoder.ts";
import type { Link } from "../callback/link.ts";
import { MessageWriter } from "../wire/message_writer.ts";
import {
  addError,
  responseHeaderValue,
  type ResponseNote,
} from "../wire/headers.ts";
import type { Responder } from "../types.ts";

const SENT = Promise.resolve();

/** Encodes and sends responses; one for all calls of a session. */
export class ResponseWriter {
  readonly #codec: Codec;
  readonly #messages = new MessageWriter();
  /** The headers without an error, which are mostly the same. */
  #plain: UsualHeaders | undefined;
  /** The same for callers that announced themselves. */
  #noted: UsualHeaders | undefined;

  /** Makes a writer for responses in `codec`. */
  constructor(codec: Codec) {
    this.#codec = codec;
  }

  /**
   * Encodes a response: the values, or an error.
   *
   * @throws {CodecError} if a value cannot be encoded
   */
  response(
    values: unknown[],
    continued: boolean,
    note: ResponseNote | undefined,
  ): ValueWriter {
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
      message.add(this.#codec, responseHeaderValue(header, note));
      message.add(this.#codec, null);
      return message;
    }
    this.#addHeader(message, continued, note);
    if (values.length === 0) message.add(this.#codec, null);
    for (const value of values) message.add(this.#codec, value);
    return message;
  }

  #addHeader(
    message: ValueWriter,
    continued: boolean,
    note: ResponseNote | undefined,
  ): void {
    if (note === undefined || note === NOTHING_KEPT) {
      const usual = note === undefined
        ? this.#plain ??= usualHeaders(this.#codec, note)
        : this.#noted ??= usualHeaders(this.#codec, note);
      message.addRaw(continued ? usual.continued : usual.returned);
    } else {
      const error = undefined;
      message.add(this.#codec, responseHeaderValue({ error, continued }, note));
    }
  }

  /** Encodes one more value of a continued response. */
  value(value: unknown): ValueWriter {
    const message = this.#messages.begin();
    message.add(this.#codec, value);
    return message;
  }

  /** Encodes the error that ends a stream of values. */
  error(reason: unknown): ValueWriter {
    const message = this.#messages.begin();
    addError(message, this.#codec, reason);
    return message;
  }

  /** Sends what was encoded; see `RawChannel.send()`. */
  send(channel: RawChannel, message: ValueWriter): Promise<void> | undefined {
    return this.#messages.send(channel, message);
  }
}

/** What is said to a caller of ours that lent nothing that is kept. */
const NOTHING_KEPT: ResponseNote = { kept: [] };

/** The headers of responses without an error. */
interface UsualHeaders {
  readonly returned: Uint8Array;
  readonly continued: Uint8Array;
}

function usualHeaders(
  codec: Codec,
  note: ResponseNote | undefined,
): UsualHeaders {
  const header = (continued: boolean) => {
    const writer = new ValueWriter();
    writer.add(
      codec,
      responseHeaderValue({ error: undefined, continued }, note),
    );
    return writer.message().slice();
  };
  return { returned: header(false), continued: header(true) };
}

/** The answer to one call, on its channel. */
export class ChannelResponder implements Responder {
  /** The callbacks that came with the call; made when the first does. */
  borrowed: BorrowedCallbacks | undefined;
  readonly #channel: RawChannel;
  readonly #request: Request;
  readonly #link: Link;
  #state: "pending" | "returned" | "continued" = "pending";

  /** Makes the responder of a call. */
  constructor(channel: RawChannel, request: Request, link: Link) {
    this.#channel = channel;
    this.#request = request;
    this.#link = link;
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
    await this.sendNow(value);
  }

  /** As {@linkcode send}; no promise if there is nothing to wait for. */
  sendNow(value: unknown): Promise<void> | undefined {
    if (this.#state !== "continued") {
      throw new RpcError(
        "invalid-state",
        `Cannot send value: the call is ${this.#state}, not continued`,
      );
    }
    const { writer } = this.#request.context;
    try {
      return writer.send(this.#channel, writer.value(value));
    } catch (refusal) {
      const lending = this.#link.callbacks.lend(
        this.#request.context.codec,
        value,
        refusal,
        (plain) => writer.value(plain),
      );
      return this.#sendLent(lending);
    }
  }

  /** The values of a continued call have ended: EOF, then CLOSE. */
  end(): void {
    this.#state = "returned";
    this.#channel.shutdown();
  }

  /**
   * The values of a continued call have ended by an error. Returns whether the
   * caller can be told so.
   */
  fail(reason: unknown): boolean {
    if (this.#state !== "continued" || !this.#request.extended) return false;
    const { writer } = this.#request.context;
    try {
      writer.send(this.#channel, writer.error(reason))?.catch(() => {});
    } catch {
      // It is gone, which ends the matter too.
    }
    this.end();
    return true;
  }

  /** The channel is somebody else's to answer on. */
  handOver(): void {
    this.#state = "continued";
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
    const over = state === "returned";
    const { extended, context } = this.#request;
    const kept = this.borrowed?.kept(over) ?? NOTHING_KEPT.kept;
    const noted = kept.length === 0 ? NOTHING_KEPT : { kept };
    const note = extended ? noted : undefined;
    const { writer } = context;
    let message: ValueWriter;
    let lending: Lending | undefined;
    try {
      message = writer.response(values, !over, note);
    } catch (refusal) {
      lending = this.#link.callbacks.lend(
        context.codec,
        values,
        refusal,
        (plain) => writer.response(plain, !over, note),
      );
      message = lending.message;
    }
    this.#state = state;
    this.borrowed?.answered(kept, over);
    try {
      const sent = lending === undefined
        ? writer.send(this.#channel, message)
        : this.#sendLent(lending);
      // A caller that is gone needs no answer, and that is no fault of ours.
      return sent?.catch(() => {}) ?? SENT;
    } catch {
      return SENT;
    }
  }

  /** Sends functions, which are the caller's if they arrive. */
  #sendLent({ message, ids }: Lending): Promise<void> | undefined {
    const { callbacks } = this.#link;
    const { writer } = this.#request.context;
    const failed = (error: unknown): never => {
      callbacks.release(ids);
      throw error;
    };
    try {
      return writer.send(this.#channel, message)?.catch(failed);
    } catch (error) {
      return failed(error);
    }
  }
}

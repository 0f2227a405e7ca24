import type { ValueWriter } from "../../codec/internal.ts";
import type { Channel, RawChannel, WaitOptions } from "../../mux/internal.ts";
import type { BorrowedCallbacks } from "../callback/borrowed_callbacks.ts";
import type { LendingMessage } from "../callback/callback_table.ts";
import { RpcError } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { Request } from "./request_decoder.ts";
import { NOTHING_KEPT } from "./response_writer.ts";
import type { ServerResponder } from "./server_call.ts";

const SENT = Promise.resolve();

/**
 * How far a call has been answered.
 *
 * - `pending`: not at all.
 * - `continued`: with a response after which the channel stays open.
 * - `returned`: completely.
 */
export type ResponderState = "pending" | "continued" | "returned";

/** Answers one call, on its channel. */
export class ChannelResponder implements ServerResponder {
  /** The callbacks among the arguments; made when the first is found. */
  borrowed: BorrowedCallbacks | undefined;
  readonly #channel: RawChannel;
  readonly #request: Request;
  readonly #session: SessionState;
  #state: ResponderState = "pending";

  /** Makes the responder of a call. */
  constructor(channel: RawChannel, request: Request, session: SessionState) {
    this.#channel = channel;
    this.#request = request;
    this.#session = session;
  }

  /** How far the call has been answered. */
  get state(): ResponderState {
    return this.#state;
  }

  return(...values: unknown[]): Promise<void> {
    return this.returnAll(values);
  }

  returnAll(values: readonly unknown[]): Promise<void> {
    const sent = this.#respond("returned", values);
    // EOF before CLOSE: qtalk-js does not take a CLOSE alone for the end.
    this.#channel.shutdown();
    return sent;
  }

  async continue(...values: unknown[]): Promise<Channel> {
    await this.#respond("continued", values);
    return this.#channel;
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    await this.sendNow(value, signal);
  }

  sendNow(value: unknown, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#state !== "continued") {
      throw new RpcError(
        "invalid-state",
        `Cannot send value: the call is ${this.#state}, not continued`,
      );
    }
    const { codec, writer } = this.#request.context;
    let message: ValueWriter;
    try {
      message = writer.value(value);
    } catch (refusal) {
      const lending = this.#session.callbacks.lend(
        codec,
        value,
        refusal,
        (plain) => writer.value(plain),
      );
      return this.#sendLending(lending, signal);
    }
    return writer.send(this.#channel, message, signal);
  }

  end(): void {
    this.#state = "returned";
    this.#channel.shutdown();
  }

  fail(reason: unknown): boolean {
    if (this.#state !== "continued" || !this.#request.extended) return false;
    const { writer } = this.#request.context;
    try {
      writer.send(this.#channel, writer.error(reason))?.catch(() => {});
    } catch {
      // The channel is closed, so the caller needs no error.
    }
    this.end();
    return true;
  }

  handOver(): void {
    this.#state = "continued";
  }

  /** Encodes everything, then changes the state, then sends. */
  #respond(
    state: "returned" | "continued",
    values: readonly unknown[],
  ): Promise<void> {
    if (this.#state !== "pending") {
      throw new RpcError(
        "invalid-state",
        `Cannot respond to call: it is ${this.#state} already`,
      );
    }
    const ends = state === "returned";
    const { extended, context } = this.#request;
    const keptIds = this.borrowed?.keptIds(ends) ?? NOTHING_KEPT.keptIds;
    const kept = keptIds.length === 0 ? NOTHING_KEPT : { keptIds };
    const extension = extended ? kept : undefined;
    const { codec, writer } = context;
    let message: ValueWriter;
    let lending: LendingMessage | undefined;
    try {
      message = writer.response(values, !ends, extension);
    } catch (refusal) {
      lending = this.#session.callbacks.lend(
        codec,
        values,
        refusal,
        (plain) => writer.response(plain, !ends, extension),
      );
      message = lending.message;
    }
    this.#state = state;
    this.borrowed?.answered(keptIds, ends);
    try {
      const sent = lending === undefined
        ? writer.send(this.#channel, message)
        : this.#sendLending(lending);
      // A caller that has gone needs no answer, and that is not an error.
      return sent?.catch(() => {}) ?? SENT;
    } catch {
      return SENT;
    }
  }

  /** Sends functions; the caller owns them, unless they cannot be sent. */
  #sendLending(
    { message, ids }: LendingMessage,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    const { callbacks } = this.#session;
    const { writer } = this.#request.context;
    const failed = (error: unknown): never => {
      callbacks.release(ids);
      throw error;
    };
    try {
      return writer.send(this.#channel, message, signal)?.catch(failed);
    } catch (error) {
      return failed(error);
    }
  }
}

import { checkNotAborted } from "../../check_option.ts";
import { CodecError, ValueWriter } from "../../codec/internal.ts";
import type { Channel, RawChannel, WaitOptions } from "../../mux/internal.ts";
import type { BorrowedCallbacks } from "../callback/borrowed_callbacks.ts";
import type { LendingMessage } from "../callback/callback_table.ts";
import { PointerFinder } from "../callback/pointer_finder.ts";
import { RpcError } from "../errors.ts";
import { printableText } from "../../printable_text.ts";
import type { SessionState } from "../session_state.ts";
import { toError } from "../wire/headers/error_header.ts";
import type { ResponseExtension } from "../wire/headers/response_header.ts";
import { checkMeta, type Metadata, NO_META } from "../wire/metadata.ts";
import type { Request } from "./request_decoder.ts";
import {
  BYTES_FOLLOW,
  MAY_GO_ON,
  NOTHING_KEPT,
  ONLY_TRAILER,
  type ResponseOwner,
} from "./response_writer.ts";
import type { ServerResponder } from "./server_call.ts";
import type { UnsentResponses } from "./unsent_responses.ts";

const SENT = Promise.resolve();

/** Differs from everything that can be thrown. */
const NOTHING = Symbol("nothing");

/**
 * How far a call has been answered.
 *
 * - `pending`: not at all.
 * - `continued`: with a response after which the channel stays open.
 * - `returned`: completely.
 */
export type ResponderState = "pending" | "continued" | "returned";

/** The call that is answered. */
export interface AnsweredCall {
  /**
   * Whether its argument was read, nothing more has arrived, and the handler does not
   * use the channel.
   */
  readonly isWholeRead: boolean;
  /** Called when its channel may have another call, which begins at once. */
  onGoOn: (() => void) | undefined;
}

/** Answers one call, on its channel. */
export class ChannelResponder implements ServerResponder, ResponseOwner {
  /** The callbacks among the arguments; made when the first is found. */
  borrowed: BorrowedCallbacks | undefined;
  /**
   * The only answer that is left to the call, because its deadline has passed. Its
   * signal has aborted, so what its handler returns may be incomplete.
   */
  tooLate: Error | undefined;
  /** What errors call the call. */
  name: string;
  /** Metadata for the caller, which the handler fills in. */
  meta: Record<string, unknown> | undefined;
  /** The call, if its channel may have another one after it. */
  call: AnsweredCall | undefined;
  /** Whether the channel is free for other calls, and no longer that of this one. */
  goesOn = false;
  /** Whether all of the answer has left. */
  isSent = false;
  /** What of it was sent with the answer. */
  #sentMeta: Metadata | undefined;
  readonly #channel: RawChannel;
  readonly #request: Request;
  readonly #session: SessionState;
  readonly #unsent: UnsentResponses;
  #state: ResponderState = "pending";
  /** Whether the caller closes the channel after a complete response. */
  #leavesClose = false;
  /** Whether the response is a stream of values that needs a trailer. */
  #trailer = false;
  /** The error that was reported last: a handler may throw it as well. */
  #reported: unknown = NOTHING;
  /** Whether the values of that stream are bytes as they are. */
  #bytes = false;

  /** Makes the responder of a call. */
  constructor(
    channel: RawChannel,
    request: Request,
    session: SessionState,
    unsent: UnsentResponses,
  ) {
    this.#channel = channel;
    this.#request = request;
    this.name = request.selector;
    this.#session = session;
    this.#unsent = unsent;
  }

  /** How far the call has been answered. */
  get state(): ResponderState {
    return this.#state;
  }

  report(error: unknown): void {
    if (error === this.#reported) return;
    this.#reported = error;
    this.#session.onError(error, this.name);
  }

  return(...values: unknown[]): Promise<void> {
    return this.returnAll(values);
  }

  returnAll(values: readonly unknown[]): Promise<void> {
    if (this.#mustWait() && this.#state === "pending") {
      return this.#returnLater(values);
    }
    return this.#returnNow(values);
  }

  /** Whether the session holds as many responses as it may. */
  #mustWait(): boolean {
    // What the caller of a nested call waits for must not wait for others.
    return this.#unsent.congested && !this.#request.nested;
  }

  /** Answers when there is memory for the encoded answer. */
  #returnLater(values: readonly unknown[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    this.#state = "returned";
    // The server takes the call to be over, and does not wait for another one.
    this.call = undefined;
    this.#unsent.whenRoom(this.#channel, () => {
      if (this.#channel.peerClosed) {
        this.#endStreamsIn(values, undefined);
        this.borrowed?.ended();
        this.#channel.shutdown();
        return resolve();
      }
      this.#state = "pending";
      try {
        resolve(this.#returnNow(values));
      } catch (error) {
        // The handler may have finished, and can give no other answer.
        this.#returnErrorNow(toError(error));
        this.report(error);
        reject(error);
      }
    });
    return promise;
  }

  /**
   * As `return()`, for when nothing else can answer. It never throws: if not even
   * the error can be sent, the channel ends, and the caller learns that there is no
   * response.
   */
  returnError(error: Error): void {
    if (this.#mustWait() && this.#state === "pending") {
      void this.#returnLater([error]);
    } else this.#returnErrorNow(error);
  }

  #returnErrorNow(error: Error): void {
    try {
      void this.#returnNow([error]);
    } catch (failure) {
      this.#state = "returned";
      this.borrowed?.ended();
      this.#channel.discard();
      this.report(failure);
    }
  }

  #returnNow(values: readonly unknown[]): Promise<void> {
    const goesOn = this.#request.again && !this.#session.draining &&
      values.length < 2 &&
      !(values[0] instanceof Error) && this.tooLate === undefined &&
      this.borrowed === undefined && !this.#hasMeta &&
      this.call?.isWholeRead === true;
    const sent = this.#respond(
      "returned",
      values,
      goesOn ? MAY_GO_ON : NOTHING_KEPT,
    );
    if (this.goesOn) {
      const { call } = this;
      this.call = undefined;
      this.isSent = sent === SENT;
      // Until then the channel is not idle: the end of the session waits for it.
      if (this.isSent) call!.onGoOn?.();
      else void sent.then(() => call!.onGoOn?.());
      return sent;
    }
    // EOF before CLOSE: qtalk-js does not take a CLOSE alone for the end.
    if (this.#leavesClose) this.#channel.closeWrite();
    else this.#channel.shutdown();
    return sent;
  }

  async continue(...values: unknown[]): Promise<Channel> {
    await this.#respond("continued", values);
    return this.#channel;
  }

  async continueWithBytes(): Promise<Channel> {
    await this.#respond("continued", [], BYTES_FOLLOW);
    return this.#channel;
  }

  async continueWithStream(): Promise<void> {
    this.#trailer = this.#request.extended;
    await this.#respond("continued", [], ONLY_TRAILER);
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    checkNotAborted(signal);
    await this.sendNow(value, signal);
  }

  sendNow(value: unknown, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#state !== "continued") {
      throw new RpcError(
        "invalid-state",
        `Cannot send value: the call of "${this.name}" is ${this.#state}, not continued`,
      );
    }
    return this.#mustWait()
      ? this.#sendLater(value, signal)
      : this.#sendValue(value, signal);
  }

  /** Sends a value when there is memory for the encoded value. */
  #sendLater(value: unknown, signal?: AbortSignal): Promise<void> {
    // Without it, the values so far would look complete if the program ends them.
    const release = this.#channel.holdEnd();
    return new Promise<void>((resolve, reject) => {
      this.#unsent.whenRoom(this.#channel, () => {
        try {
          checkNotAborted(signal);
          resolve(this.#sendValue(value, signal));
        } catch (error) {
          reject(error);
        }
        release();
      });
    });
  }

  #sendValue(value: unknown, signal?: AbortSignal): Promise<void> | undefined {
    // A length of 0 would be the trailer: empty bytes add nothing to a stream.
    if (this.#isSentAsBytes(value) && value.length === 0) return;
    let message: ValueWriter;
    try {
      message = this.#encode(value);
    } catch (refusal) {
      const encode = (plain: unknown) => this.#encode(plain);
      return this.#sendLending(this.#lend(value, refusal, encode), signal);
    }
    return this.#sendMessage(message, signal);
  }

  /** Bytes in a stream stay what they are with every codec. */
  #isSentAsBytes(value: unknown): value is Uint8Array {
    return this.#trailer && value instanceof Uint8Array &&
      !this.#request.context.writer.carriesBytes;
  }

  #encode(value: unknown): ValueWriter {
    const { writer } = this.#request.context;
    const bytes = this.#isSentAsBytes(value);
    if (bytes === this.#bytes) return writer.value(value, bytes);
    const message = writer.valueInForm(value, bytes);
    this.#bytes = bytes;
    return message;
  }

  /** Sends a message, which counts as held until it has been sent. */
  #sendMessage(
    message: ValueWriter,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    const { writer } = this.#request.context;
    const sent = writer.send(this.#channel, message, signal);
    if (sent !== undefined) {
      this.#unsent.hold(message.message().length, sent);
    }
    return sent;
  }

  end(): void {
    this.borrowed?.ended();
    if (this.#trailer) this.#sendTrailer(undefined);
    this.#state = "returned";
    this.#channel.shutdown();
  }

  fail(reason: unknown): boolean {
    if (this.#state !== "continued" || !this.#request.extended) return false;
    this.#sendTrailer({ reason });
    this.#state = "returned";
    this.#channel.shutdown();
    return true;
  }

  handOver(): void {
    this.#state = "continued";
  }

  #sendTrailer(failure: { reason: unknown } | undefined): void {
    const { writer } = this.#request.context;
    try {
      const message = writer.trailer(failure, this, this.#restOfMeta());
      writer.send(this.#channel, message)?.catch(() => {});
    } catch {
      // The channel is closed, so the caller needs no trailer.
    }
  }

  /** Whether there is metadata to send: middleware may have asked for it and set none. */
  get #hasMeta(): boolean {
    return this.meta !== undefined && Object.keys(this.meta).length > 0;
  }

  /** The metadata that was not sent with the answer. */
  #restOfMeta(): Metadata | undefined {
    const { meta } = this;
    return meta && newMeta(meta, this.#sentMeta ?? NO_META);
  }

  /** What a response tells an extended caller that is not the usual. */
  #unusual(
    usual: ResponseExtension,
    keptIds: readonly string[],
    values: readonly unknown[],
  ): ResponseExtension {
    const { writer, codec } = this.#request.context;
    const whose = `the response to "${printableText(this.name)}"`;
    const isError = values.length === 1 && values[0] instanceof Error;
    let { meta }: { meta?: Metadata | undefined } = this;
    try {
      // An error is sent in any case.
      if (!isError) meta = checkMeta(meta, codec, writer.maxMetaSize, whose);
    } catch (error) {
      this.meta = undefined;
      throw error;
    }
    this.#sentMeta = meta && { ...meta };
    return { ...usual, keptIds, meta };
  }

  /**
   * Encodes everything, then changes the state, then sends.
   *
   * @param usual what the header says to an extended caller
   */
  #respond(
    state: "returned" | "continued",
    values: readonly unknown[],
    usual = NOTHING_KEPT,
  ): Promise<void> {
    if (this.#state !== "pending") {
      throw new RpcError(
        "invalid-state",
        `Cannot respond to call "${this.name}": it is ${this.#state} already`,
      );
    }
    const { tooLate } = this;
    if (tooLate !== undefined) {
      if (state === "continued") throw tooLate;
      this.#endStreamsIn(values, tooLate);
      values = [tooLate];
    }
    const ends = state === "returned";
    const { extended, context } = this.#request;
    const keptIds = this.borrowed?.keptIds(ends) ?? NOTHING_KEPT.keptIds;
    const extension = !extended
      ? undefined
      : keptIds.length === 0 && !this.#hasMeta
      ? usual
      : this.#unusual(usual, keptIds, values);
    const { writer } = context;
    let message: ValueWriter;
    let lending: LendingMessage | undefined;
    try {
      message = writer.response(values, !ends, extension, this);
    } catch (refusal) {
      lending = this.#lend(values, refusal, (plain) => {
        const lends = this.#session.prefix;
        const more = extension && { ...extension, lends, again: undefined };
        return writer.response(plain, !ends, more, this);
      });
      message = lending.message;
    }
    this.#state = state;
    this.goesOn = usual === MAY_GO_ON && lending === undefined;
    const { borrowed } = this;
    if (borrowed !== undefined) {
      borrowed.answered(keptIds, ends);
      if (!ends) this.#channel.whenClosed(() => borrowed.ended());
    }
    try {
      const sent = lending === undefined
        ? this.#sendMessage(message)
        : this.#sendLending(lending);
      if (ends && lending !== undefined) this.#awaitClose(lending);
      // A caller that has gone needs no answer, and that is not an error.
      return sent?.catch(() => {}) ?? SENT;
    } catch {
      return SENT;
    }
  }

  /** Ends the streams in an answer that the caller does not get: nothing reads them. */
  #endStreamsIn(values: readonly unknown[], reason: unknown): void {
    const { selector } = this.#request;
    const refusal = new CodecError("unsupported-type", "not sent");
    try {
      // They are found as when they are lent.
      const { ids } = this.#lend(values, refusal, () => new ValueWriter());
      this.#session.callbacks.cut(ids, { selector, reason });
    } catch {
      // There are none, or what there is cannot be sent either.
    }
  }

  /** Lends the functions in a value that the codec has refused. */
  #lend<T>(
    value: T,
    refusal: unknown,
    encode: (value: T) => ValueWriter,
  ): LendingMessage {
    const { selector, context: { codec } } = this.#request;
    const { callbacks } = this.#session;
    return callbacks.lend(codec, value, refusal, encode, selector);
  }

  /**
   * Leaves it to an extended caller to close the channel, and releases the
   * functions in the answer if the caller did not take it: one that has given the
   * call up while the answer was on its way sends no EOF before CLOSE.
   */
  #awaitClose({ ids }: LendingMessage): void {
    const channel = this.#channel;
    // After the EOF of streamed arguments, the two look the same.
    if (!this.#request.extended || channel.eofReceived) return;
    this.#leavesClose = true;
    channel.whenClosed(() => {
      if (!channel.eofReceived) this.#session.callbacks.release(ids);
      channel.discard();
    });
  }

  /**
   * Sends functions. An extended caller owns those that were sent, also in a part of a
   * value: it releases what it has of one that is cut, or a forwarding peer does.
   */
  #sendLending(
    { message, ids }: LendingMessage,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    const { callbacks } = this.#session;
    const failed = (error: unknown): never => {
      // Else they are released when the caller has closed the channel.
      if (!this.#leavesClose) {
        callbacks.release(
          this.#session.peerExtended
            ? unsentOf(ids, message.message(), this.#channel)
            : ids,
        );
      }
      throw error;
    };
    try {
      return this.#sendMessage(message, signal)?.catch(failed);
    } catch (error) {
      return failed(error);
    }
  }
}

/** Those of the IDs in a message that were not sent before its channel was closed. */
function unsentOf(
  ids: readonly string[],
  message: Uint8Array,
  { cutWrite }: RawChannel,
): string[] {
  const unsent = [...ids];
  if (cutWrite?.buffer === message.buffer) {
    new PointerFinder((id) => {
      const at = unsent.indexOf(id);
      if (at >= 0) unsent.splice(at, 1);
    }).add(message.subarray(0, -cutWrite.length));
  }
  return unsent;
}

/** The members of metadata that an earlier state of it does not have. */
function newMeta(now: Metadata, before: Metadata): Metadata {
  return Object.fromEntries(
    Object.entries(now).filter(([name, value]) =>
      !Object.hasOwn(before, name) || !Object.is(before[name], value)
    ),
  );
}

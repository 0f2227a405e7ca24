import type { ValueReader } from "../../codec/internal.ts";
import type {
  ErrorOwner,
  RawChannel,
  WaitOptions,
} from "../../mux/internal.ts";
import { atCaller, namedAfterCall } from "../errors.ts";
import type { LentCallbacks } from "../callback/callback_table.ts";
import { addEnd, type ReceivedHeader } from "../wire/headers.ts";
import { mergedMeta, type Metadata, NO_META } from "../wire/metadata.ts";
import {
  HeldValue,
  type TrailerRule,
  ValueReceiver,
} from "../wire/value_receiver.ts";
import type { CallContext } from "./call_context.ts";
import type { CallLimits, LimitedCall } from "./call_limits.ts";
import type { ResponsePort } from "./response.ts";
import {
  openSource,
  RestOfStream,
  SoleArgument,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";

/**
 * How far a continued call is from its end.
 *
 * - `open`: values can be sent and received.
 * - `aborting`: the arguments failed; CLOSE follows when their error was sent.
 * - `ended`: the peer closed the channel, or the session ended. What arrived
 *   before can still be received.
 * - `closed`: this side closed the channel.
 * - `given-up`: the signal of the call aborted, and everything rejects with its
 *   reason.
 */
export type ContinuedCallState =
  | "open"
  | "aborting"
  | "ended"
  | "closed"
  | "given-up";

/** What can happen to a continued call. */
export type ContinuedCallEvent =
  | "arguments-failed"
  | "error-sent"
  | "peer-closed"
  | "close"
  | "give-up";

const NEXT: Record<
  ContinuedCallState,
  Record<ContinuedCallEvent, ContinuedCallState>
> = {
  open: {
    "arguments-failed": "aborting",
    "error-sent": "open",
    "peer-closed": "ended",
    close: "closed",
    "give-up": "given-up",
  },
  aborting: {
    "arguments-failed": "aborting",
    "error-sent": "closed",
    "peer-closed": "ended",
    close: "closed",
    "give-up": "given-up",
  },
  ended: {
    "arguments-failed": "ended",
    "error-sent": "ended",
    "peer-closed": "ended",
    close: "closed",
    "give-up": "given-up",
  },
  closed: {
    "arguments-failed": "closed",
    "error-sent": "closed",
    "peer-closed": "closed",
    close: "closed",
    "give-up": "closed",
  },
  "given-up": {
    "arguments-failed": "given-up",
    "error-sent": "given-up",
    "peer-closed": "given-up",
    close: "given-up",
    "give-up": "given-up",
  },
};

/** The state of a continued call after `event`. */
export function nextContinuedCall(
  state: ContinuedCallState,
  event: ContinuedCallEvent,
): ContinuedCallState {
  return NEXT[state][event];
}

/** A call after its continued response: more values, both ways, until CLOSE. */
export class ContinuedCall
  implements ResponsePort, ArgumentsOwner, LimitedCall, ErrorOwner {
  readonly channel: RawChannel;
  readonly responderExtended: boolean;
  readonly name: string;
  readonly #selector: string;
  readonly #context: CallContext;
  readonly #reader: ValueReader;
  readonly #lent: LentCallbacks;
  readonly #arguments: StreamedArguments | undefined;
  readonly #trailer: TrailerRule;
  readonly #limits: CallLimits | undefined;
  readonly #header: ReceivedHeader;
  #receiver: ValueReceiver | undefined;
  #state: ContinuedCallState = "open";

  /**
   * Takes over the channel of a pending call, and all that belongs to it.
   *
   * @param selector what was called
   * @param name what errors call it
   * @param lent the functions that were sent with the call
   * @param streamed the arguments that are still being sent
   * @param header the header of the response
   * @param limits the signal of the call, if it has one
   */
  constructor(
    selector: string,
    name: string,
    context: CallContext,
    channel: RawChannel,
    reader: ValueReader,
    lent: LentCallbacks,
    streamed: StreamedArguments | undefined,
    header: ReceivedHeader,
    limits: CallLimits | undefined,
  ) {
    this.#selector = selector;
    this.name = name;
    this.#context = context;
    this.responderExtended = header.extended;
    this.#trailer = !header.extended
      ? "none"
      : header.trailer
      ? "required"
      : "possible";
    this.#header = header;
    this.channel = channel;
    channel.nameErrors(this);
    this.#reader = reader;
    this.#lent = lent;
    this.#arguments = streamed;
    if (streamed !== undefined) streamed.owner = this;
    channel.whenClosed(() => this.#peerClosed());
    this.#limits = limits;
    if (limits === undefined) return;
    limits.call = this;
    channel.whenDrained(() => limits.end());
  }

  receive(options?: WaitOptions): Promise<unknown> {
    const { codec } = this.#context;
    this.#receiver ??= new ValueReceiver(
      this.#reader,
      codec,
      (bytes) => this.#decode(bytes),
      this.#trailer,
      this.name,
      this.#context.state.maxMetaSize,
    );
    return this.#receiver.receive(options);
  }

  #decode(bytes: Uint8Array): unknown {
    const context = this.#context;
    const value = context.decode(bytes, this.#selector);
    return context.mayHaveFunctions && value instanceof HeldValue
      ? this.#receiver!.hold(value)
      : value;
  }

  get meta(): Metadata {
    return mergedMeta(this.#header.meta, this.#receiver?.trailerMeta) ??
      NO_META;
  }

  named(error: unknown): unknown {
    const { nested, state } = this.#context;
    const named = namedAfterCall(error, this.name);
    if (nested) state.blamePeer(named);
    return named;
  }

  atCaller(error: unknown): unknown {
    const { nested, state } = this.#context;
    const signal = this.#limits?.signal;
    // What a handler reads of its caller is the caller's affair.
    if (nested && error !== signal?.reason) state.blamePeer(error);
    return atCaller(error, signal);
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    try {
      await this.#context.sendValue(this.channel, value, this.#lent, signal);
    } catch (error) {
      throw error === signal?.reason ? error : namedAfterCall(error, this.name);
    }
  }

  close(): Promise<void> {
    if (this.#state === "open") this.#lent.cut();
    this.#handle("close");
    // A transport that does not move must not hold up the reason.
    if (this.#state === "given-up") return Promise.resolve();
    this.#releaseUnread();
    // Arguments that are still being sent must not look complete.
    if (this.#arguments?.stop()) this.channel.abort(undefined);
    this.#reader.release();
    return this.channel.close();
  }

  argumentsFailed(
    reason: unknown,
    errorSent: Promise<void> | undefined,
  ): void {
    this.#handle("arguments-failed");
    const abort = () => {
      this.#handle("error-sent");
      if (this.#state === "closed") this.#fail(reason);
    };
    if (errorSent === undefined) abort();
    else errorSent.then(abort, abort);
  }

  giveUp(reason: unknown): void {
    this.#handle("give-up");
    if (this.#state !== "given-up") return;
    this.#arguments?.stop(reason);
    this.#lent.giveUp(reason);
    this.#fail(reason);
  }

  /** Closes the channel: everything that waits for the call gets `reason`. */
  #fail(reason: unknown): void {
    this.#releaseUnread();
    this.channel.fail(reason);
    this.#reader.release();
    // It may wait for memory, and not for the channel.
    this.#receiver?.wake();
  }

  #releaseUnread(): void {
    // After a continued response, the EOF of this side means nothing.
    this.#context.releaseUnread(
      this.channel,
      this.#reader,
      this.#header,
      false,
      this.#receiver?.takeHeld(),
    );
  }

  #peerClosed(): void {
    this.#handle("peer-closed");
    this.#arguments?.stop();
    this.#lent.release();
  }

  #handle(event: ContinuedCallEvent): void {
    this.#state = nextContinuedCall(this.#state, event);
  }
}

/** The call that streamed arguments belong to. */
export interface ArgumentsOwner {
  /** Whether the header of the response has shown that the responder is extended. */
  readonly responderExtended: boolean;
  /**
   * The producer of the arguments failed, or they could not be sent. Without an
   * end, the arguments must not look complete, so the channel has to be closed.
   *
   * @param errorSent if set, the channel is closed when it settles
   */
  argumentsFailed(reason: unknown, errorSent: Promise<void> | undefined): void;
}

/**
 * Sends the values of a stream as the arguments of a call, then EOF. If the
 * response shows meanwhile that the responder is extended, a trailer precedes it.
 */
export class StreamedArguments {
  /** The pending call, or later the continued one. */
  owner: ArgumentsOwner;
  readonly #context: CallContext;
  readonly #channel: RawChannel;
  readonly #lent: LentCallbacks;
  #source: ValueSource | undefined;
  #state: "sending" | "ended" = "sending";
  /** Whether EOF has followed them. */
  complete = false;

  /** Makes the arguments of a call; {@linkcode send} sends them. */
  constructor(
    context: CallContext,
    channel: RawChannel,
    lent: LentCallbacks,
    owner: ArgumentsOwner,
  ) {
    this.#context = context;
    this.#channel = channel;
    this.#lent = lent;
    this.owner = owner;
  }

  /** Sends all values, as fast as the peer takes them. Never rejects. */
  async send(values: ValueStream): Promise<void> {
    const channel = this.#channel;
    let mayBeBytes = values instanceof SoleArgument &&
      !this.#context.carriesBytes;
    try {
      const source = this.#source = openSource(values);
      channel.whenClosed(this.#onClosed);
      for (;;) {
        const { done, value } = await source.next();
        if (this.#state === "ended") return;
        if (done) break;
        if (mayBeBytes && value instanceof Uint8Array) {
          // As values, they would arrive as text.
          const rest = new RestOfStream(value, {
            next: () => source.next().catch(this.#restFailed),
            stop: (reason) => source.stop(reason),
          });
          this.#source = undefined;
          await this.#context.sendValue(channel, rest, this.#lent);
          break;
        }
        mayBeBytes = false;
        await this.#context.sendValue(channel, value, this.#lent);
      }
      this.#end();
      this.#sendEnd();
      channel.closeWrite();
      this.complete = true;
    } catch (error) {
      if (!this.stop(error)) return;
      this.owner.argumentsFailed(error, this.#sendError(error));
    }
  }

  /**
   * Ends the producer, because no more arguments are needed.
   *
   * @returns whether arguments were still being sent
   */
  stop(reason?: unknown): boolean {
    if (this.#state === "ended") return false;
    this.#end();
    this.#source?.stop(reason);
    return true;
  }

  /** As a producer that fails while its values are the arguments. */
  readonly #restFailed = (error: unknown): never => {
    // Its reader gets the error, and not that the call was given up.
    this.#lent.release();
    this.owner.argumentsFailed(error, undefined);
    throw error;
  };

  readonly #onClosed = (): void => void this.stop();

  /** Nothing more is sent, though the channel may stay open. */
  #end(): void {
    this.#state = "ended";
    this.#channel.cancelWhenClosed(this.#onClosed);
  }

  /** Whether the arguments end in a trailer: others than extended peers see none. */
  get #hasTrailer(): boolean {
    return this.owner.responderExtended && !this.#channel.peerClosed;
  }

  #sendEnd(): void {
    if (!this.#hasTrailer) return;
    const { codec, messages } = this.#context;
    const message = messages.begin();
    try {
      addEnd(message, codec);
      messages.send(this.#channel, message)?.catch(() => {});
    } catch {
      // The channel is closed, so the responder needs no trailer.
    }
  }

  #sendError(reason: unknown): Promise<void> | undefined {
    return this.#hasTrailer ? this.#sendErrorTrailer(reason) : undefined;
  }

  /** Rejects if the channel is closed, or the module cannot be loaded. */
  async #sendErrorTrailer(reason: unknown): Promise<void> {
    const { codec, messages, state } = this.#context;
    // Loaded on first use: the producers of few programs fail.
    const loading = state.loadingToSend = import("./failed_arguments.ts");
    const { addTrailer } = await loading;
    const message = messages.begin();
    addTrailer(message, codec, { reason }, state.maxMetaSize);
    await messages.send(this.#channel, message);
  }
}

/**
 * What is loaded when the first response continues.
 *
 * @module
 */
import { isReasonOf } from "../../abort_reason.ts";
import "../internal.ts"; // Keeps bundles in few chunks.
import { checkNotAborted } from "../../check_option.ts";
import type { ValueReader } from "../../codec/internal.ts";
import type {
  ErrorOwner,
  RawChannel,
  WaitOptions,
} from "../../mux/internal.ts";
import { HeldValue } from "../callback/pointers.ts";
import { atCaller, namedAfterCall } from "../errors.ts";
import type { LentCallbacks } from "../callback/lent_callbacks.ts";
import type { ReceivedHeader } from "../wire/headers/response_header.ts";
import { mergedMeta, type Metadata, NO_META } from "../wire/metadata.ts";
import { type TrailerRule, ValueReceiver } from "../wire/value_receiver.ts";
import type { CallContext, PartialReader } from "./call_context.ts";
import type { CallLimits, LimitedCall } from "./call_limits.ts";
import type { ResponsePort } from "./response.ts";
import type {
  ArgumentsOwner,
  StreamedArguments,
} from "./streamed_arguments.ts";

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
    if (nested && !isReasonOf(error, signal)) state.blamePeer(error);
    return atCaller(error, signal);
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    checkNotAborted(signal);
    try {
      await this.#context.sendValue(this.channel, value, this.#lent, signal);
    } catch (error) {
      throw isReasonOf(error, signal)
        ? error
        : namedAfterCall(error, this.name);
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

  /**
   * Releases the functions in what is left unread.
   *
   * @param reader has what was read of a value that is not complete
   */
  #releaseUnread(reader: PartialReader = this.#reader): void {
    // After a continued response, the EOF of this side means nothing.
    this.#context.releaseUnread(
      this.channel,
      reader,
      this.#header,
      false,
      this.#receiver?.takeHeld(),
    );
  }

  #peerClosed(): void {
    this.#handle("peer-closed");
    const { partial } = this.#reader;
    this.#reader.releaseCut();
    // It has dropped what had arrived of a value that cannot complete.
    if (partial?.length !== this.#reader.partial?.length) {
      this.#releaseUnread({ partial });
    }
    this.#arguments?.stop();
    this.#lent.release();
  }

  #handle(event: ContinuedCallEvent): void {
    this.#state = nextContinuedCall(this.#state, event);
  }
}

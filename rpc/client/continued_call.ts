import type { ValueReader } from "../../codec/internal.ts";
import type { RawChannel, WaitOptions } from "../../mux/internal.ts";
import type { LentCallbacks } from "../callback/callback_table.ts";
import type { ReceivedHeader } from "../wire/headers.ts";
import { type TrailerRule, ValueReceiver } from "../wire/value_receiver.ts";
import type { CallContext } from "./call_context.ts";
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
 */
export type ContinuedCallState = "open" | "aborting" | "ended" | "closed";

/** What can happen to a continued call. */
export type ContinuedCallEvent =
  | "arguments-failed"
  | "error-sent"
  | "peer-closed"
  | "close";

const NEXT: Record<
  ContinuedCallState,
  Record<ContinuedCallEvent, ContinuedCallState>
> = {
  open: {
    "arguments-failed": "aborting",
    "error-sent": "open",
    "peer-closed": "ended",
    close: "closed",
  },
  aborting: {
    "arguments-failed": "aborting",
    "error-sent": "closed",
    "peer-closed": "ended",
    close: "closed",
  },
  ended: {
    "arguments-failed": "ended",
    "error-sent": "ended",
    "peer-closed": "ended",
    close: "closed",
  },
  closed: {
    "arguments-failed": "closed",
    "error-sent": "closed",
    "peer-closed": "closed",
    close: "closed",
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
export class ContinuedCall implements ResponsePort, ArgumentsOwner {
  readonly channel: RawChannel;
  readonly responderExtended: boolean;
  readonly #context: CallContext;
  readonly #reader: ValueReader;
  readonly #lent: LentCallbacks;
  readonly #arguments: StreamedArguments | undefined;
  readonly #trailer: TrailerRule;
  #receiver: ValueReceiver | undefined;
  #state: ContinuedCallState = "open";

  /**
   * Takes over the channel of a pending call, and all that belongs to it.
   *
   * @param lent the functions that were sent with the call
   * @param streamed the arguments that are still being sent
   * @param header the header of the response
   */
  constructor(
    context: CallContext,
    channel: RawChannel,
    reader: ValueReader,
    lent: LentCallbacks,
    streamed: StreamedArguments | undefined,
    header: ReceivedHeader,
  ) {
    this.#context = context;
    this.responderExtended = header.extended;
    this.#trailer = !header.extended
      ? "none"
      : header.trailer
      ? "required"
      : "possible";
    this.channel = channel;
    this.#reader = reader;
    this.#lent = lent;
    this.#arguments = streamed;
    if (streamed !== undefined) streamed.owner = this;
    channel.whenClosed(() => this.#peerClosed());
  }

  receive(options?: WaitOptions): Promise<unknown> {
    const { codec } = this.#context;
    this.#receiver ??= new ValueReceiver(
      this.#reader,
      codec,
      (bytes) => this.#context.decode(bytes),
      this.#trailer,
    );
    return this.#receiver.receive(options);
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    await this.#context.sendValue(this.channel, value, this.#lent, signal);
  }

  close(): Promise<void> {
    if (this.#state === "open") this.#lent.cut();
    this.#handle("close");
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
      if (this.#state === "closed") this.channel.abort(reason);
    };
    if (errorSent === undefined) abort();
    else errorSent.then(abort, abort);
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

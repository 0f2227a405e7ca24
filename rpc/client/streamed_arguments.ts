import type { RawChannel } from "../../mux/internal.ts";
import type { LentCallbacks } from "../callback/callback_table.ts";
import { addError } from "../wire/headers.ts";
import {
  openSource,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import type { CallContext } from "./call_context.ts";

/** The call that streamed arguments belong to. */
export interface ArgumentsOwner {
  /**
   * The producer of the arguments failed, or they could not be sent. Without an
   * end, the arguments must not look complete, so the channel has to be closed.
   *
   * @param errorSent if set, the channel is closed when it settles
   */
  argumentsFailed(reason: unknown, errorSent: Promise<void> | undefined): void;
}

/** Sends the values of a stream as the arguments of a call, then EOF. */
export class StreamedArguments {
  /** The pending call, or later the continued one. */
  owner: ArgumentsOwner;
  readonly #context: CallContext;
  readonly #channel: RawChannel;
  readonly #lent: LentCallbacks;
  #source: ValueSource | undefined;
  #state: "sending" | "ended" = "sending";

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
    try {
      const source = this.#source = openSource(values);
      channel.whenClosed(this.#onClosed);
      for (;;) {
        const { done, value } = await source.next();
        if (this.#state === "ended") return;
        if (done) break;
        await this.#context.sendValue(channel, value, this.#lent);
      }
      this.#end();
      channel.closeWrite();
    } catch (error) {
      if (this.#state === "ended") return;
      this.stop(error);
      this.owner.argumentsFailed(error, this.#sendError(error));
    }
  }

  /** Ends the producer, because no more arguments are needed. */
  stop(reason?: unknown): void {
    if (this.#state === "ended") return;
    this.#end();
    this.#source?.stop(reason);
  }

  readonly #onClosed = (): void => this.stop();

  /** Nothing more is sent, though the channel may stay open. */
  #end(): void {
    this.#state = "ended";
    this.#channel.cancelWhenClosed(this.#onClosed);
  }

  /** Tells an extended peer why the arguments end; other peers see CLOSE only. */
  #sendError(reason: unknown): Promise<void> | undefined {
    const { codec, state, messages } = this.#context;
    if (!state.peerExtended || this.#channel.peerClosed) return undefined;
    try {
      const message = messages.begin();
      addError(message, codec, reason);
      return messages.send(this.#channel, message);
    } catch {
      return undefined;
    }
  }
}

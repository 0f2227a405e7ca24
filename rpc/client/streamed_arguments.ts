import type { RawChannel } from "../../mux/internal.ts";
import type { LentCallbacks } from "../callback/lent_callbacks.ts";
import { loadPart } from "../errors.ts";
import { addEnd } from "../wire/headers/response_header.ts";
import {
  checkResult,
  openSource,
  RestOfStream,
  SoleArgument,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import type { CallContext } from "./call_context.ts";

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
        const { done, value } = checkResult(await source.next());
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
    const loading = state.loadingToSend = loadPart(
      "send error of arguments",
      import("./failed_arguments.ts"),
    );
    try {
      const { addTrailer } = await loading;
      const message = messages.begin();
      addTrailer(message, codec, { reason }, state.maxMetaSize);
      await messages.send(this.#channel, message);
    } finally {
      if (state.loadingToSend === loading) state.loadingToSend = undefined;
    }
  }
}

import { CodecError } from "../codec/errors.ts";
import {
  type ValueBudget,
  ValueReader,
  type ValueWriter,
} from "../codec/value_stream.ts";
import type { Codec } from "../codec/codec.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { ChannelPool } from "./channel_pool.ts";
import { RemoteError, RpcError } from "./errors.ts";
import type { HeaderCache } from "./header_cache.ts";
import type { Link } from "./link.ts";
import type { MessageWriter } from "./message_writer.ts";
import {
  MAX_HEADER_SIZE,
  type ReceivedHeader,
  responseHeaderValue,
} from "./protocol.ts";
import { RpcResponse } from "./response.ts";
import { openSource, type ValueSource, type ValueStream } from "./stream.ts";
import type { CallOptions } from "./types.ts";
import { ValueReceiver } from "./value_receiver.ts";

/** The longest delay of a timer, in milliseconds: what is longer fires at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** What the calls of one client share. */
export interface ClientState {
  /** How values travel. */
  readonly codec: Codec;
  /** Bytes that one reply value may have, or all of a complete response. */
  readonly maxValueSize: number;
  /** What values that come in parts may take together. */
  readonly budget: ValueBudget;
  /** What the calls of the session share, in both directions. */
  readonly link: Link;
  readonly channels: ChannelPool;
  readonly responseHeaders: HeaderCache<ReceivedHeader>;
  readonly messages: MessageWriter;
  /** Makes a reply value of its bytes. */
  decode(bytes: Uint8Array): unknown;
}

/** One call, from its first byte to its outcome, of which it has exactly one. */
export abstract class OutgoingCall {
  readonly selector: string;
  protected readonly state: ClientState;
  readonly #reject: (reason: unknown) => void;
  #phase: "opening" | "header" | "values" | "settled" = "opening";
  protected channel!: QmuxChannel;
  protected reader!: ValueReader;
  protected continued = false;
  #arguments: ValueSource | undefined;
  /** The callbacks in what was sent: they live as long as the call. */
  #lent: Set<string> | undefined;
  #unlimit: (() => void) | undefined;
  /** Bytes of the values so far. */
  #received = 0;

  /** Makes a call that has not begun; `reject` is one of its two outcomes. */
  constructor(
    selector: string,
    state: ClientState,
    reject: (reason: unknown) => void,
  ) {
    this.selector = selector;
    this.state = state;
    this.#reject = reject;
  }

  /** Takes a reply value; returns whether it is the last that is wanted. */
  protected abstract take(value: unknown): boolean;

  /** All that was wanted is there, or the other side has no more. */
  protected abstract complete(): void;

  /** Observes the caller's signal and timeout until the outcome. */
  limit({ signal, timeout }: CallOptions): void {
    if (signal === undefined && timeout === undefined) return;
    const onAbort = () => this.fail(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const expire = () =>
      this.fail(
        new RpcError(
          "timeout",
          `Cannot complete call "${this.selector}": no response within ${timeout} ms`,
        ),
      );
    const timer = timeout === undefined || timeout > MAX_DELAY
      ? undefined
      : setTimeout(expire, timeout);
    this.#unlimit = () => {
      signal?.removeEventListener("abort", onAbort);
      clearTimeout(timer);
    };
  }

  /**
   * Encodes what the codec has refused, with pointers in place of functions,
   * which live as long as the call.
   *
   * @throws {unknown} `refusal`, or why that is not possible either
   */
  lend<T>(
    value: unknown,
    refusal: unknown,
    encode: (value: unknown) => T,
  ): T {
    const { callbacks } = this.state.link;
    const lending = callbacks.lend(value, refusal);
    try {
      const message = encode(lending.value);
      this.#lent ??= new Set();
      for (const id of lending.ids) this.#lent.add(id);
      return message;
    } catch (error) {
      callbacks.release(lending.ids);
      throw error;
    }
  }

  /** The channel is there: sends the call and waits for the answer. */
  run(
    channel: QmuxChannel,
    request: ValueWriter | Uint8Array,
    stream: ValueStream | undefined,
  ): void {
    if (this.#phase === "settled") return channel.drop();
    this.#phase = "header";
    this.channel = channel;
    const { maxValueSize, budget } = this.state;
    this.reader = new ValueReader(channel, maxValueSize, budget);
    try {
      // Whatever keeps it from being sent also ends the wait for the answer.
      this.state.messages.send(channel, request)?.catch(() => {});
      if (stream !== undefined) void this.#stream(stream);
      channel.wait(this.#advance);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with an error of this side, or of the other. */
  fail(reason: unknown): void {
    if (this.#phase === "settled") return;
    const opened = this.#phase !== "opening";
    this.continued = false;
    this.#settle();
    if (opened) {
      this.channel.abort(reason);
      this.channel.cancel();
      this.reader.release();
    }
    this.#reject(reason);
  }

  // --- What a continued response needs --------------------------------------

  /** A receiver of the values behind the first. */
  protected receiver(): ValueReceiver {
    const { codec, decode } = this.state;
    return new ValueReceiver(this.reader, codec, decode, true);
  }

  /** Sends one more value. */
  async sendValue(value: unknown): Promise<void> {
    await this.state.messages.send(this.channel, this.#message(value));
  }

  /** Ends the channel, and the arguments that are still being sent. */
  close(): Promise<void> {
    this.#stopArguments();
    this.reader.release();
    return this.channel.close();
  }

  // --- Streamed arguments ---------------------------------------------------

  /** Sends many argument values, then EOF, as fast as they are taken. */
  async #stream(values: ValueStream): Promise<void> {
    try {
      const source = this.#arguments = openSource(values);
      this.channel.watch(() => this.#stopArguments());
      for (;;) {
        const { done, value } = await source.next();
        if (this.#phase === "settled" && !this.continued) return;
        if (done) break;
        await this.sendValue(value);
      }
      this.#arguments = undefined;
      this.channel.finish();
    } catch (error) {
      this.#stopArguments(error);
      this.#argumentsFailed(error);
    }
  }

  /**
   * Without an end behind them, the arguments must not look complete. One of
   * ours is told why; for others, CLOSE has to do.
   */
  #argumentsFailed(reason: unknown): void {
    const { link, messages } = this.state;
    const told = link.announced && !this.channel.over
      ? messages.sendError(this.channel, this.state.codec, reason)
      : undefined;
    if (told === undefined) {
      if (this.#phase === "settled") this.channel.abort(reason);
      else this.fail(reason);
      return;
    }
    void told;
  }

  #message(value: unknown): ValueWriter {
    const { codec, messages } = this.state;
    const encode = (value: unknown) => {
      const message = messages.begin();
      message.add(codec, value);
      return message;
    };
    try {
      return encode(value);
    } catch (refusal) {
      const message = this.lend(value, refusal, encode);
      this.#watchLent();
      return message;
    }
  }

  /** Tells the producer of arguments that it is done with. */
  #stopArguments(reason?: unknown): void {
    const source = this.#arguments;
    this.#arguments = undefined;
    source?.stop(reason);
  }
}

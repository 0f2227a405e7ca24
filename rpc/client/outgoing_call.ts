import {
  type Codec,
  CodecError,
  type ValueBudget,
  ValueReader,
  type ValueWriter,
} from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import type { ChannelPool } from "./channel_pool.ts";
import { RemoteError, RpcError } from "../errors.ts";
import type { HeaderCache } from "../wire/header_cache.ts";
import type { Link } from "../callback/link.ts";
import type { MessageWriter } from "../wire/message_writer.ts";
import {
  addError,
  MAX_CALL_HEADER_SIZE,
  type ReceivedHeader,
} from "../wire/headers.ts";
import {
  openSource,
  type ValueSource,
  type ValueStream,
} from "../wire/value_source.ts";
import type { CallOptions } from "../types.ts";
import { ValueReceiver } from "../wire/value_receiver.ts";

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
  protected channel!: RawChannel;
  protected reader!: ValueReader;
  protected continued = false;
  #arguments: ValueSource | undefined;
  #receiver: ValueReceiver | undefined;
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
    // No timeLimit(): each call would leave a signal behind for a tenth of a
    // second, where a timer is taken back.
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
  lend(
    value: unknown,
    refusal: unknown,
    encode: (value: unknown) => ValueWriter,
  ): ValueWriter {
    const { codec, link } = this.state;
    const { message, ids } = link.callbacks.lend(codec, value, refusal, encode);
    this.#lent ??= new Set();
    for (const id of ids) this.#lent.add(id);
    return message;
  }

  /** The channel is there: sends the call and waits for the answer. */
  run(
    channel: RawChannel,
    request: ValueWriter | Uint8Array,
    stream: ValueStream | undefined,
  ): void {
    if (this.#phase === "settled") return channel.discard();
    this.#phase = "header";
    this.channel = channel;
    const { maxValueSize, budget } = this.state;
    this.reader = new ValueReader(channel, maxValueSize, budget);
    try {
      // Whatever keeps it from being sent also ends the wait for the answer.
      this.state.messages.send(channel, request)?.catch(() => {});
      if (stream !== undefined) void this.#stream(stream);
      channel.whenReadable(this.#advance);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Ends the call with an error of this side, or of the other. Its channel is
   * closed when `last`, if there is one, has left.
   */
  fail(reason: unknown, last?: Promise<void>): void {
    if (this.#phase === "settled") return;
    const opened = this.#phase !== "opening";
    this.continued = false;
    this.#settle();
    if (opened) {
      this.#abort(reason, last);
      this.channel.cancelRead();
      this.reader.release();
    }
    this.#reject(reason);
  }

  // --- What a continued response needs --------------------------------------

  /** The next value behind the first; undefined at the end. */
  receive(): Promise<unknown> {
    if (this.#receiver === undefined) {
      const { codec, decode } = this.state;
      this.#receiver = new ValueReceiver(this.reader, codec, decode, true);
    }
    return this.#receiver.receive();
  }

  /** Sends one more value. */
  async send(value: unknown): Promise<void> {
    await this.state.messages.send(this.channel, this.#message(value));
  }

  /** Ends the channel, and the arguments that are still being sent. */
  close(): Promise<void> {
    this.#stopArguments();
    this.reader.release();
    return this.channel.close();
  }

  // --- What is sent behind the request --------------------------------------

  /** Sends many argument values, then EOF, as fast as they are taken. */
  async #stream(values: ValueStream): Promise<void> {
    try {
      const source = this.#arguments = openSource(values);
      this.channel.whenClosed(() => this.#stopArguments());
      for (;;) {
        const { done, value } = await source.next();
        if (this.#phase === "settled" && !this.continued) return;
        if (done) break;
        await this.send(value);
      }
      this.#arguments = undefined;
      this.channel.closeWrite();
    } catch (error) {
      this.#stopArguments(error);
      // Without an end behind them, the arguments must not look complete.
      const last = this.#sendError(error);
      if (this.#phase === "settled") this.#abort(error, last);
      else this.fail(error, last);
    }
  }

  /** Tells one of ours why there are no more arguments; others see CLOSE. */
  #sendError(reason: unknown): Promise<void> | undefined {
    const { codec, link, messages } = this.state;
    const over = this.#phase === "settled" && !this.continued;
    if (!link.peerExtended || over || this.channel.peerClosed) return undefined;
    try {
      const message = messages.begin();
      addError(message, codec, reason);
      return messages.send(this.channel, message);
    } catch {
      return undefined;
    }
  }

  #abort(reason: unknown, last: Promise<void> | undefined): void {
    const abort = () => this.channel.abort(reason);
    if (last === undefined) abort();
    else void last.then(abort, abort);
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
      this.channel.whenClosed(() => this.#releaseLent());
      return message;
    }
  }

  /** Tells the producer of arguments that it is done with. */
  #stopArguments(reason?: unknown): void {
    const source = this.#arguments;
    this.#arguments = undefined;
    source?.stop(reason);
  }

  #releaseLent(): void {
    if (this.#lent === undefined) return;
    this.state.link.callbacks.release(this.#lent);
    this.#lent = undefined;
  }

  // --- The response ---------------------------------------------------------

  readonly #advance = (): void => {
    try {
      while (this.#phase !== "settled") {
        const bytes = this.#phase === "header"
          ? this.reader.next(MAX_CALL_HEADER_SIZE)
          : this.reader.next();
        if (bytes === undefined) {
          return this.channel.whenReadable(this.#advance);
        }
        if (bytes === null) return this.#ended();
        if (this.#phase === "header") this.#readHeader(bytes);
        else this.#readValue(bytes);
      }
    } catch (error) {
      this.fail(error);
    }
  };

  #readHeader(bytes: Uint8Array): void {
    const { channels, link, responseHeaders } = this.state;
    const header = responseHeaders.get(bytes);
    if (header.saysNull) channels.allowSpares();
    if (header.extended) link.peerExtended = true;
    if (this.#lent !== undefined) {
      // They are released by the other side, when it wants them no more.
      for (const id of header.kept) this.#lent.delete(id);
    }
    if (header.error !== undefined) {
      return this.fail(new RemoteError(header.error, header.code));
    }
    this.#phase = "values";
    this.continued = header.continued;
  }

  #readValue(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#received > this.state.maxValueSize) {
      throw new CodecError(
        "too-large",
        `Cannot complete call "${this.selector}": its values have more than ${this.state.maxValueSize} bytes together`,
      );
    }
    if (this.take(this.state.decode(bytes))) this.#complete();
  }

  /** The other side has ended its direction. */
  #ended(): void {
    if (this.#phase === "values") {
      this.continued = false;
      return this.#complete();
    }
    this.fail(
      new RpcError(
        "no-response",
        `Cannot complete call "${this.selector}": the other side closed it without a response`,
      ),
    );
  }

  #complete(): void {
    this.#settle();
    if (!this.continued) this.channel.discard();
    this.complete();
  }

  #settle(): void {
    this.#phase = "settled";
    this.#unlimit?.();
    if (this.continued) {
      if (this.#lent !== undefined) {
        this.channel.whenClosed(() => this.#releaseLent());
      }
      return;
    }
    // What is still to come is of no use any more.
    this.#stopArguments();
    this.#releaseLent();
  }
}

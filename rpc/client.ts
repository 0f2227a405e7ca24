import type { Codec } from "../codec/codec.ts";
import { CodecError } from "../codec/errors.ts";
import {
  type ValueBudget,
  ValueReader,
  type ValueWriter,
} from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { ChannelPool } from "./channel_pool.ts";
import { RemoteError, RpcError } from "./errors.ts";
import { HeaderCache } from "./header_cache.ts";
import { MessageWriter } from "./message_writer.ts";
import {
  callHeaderValue,
  decodeResponseHeader,
  MAX_HEADER_SIZE,
  type ReceivedHeader,
} from "./protocol.ts";
import { RpcResponse } from "./response.ts";
import type { Caller, CallOptions } from "./types.ts";

/** Selectors whose encoded header is kept. */
const HEADER_CACHE_SIZE = 256;
/** The longest delay of a timer, in milliseconds: what is longer fires at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** What a client needs besides channels. */
export interface ClientOptions {
  /** How values travel; the other side's must be the same. */
  codec: Codec;
  /** Bytes that one reply value may have, or all of a complete response. */
  maxValueSize: number;
  /** What values that come in parts may take together. */
  budget: ValueBudget;
}

/** What the calls of one client share. */
interface ClientState extends ClientOptions {
  readonly channels: ChannelPool;
  readonly responseHeaders: HeaderCache<ReceivedHeader>;
  readonly messages: MessageWriter;
}

/** Makes calls over a session, each on a channel of its own. */
export class Client implements Caller {
  readonly #state: ClientState;
  readonly #headers = new Map<string, Uint8Array>();

  /** Makes a client; others may share its channels. */
  constructor(channels: ChannelPool, options: ClientOptions) {
    const { codec } = options;
    this.#state = {
      ...options,
      channels,
      responseHeaders: new HeaderCache((bytes) =>
        decodeResponseHeader(codec, bytes)
      ),
      messages: new MessageWriter(),
    };
  }

  call(
    selector: string,
    args: unknown = null,
    options?: CallOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = new ValueCall(selector, this.#state, resolve, reject);
    this.#start(call, args, options);
    return promise;
  }

  request(
    selector: string,
    args: unknown = null,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<RpcResponse>();
    const call = new ResponseCall(selector, this.#state, resolve, reject);
    this.#start(call, args, options);
    return promise;
  }

  #start(call: OutgoingCall, args: unknown, options?: CallOptions): void {
    if (options?.signal?.aborted) return call.fail(options.signal.reason);
    const stream = isStream(args) ? args : undefined;
    let request: ValueWriter;
    try {
      request = this.#encode(call.selector, args);
    } catch (error) {
      return call.fail(error);
    }
    if (options !== undefined) call.limit(options);
    const channel = this.#state.channels.take();
    if (channel !== undefined) return call.run(channel, request, stream);
    const kept = this.#state.messages.keep(request);
    this.#state.channels.open(
      (channel) => call.run(channel, kept, stream),
      (error) => call.fail(error),
    );
  }

  /** The header and, unless it is streamed, the argument: one DATA frame. */
  #encode(selector: string, args: unknown): ValueWriter {
    const { codec, messages } = this.#state;
    const writer = messages.begin();
    let header = this.#headers.get(selector);
    if (header === undefined) {
      writer.add(codec, callHeaderValue(selector));
      header = writer.message().slice();
      if (this.#headers.size === HEADER_CACHE_SIZE) this.#headers.clear();
      this.#headers.set(selector, header);
    } else writer.addRaw(header);
    if (!isStream(args)) writer.add(codec, args);
    return writer;
  }
}

function isStream(args: unknown): args is AsyncIterable<unknown> {
  return typeof args === "object" && args !== null &&
    Symbol.asyncIterator in args;
}

/** One call, from its first byte to its outcome, of which it has exactly one. */
abstract class OutgoingCall {
  readonly selector: string;
  protected readonly state: ClientState;
  readonly #reject: (reason: unknown) => void;
  #phase: "opening" | "header" | "values" | "settled" = "opening";
  protected channel!: QmuxChannel;
  protected reader!: ValueReader;
  protected continued = false;
  #arguments: AsyncIterator<unknown> | undefined;
  #unlimit: (() => void) | undefined;
  /** Bytes of the values so far. */
  #received = 0;

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

  /** The channel is there: sends the call and waits for the answer. */
  run(
    channel: QmuxChannel,
    request: ValueWriter | Uint8Array,
    stream: AsyncIterable<unknown> | undefined,
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

  /** Sends many argument values, then EOF, as fast as they are taken. */
  async #stream(values: AsyncIterable<unknown>): Promise<void> {
    try {
      const iterator = this.#arguments = values[Symbol.asyncIterator]();
      for (;;) {
        const { done, value } = await iterator.next();
        if (this.#phase === "settled" && !this.continued) return;
        if (done) break;
        const message = this.state.messages.begin();
        message.add(this.state.codec, value);
        await this.state.messages.send(this.channel, message);
      }
      this.channel.finish();
    } catch (error) {
      void this.#releaseArguments();
      // Without an end behind it, what was sent must not look complete.
      if (this.#phase === "settled") this.channel.abort(error);
      else this.fail(error);
    }
  }

  /** Tells the producer of arguments that it is done with. */
  async #releaseArguments(): Promise<void> {
    const iterator = this.#arguments;
    this.#arguments = undefined;
    try {
      await iterator?.return?.();
    } catch {
      // How it takes that is its own business, and changes no outcome.
    }
  }

  readonly #advance = (): void => {
    try {
      while (this.#phase !== "settled") {
        const bytes = this.#phase === "header"
          ? this.reader.next(MAX_HEADER_SIZE)
          : this.reader.next();
        if (bytes === undefined) return this.channel.wait(this.#advance);
        if (bytes === null) return this.#ended();
        this.#receive(bytes);
      }
    } catch (error) {
      this.fail(error);
    }
  };

  #receive(bytes: Uint8Array): void {
    if (this.#phase === "header") {
      const { error, code, continued, saysNull } = this.state.responseHeaders
        .get(bytes);
      if (saysNull) this.state.channels.allowSpares();
      if (error !== undefined) return this.fail(new RemoteError(error, code));
      this.#phase = "values";
      this.continued = continued;
      return;
    }
    this.#received += bytes.length;
    if (this.#received > this.state.maxValueSize) {
      throw new CodecError(
        "too-large",
        `Cannot complete call "${this.selector}": its values have more than ${this.state.maxValueSize} bytes together`,
      );
    }
    if (this.take(this.state.codec.decode(bytes))) this.#complete();
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
    if (!this.continued) this.channel.drop();
    this.complete();
  }

  #settle(): void {
    this.#phase = "settled";
    this.#unlimit?.();
    // Arguments still to come are of no use, unless the call goes on.
    if (!this.continued && this.#arguments !== undefined) {
      void this.#releaseArguments();
    }
  }
}

/** A call that wants the first value only. */
class ValueCall extends OutgoingCall {
  readonly #resolve: (value: unknown) => void;
  #value: unknown = null;

  constructor(
    selector: string,
    state: ClientState,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
  ) {
    super(selector, state, reject);
    this.#resolve = resolve;
  }

  protected override take(value: unknown): boolean {
    this.#value = value;
    this.continued = false;
    return true;
  }

  protected override complete(): void {
    this.#resolve(this.#value);
  }
}

/** A call that wants the whole response. */
class ResponseCall extends OutgoingCall {
  readonly #resolve: (response: RpcResponse) => void;
  readonly #values: unknown[] = [];

  constructor(
    selector: string,
    state: ClientState,
    resolve: (response: RpcResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    super(selector, state, reject);
    this.#resolve = resolve;
  }

  protected override take(value: unknown): boolean {
    this.#values.push(value);
    return this.continued;
  }

  protected override complete(): void {
    this.#resolve(
      new RpcResponse(
        this.#values,
        this.continued,
        this.channel,
        this.reader,
        this.state.codec,
      ),
    );
  }
}

import type { Codec } from "../codec/codec.ts";
import { joinValues, ValueReader } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import type { Session } from "../mux/session.ts";
import { ChannelPool } from "./channel_pool.ts";
import { RemoteError, RpcError } from "./errors.ts";
import { decodeResponseHeader, encodeCallHeader } from "./protocol.ts";
import { RpcResponse } from "./response.ts";
import type { Caller, CallOptions } from "./types.ts";

/** Selectors whose encoded header is kept. */
const HEADER_CACHE_SIZE = 256;

/** What a client needs besides its session. */
export interface ClientOptions {
  /** How values travel; the other side's must be the same. */
  codec: Codec;
  /** Bytes that one reply value may have. */
  maxValueSize: number;
}

/** Makes calls over a session, each on a channel of its own. */
export class Client implements Caller {
  readonly #options: ClientOptions;
  readonly #channels: ChannelPool;
  readonly #headers = new Map<string, Uint8Array>();

  /** Makes a client; it never ends the session. */
  constructor(session: Session, options: ClientOptions) {
    this.#options = options;
    this.#channels = new ChannelPool(session);
  }

  call(
    selector: string,
    args: unknown = null,
    options: CallOptions = {},
  ): Promise<unknown> {
    return this.#start("first value", selector, args, options)
      .then(firstValue);
  }

  request(
    selector: string,
    args: unknown = null,
    options: CallOptions = {},
  ): Promise<RpcResponse> {
    return this.#start("response", selector, args, options);
  }

  #start(
    wanted: "first value" | "response",
    selector: string,
    args: unknown,
    options: CallOptions,
  ): Promise<RpcResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<RpcResponse>();
    const { signal } = options;
    if (signal?.aborted) {
      reject(signal.reason);
      return promise;
    }
    let request: Uint8Array;
    try {
      request = this.#encode(selector, args);
    } catch (error) {
      reject(error);
      return promise;
    }
    const call = new OutgoingCall(
      wanted,
      selector,
      this.#options,
      resolve,
      reject,
    );
    call.limit(options);
    const stream = isStream(args) ? args : undefined;
    const spare = this.#channels.take();
    if (spare !== undefined) call.run(spare, request, stream);
    else {
      this.#channels.open().then(
        (channel) => call.run(channel, request, stream),
        (error) => call.fail(error),
      );
    }
    return promise;
  }

  /** The header and, unless it is streamed, the argument: one DATA frame. */
  #encode(selector: string, args: unknown): Uint8Array {
    const { codec } = this.#options;
    let header = this.#headers.get(selector);
    if (header === undefined) {
      header = encodeCallHeader(codec, selector);
      if (this.#headers.size === HEADER_CACHE_SIZE) this.#headers.clear();
      this.#headers.set(selector, header);
    }
    return joinValues(
      isStream(args) ? [header] : [header, codec.encode(args)],
    );
  }
}

function firstValue(response: RpcResponse): unknown {
  return response.value;
}

function isStream(args: unknown): args is AsyncIterable<unknown> {
  return typeof args === "object" && args !== null &&
    Symbol.asyncIterator in args;
}

/** One call, from its first byte to its outcome, of which it has exactly one. */
class OutgoingCall {
  readonly #wanted: "first value" | "response";
  readonly #selector: string;
  readonly #options: ClientOptions;
  readonly #resolve: (response: RpcResponse) => void;
  readonly #reject: (reason: unknown) => void;
  #state: "opening" | "header" | "values" | "settled" = "opening";
  #channel!: QmuxChannel;
  #reader!: ValueReader;
  #continued = false;
  readonly #values: unknown[] = [];
  #arguments: AsyncIterator<unknown> | undefined;
  #unlimit: (() => void) | undefined;

  constructor(
    wanted: "first value" | "response",
    selector: string,
    options: ClientOptions,
    resolve: (response: RpcResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#wanted = wanted;
    this.#selector = selector;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Observes the caller's signal and timeout until the outcome. */
  limit({ signal, timeout }: CallOptions): void {
    if (signal === undefined && timeout === undefined) return;
    const onAbort = () => this.fail(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = timeout === undefined ? undefined : setTimeout(() => {
      this.fail(
        new RpcError(
          "timeout",
          `Cannot complete call "${this.#selector}": no response within ${timeout} ms`,
        ),
      );
    }, timeout);
    this.#unlimit = () => {
      signal?.removeEventListener("abort", onAbort);
      clearTimeout(timer);
    };
  }

  /** The channel is there: sends the call and waits for the answer. */
  run(
    channel: QmuxChannel,
    request: Uint8Array,
    stream: AsyncIterable<unknown> | undefined,
  ): void {
    if (this.#state === "settled") return void channel.close();
    this.#state = "header";
    this.#channel = channel;
    this.#reader = new ValueReader(channel, this.#options.maxValueSize);
    try {
      // Whatever keeps it from being sent also ends the wait for the answer.
      channel.send(request)?.catch(() => {});
      if (stream !== undefined) void this.#stream(stream);
      channel.wait(this.#advance);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with an error of this side, or of the other. */
  fail(reason: unknown): void {
    if (this.#state === "settled") return;
    const opened = this.#state !== "opening";
    this.#settle();
    if (opened) this.#channel.abort(reason);
    this.#reject(reason);
  }

  /** Sends many argument values, then EOF, as fast as they are taken. */
  async #stream(values: AsyncIterable<unknown>): Promise<void> {
    const iterator = values[Symbol.asyncIterator]();
    this.#arguments = iterator;
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (this.#state === "settled" && !this.#continued) return;
        if (done) break;
        await this.#channel.send(
          joinValues([this.#options.codec.encode(value)]),
        );
      }
      this.#channel.finish();
    } catch (error) {
      // Either the producer failed, or the call is over and hears it anyway.
      this.fail(error);
    }
  }

  readonly #advance = (): void => {
    try {
      while (this.#state !== "settled") {
        const bytes = this.#reader.next();
        if (bytes === undefined) return this.#channel.wait(this.#advance);
        if (bytes === null) return this.#ended();
        this.#take(bytes);
      }
    } catch (error) {
      this.fail(error);
    }
  };

  #take(bytes: Uint8Array): void {
    const { codec } = this.#options;
    if (this.#state === "header") {
      const { error, continued } = decodeResponseHeader(codec, bytes);
      if (error !== undefined) return this.fail(new RemoteError(error));
      this.#state = "values";
      this.#continued = continued;
      return;
    }
    this.#values.push(codec.decode(bytes));
    if (this.#wanted === "first value") this.#complete(false);
    else if (this.#continued) this.#complete(true);
  }

  /** The other side has ended its direction. */
  #ended(): void {
    if (this.#state === "values") return this.#complete(false);
    this.fail(
      new RpcError(
        "no-response",
        `Cannot complete call "${this.#selector}": the other side closed it without a response`,
      ),
    );
  }

  #complete(continued: boolean): void {
    this.#continued = continued;
    this.#settle();
    if (!continued) void this.#channel.close();
    this.#resolve(
      new RpcResponse(
        this.#values,
        continued,
        this.#channel,
        this.#reader,
        this.#options.codec,
      ),
    );
  }

  #settle(): void {
    this.#state = "settled";
    this.#unlimit?.();
    // Arguments still to come are of no use, unless the call goes on.
    if (!this.#continued) this.#arguments?.return?.().catch(() => {});
  }
}

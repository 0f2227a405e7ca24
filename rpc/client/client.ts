import { checkTimeout } from "../../check_option.ts";
import type { Carried, ValueWriter } from "../../codec/internal.ts";
import { RpcError } from "../errors.ts";
import { remoteOf } from "../remote/remote.ts";
import type { Remote } from "../remote/types.ts";
import type { CallOptions } from "../types.ts";
import { type CallExtension, callHeaderValue } from "../wire/headers.ts";
import { checkSelector, PING_SELECTOR } from "../wire/selector.ts";
import { isValueStream } from "../wire/value_source.ts";
import { CallContext, type ClientOptions } from "./call_context.ts";
import {
  type ChannelPool,
  channelPool,
  type PooledCaller,
} from "./channel_pool.ts";
import { type PendingCall, ResponseCall, ValueCall } from "./pending_call.ts";
import type { RpcResponse } from "./response.ts";

/** How many encoded call headers are cached, by selector. */
const HEADER_CACHE_SIZE = 256;

/** A call whose outcome has a place in no stack. */
class PingCall extends ValueCall {
  override fail(reason: unknown): void {
    this.giveUp(reason);
  }
}

/** Makes calls over a session, each on a channel of its own. */
export class Client implements PooledCaller {
  readonly [channelPool]: ChannelPool;
  readonly #context: CallContext;
  readonly #headers = new Map<string, Uint8Array>();
  /** The headers of calls whose argument is a single value, and no array. */
  #valueHeaders: Map<string, Uint8Array> | undefined;
  /** The ping that was not answered yet. */
  #ping: PingCall | undefined;

  /** Makes a client. Several clients may share a pool. */
  constructor(channels: ChannelPool, options: ClientOptions) {
    this[channelPool] = channels;
    channels.session = options.state;
    this.#context = new CallContext(options, channels, this);
  }

  call(
    selector: string,
    args: unknown = null,
    options?: CallOptions,
  ): Promise<unknown> {
    const outcome = Promise.withResolvers<unknown>();
    const call = new ValueCall(selector, this.#context, outcome);
    this.#start(call, args, options);
    return outcome.promise;
  }

  request(
    selector: string,
    args: unknown = null,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    const outcome = Promise.withResolvers<RpcResponse>();
    const call = new ResponseCall(selector, this.#context, outcome);
    // The class is of no interest to what follows.
    this.#start(call as PendingCall, args, options);
    return outcome.promise;
  }

  remote<S extends object, D extends Carried = Carried>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  /**
   * Asks the peer for a sign of life, on a channel that no call can take.
   *
   * @returns whether it was asked; undefined if it is not known to be extended
   */
  ping(): boolean | undefined {
    const { state, channels, messages } = this.#context;
    if (!state.peerExtended) return undefined;
    if (state.peerRefusesPings) return false;
    // One at a time: whatever keeps the last one may not keep this one.
    this.#ping?.giveUp(new RpcError("cancelled", "Ping was not answered"));
    // The session sees the answer, which is a byte of whatever kind.
    const ended = () => {
      if (this.#ping === call) this.#ping = undefined;
      channels.pingEnded();
    };
    const outcome = { resolve: ended, reject: ended };
    const call: PingCall = new PingCall(PING_SELECTOR, this.#context, outcome);
    const request = messages.store(this.#encode(call, null, false));
    this.#ping = call;
    return channels.openForPing((channel) => {
      messages.unstore();
      call.run(channel, request, undefined);
    }, (error) => {
      messages.unstore();
      call.fail(error);
    });
  }

  #start(call: PendingCall, args: unknown, options?: CallOptions): void {
    this.#context.callSites?.add(call);
    if (options?.signal?.aborted) return call.giveUp(options.signal.reason);
    const stream = isValueStream(args) ? args : undefined;
    let request: ValueWriter;
    try {
      checkSelector(call.selector);
      checkTimeout(options?.timeout);
      request = this.#encode(call, args, stream !== undefined);
    } catch (error) {
      return call.failNamed(error);
    }
    if (options !== undefined) call.limit(options);
    const { channels, messages, nested } = this.#context;
    const channel = channels.take(nested);
    if (channel !== undefined) return call.run(channel, request, stream);
    const stored = messages.store(request);
    call.opening = channels.open(
      (channel) => {
        messages.unstore();
        call.run(channel, stored, stream);
      },
      (error) => {
        messages.unstore();
        call.failNamed(error);
      },
      stored.length,
      nested,
    );
  }

  #encode(call: PendingCall, args: unknown, streamed: boolean): ValueWriter {
    const { selector } = call;
    try {
      return this.#write(selector, args, streamed);
    } catch (refusal) {
      return call.lend(
        args,
        refusal,
        (plain, lends) => this.#write(selector, plain, streamed, lends),
      );
    }
  }

  /** Writes the header and, unless it is streamed, the argument: one DATA frame. */
  #write(
    selector: string,
    args: unknown,
    streamed: boolean,
    lends?: string,
  ): ValueWriter {
    const { codec, messages } = this.#context;
    const writer = messages.begin();
    if (streamed || lends !== undefined) {
      this.#addUnusualHeader(writer, selector, args, streamed, lends);
    } else {
      const isList = Array.isArray(args) || args === null;
      const headers = isList
        ? this.#headers
        : this.#valueHeaders ??= new Map<string, Uint8Array>();
      let header = headers.get(selector);
      if (header === undefined) {
        this.#addHeader(
          writer,
          selector,
          isList ? undefined : false,
          undefined,
        );
        header = writer.message().slice();
        if (headers.size === HEADER_CACHE_SIZE) headers.clear();
        headers.set(selector, header);
      } else writer.addRaw(header);
    }
    if (!streamed) writer.add(codec, args);
    return writer;
  }

  /** The header of a call that streams its arguments, or lends functions. */
  #addUnusualHeader(
    writer: ValueWriter,
    selector: string,
    args: unknown,
    streamed: boolean,
    lends: string | undefined,
  ): void {
    const stream = streamed
      ? true
      : Array.isArray(args) || args === null
      ? undefined
      : false;
    // There may be functions among the values that follow.
    const prefix = streamed ? this.#context.state.callbacks.prefix : lends;
    this.#addHeader(writer, selector, stream, prefix);
  }

  #addHeader(
    writer: ValueWriter,
    selector: string,
    stream: boolean | undefined,
    lends: string | undefined,
  ): void {
    const { codec, extension, state } = this.#context;
    const nested = extension?.nested;
    const ping = state.refusesPings ? false : undefined;
    const about: CallExtension = { nested, stream, lends, ping };
    writer.add(codec, callHeaderValue(selector, about));
  }
}

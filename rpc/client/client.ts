import type { Codec, ValueBudget, ValueWriter } from "../../codec/internal.ts";
import { mayPoint, ownedCallback, revive } from "../callback/callback.ts";
import { type ChannelPool, lendChannels } from "./channel_pool.ts";
import { HeaderCache } from "../wire/header_cache.ts";
import type { Link } from "../callback/link.ts";
import { MessageWriter } from "../wire/message_writer.ts";
import { ResponseCall, ValueCall } from "./outcomes.ts";
import type { ClientState, OutgoingCall } from "./outgoing_call.ts";
import { callHeaderValue, decodeResponseHeader } from "../wire/headers.ts";
import { remoteOf } from "../remote/remote.ts";
import type { Remote } from "../remote/types.ts";
import type { RpcResponse } from "./response.ts";
import { isValueStream } from "../wire/value_source.ts";
import type { Caller, CallOptions } from "../types.ts";

/** Selectors whose encoded header is kept. */
const HEADER_CACHE_SIZE = 256;

/** What a client needs besides channels. */
export interface ClientOptions {
  /** How values travel; the other side's must be the same. */
  codec: Codec;
  /** Bytes that one reply value may have, or all of a complete response. */
  maxValueSize: number;
  /** What values that come in parts may take together. */
  budget: ValueBudget;
  /** What the calls of the session share, in both directions. */
  link: Link;
}

/** Makes calls over a session, each on a channel of its own. */
export class Client implements Caller {
  readonly #state: ClientState;
  readonly #headers = new Map<string, Uint8Array>();

  /** Makes a client; others may share its channels. */
  constructor(channels: ChannelPool, options: ClientOptions) {
    const { codec, link } = options;
    lendChannels(this, channels);
    const make = (id: string) => ownedCallback(id, this, link);
    this.#state = {
      ...options,
      channels,
      decode: (bytes) => {
        const value = codec.decode(bytes);
        return mayPoint(value, bytes) ? revive(value, make) : value;
      },
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

  remote<S extends object>(options?: CallOptions): Remote<S> {
    return remoteOf<S>(this, options);
  }

  #start(call: OutgoingCall, args: unknown, options?: CallOptions): void {
    if (options?.signal?.aborted) return call.fail(options.signal.reason);
    const stream = isValueStream(args) ? args : undefined;
    let request: ValueWriter;
    try {
      request = this.#encode(call, args, stream !== undefined);
    } catch (error) {
      return call.fail(error);
    }
    if (options !== undefined) call.limit(options);
    const { channels, messages } = this.#state;
    const channel = channels.take();
    if (channel !== undefined) return call.run(channel, request, stream);
    const kept = messages.keep(request);
    channels.open((channel) => {
      messages.unkeep();
      call.run(channel, kept, stream);
    }, (error) => {
      messages.unkeep();
      call.fail(error);
    });
  }

  #encode(call: OutgoingCall, args: unknown, streamed: boolean): ValueWriter {
    const { selector } = call;
    try {
      return this.#write(selector, args, streamed);
    } catch (refusal) {
      return call.lend(
        args,
        refusal,
        (plain) => this.#write(selector, plain, streamed),
      );
    }
  }

  /** The header and, unless it is streamed, the argument: one DATA frame. */
  #write(selector: string, args: unknown, streamed: boolean): ValueWriter {
    const { codec, messages } = this.#state;
    const writer = messages.begin();
    let header = this.#headers.get(selector);
    if (header === undefined) {
      writer.add(codec, callHeaderValue(selector));
      header = writer.message().slice();
      if (this.#headers.size === HEADER_CACHE_SIZE) this.#headers.clear();
      this.#headers.set(selector, header);
    } else writer.addRaw(header);
    if (!streamed) writer.add(codec, args);
    return writer;
  }
}

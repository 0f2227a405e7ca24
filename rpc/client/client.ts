import { reasonOf } from "../../abort_reason.ts";
import type { Carried, ValueWriter } from "../../codec/internal.ts";
import { RpcError } from "../errors.ts";
import { remoteOf } from "../remote/remote.ts";
import type { Remote } from "../remote/types.ts";
import type { SessionState } from "../session_state.ts";
import type { CallOptions } from "../types.ts";
import {
  addCallHeader,
  callHeaderValue,
  withDeadline,
} from "../wire/headers/call_header.ts";
import { sharedHeader } from "../wire/headers/header_cache.ts";
import { checkMeta, checkTrace, type Metadata } from "../wire/metadata.ts";
import { checkSelector, PING_SELECTOR } from "../wire/selector.ts";
import { isValueStream } from "../wire/value_source.ts";
import { CallContext, type ClientOptions } from "./call_context.ts";
import { type TimeLimit, timeLimitOf } from "./call_limits.ts";
import type { ChannelPool, PooledCaller } from "./channel_pool.ts";
import { type PendingCall, ResponseCall, ValueCall } from "./pending_call.ts";
import { channelPool } from "./pool_key.ts";
import type { RpcResponse } from "./response.ts";

/** How many encoded call headers are cached, by selector. */
const HEADER_CACHE_SIZE = 256;

/** What the header of a call says besides what its arguments are. */
interface Extras {
  /** Milliseconds that the call has, whole ones. */
  readonly deadline?: number | undefined;
  readonly meta?: Metadata | undefined;
  readonly trace?: string | undefined;
  /** Where the call says that it comes from. */
  readonly from?: string | undefined;
  /** Whether other calls of the selector are likely to have as many. */
  readonly isUsual: boolean;
}

/** The encoded header of calls that had the same time limit. */
interface TimedHeader {
  readonly deadline: number;
  /** The kind of the call, as in `#headers` of {@linkcode Client}. */
  readonly kind: number;
  /** Undefined until there is a second call. */
  bytes: Uint8Array | undefined;
}

/** A call whose outcome has a place in no stack. */
class PingCall extends ValueCall {
  override fail(reason: unknown): void {
    this.giveUp(reason);
  }
}

/** Makes calls over a session, each on a channel that no other call uses meanwhile. */
export class Client implements PooledCaller {
  readonly [channelPool]: ChannelPool;
  readonly #context: CallContext;
  /**
   * The encoded headers of calls by selector, one map for each kind: with a list of
   * arguments or one value, with a response that may or may not be continued, and with
   * or without `again`.
   */
  readonly #headers: (Map<string, Uint8Array> | undefined)[] = [];
  /** The one of them that was used last, which needs no look into the maps. */
  #lastSelector: string | undefined;
  #lastKind = 0;
  #lastHeader: Uint8Array | undefined;
  /** The headers of calls with a time limit, by selector. */
  #timedHeaders: Map<string, TimedHeader> | undefined;
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
    // The session sees the answer, which is a byte of any kind.
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
    const signal = options?.signal;
    if (signal?.aborted) return call.giveUp(reasonOf(signal));
    const stream = isValueStream(args) ? args : undefined;
    try {
      checkSelector(call.selector);
    } catch (mistake) {
      // There is no name that could be added to it.
      return call.fail(mistake);
    }
    let request: ValueWriter;
    let limit: TimeLimit | undefined;
    try {
      if (options !== undefined) limit = timeLimitOf(options, call);
      let extras = limit && this.#extrasOf(limit, options!, call);
      const { state } = this.#context;
      if (state.nextMark !== undefined) extras = marked(extras, state, call);
      request = this.#encode(call, args, stream !== undefined, extras);
    } catch (error) {
      return call.failNamed(error);
    }
    if (limit !== undefined) call.limit(options!.signal, limit);
    const { channels, messages, nested } = this.#context;
    const channel = channels.take(nested);
    if (channel !== undefined) return call.run(channel, request, stream);
    const stored = messages.store(request);
    const timeout = limit?.timeout;
    call.opening = channels.open(
      (channel) => {
        messages.unstore();
        const request = timeout === undefined
          ? stored
          : this.#updated(stored, timeout, call.timeLeft ?? timeout);
        call.run(channel, request, stream);
      },
      (error) => {
        messages.unstore();
        call.failUnsent(error);
      },
      stored.length,
      nested,
    );
  }

  /** Takes the time that a call has waited for a channel off its deadline. */
  #updated(stored: Uint8Array, timeout: number, timeLeft: number): Uint8Array {
    const left = Math.max(0, Math.ceil(timeLeft));
    return left === Math.ceil(timeout)
      ? stored
      : withDeadline(stored, this.#context.codec, left);
  }

  #encode(
    call: PendingCall,
    args: unknown,
    streamed: boolean,
    extras?: Extras,
  ): ValueWriter {
    try {
      return this.#write(call, args, streamed, extras);
    } catch (refusal) {
      return call.lend(
        args,
        refusal,
        (plain, lends) => this.#write(call, plain, streamed, extras, lends),
      );
    }
  }

  /** Writes the header and, unless it is streamed, the argument: one DATA frame. */
  #write(
    call: PendingCall,
    args: unknown,
    streamed: boolean,
    extras?: Extras,
    lends?: string,
  ): ValueWriter {
    const { channels, codec, messages } = this.#context;
    const { selector, mayContinue } = call;
    const writer = messages.begin();
    const isPlain = !streamed && lends === undefined;
    // The channel of a ping is not from the pool, and must not get into it.
    call.again = isPlain && selector !== PING_SELECTOR && channels.mayKeep;
    const isList = Array.isArray(args) || args === null;
    const stream = streamed ? true : isList ? undefined : false;
    const kind = (isList ? 0 : 1) + (mayContinue ? 2 : 0) +
      (call.again ? 4 : 0);
    if (isPlain && extras === undefined) {
      const header = this.#knownHeader(selector, kind);
      if (header !== undefined) writer.addRaw(header);
      else {
        const headers = this.#headers[kind] ??= new Map();
        this.#addHeader(writer, call, stream);
        if (headers.size === HEADER_CACHE_SIZE) headers.clear();
        headers.set(selector, sharedHeader(writer.message()));
        if (mayContinue) {
          // Peers that forward learn it from the first one.
          writer.begin();
          this.#addHeader(writer, call, stream, this.#prefix);
        }
      }
    } else if (isPlain && extras!.isUsual) {
      this.#addTimedHeader(writer, call, stream, kind, extras!);
    } else {
      // There may be functions among the values that follow.
      const prefix = streamed || mayContinue ? this.#prefix : lends;
      this.#addHeader(writer, call, stream, prefix, extras);
    }
    if (!streamed) writer.add(codec, args);
    return writer;
  }

  #knownHeader(selector: string, kind: number): Uint8Array | undefined {
    if (selector === this.#lastSelector && kind === this.#lastKind) {
      return this.#lastHeader;
    }
    const header = this.#headers[kind]?.get(selector);
    if (header === undefined) return undefined;
    this.#lastSelector = selector;
    this.#lastKind = kind;
    return this.#lastHeader = header;
  }

  /** What the IDs of the functions of this side begin with. */
  get #prefix(): string {
    return this.#context.state.prefix;
  }

  /** Programs give most calls of a selector the same time limit. */
  #addTimedHeader(
    writer: ValueWriter,
    call: PendingCall,
    stream: boolean | undefined,
    kind: number,
    extras: Extras,
  ): void {
    const { selector, mayContinue } = call;
    const deadline = extras.deadline!;
    const headers = this.#timedHeaders ??= new Map<string, TimedHeader>();
    const known = headers.get(selector);
    const isSame = known !== undefined && known.deadline === deadline &&
      known.kind === kind;
    if (isSame && known.bytes !== undefined) return writer.addRaw(known.bytes);
    const prefix = mayContinue && !isSame ? this.#prefix : undefined;
    this.#addHeader(writer, call, stream, prefix, extras);
    if (isSame) known.bytes = writer.message().slice();
    else {
      if (headers.size === HEADER_CACHE_SIZE) headers.clear();
      headers.set(selector, { deadline, kind, bytes: undefined });
    }
  }

  #addHeader(
    writer: ValueWriter,
    { selector, again }: PendingCall,
    stream: boolean | undefined,
    lends?: string,
    extras?: Extras,
  ): void {
    const { codec, extension, state } = this.#context;
    const about = {
      nested: extension?.nested,
      stream,
      lends,
      ping: state.refusesPings ? false as const : undefined,
      again: again || undefined,
      ...extras,
      // It concerns only this side, and what is undefined is left out.
      isUsual: undefined,
    };
    addCallHeader(writer, codec, callHeaderValue(selector, about));
  }

  /** What the header says about a time limit, the metadata and the trace context. */
  #extrasOf(
    { timeout, inherited }: TimeLimit,
    { meta, trace }: CallOptions,
    call: PendingCall,
  ): Extras | undefined {
    const deadline = timeout === undefined ? undefined : Math.ceil(timeout);
    if (trace !== undefined) checkTrace(trace, call.name);
    if (meta === undefined) {
      return deadline === undefined && trace === undefined
        ? undefined
        : { deadline, meta, trace, isUsual: !inherited && trace === undefined };
    }
    const { codec, state } = this.#context;
    const whose = `call "${call.name}"`;
    const checked = checkMeta(meta, codec, state.maxMetaSize, whose);
    return { deadline, meta: checked, trace, isUsual: false };
  }
}

/** What the header of the first call says besides. */
function marked(
  extras: Extras | undefined,
  state: SessionState,
  call: PendingCall,
): Extras {
  const from = state.nextMark;
  state.nextMark = undefined;
  state.markedCall = new WeakRef(call);
  return { ...extras, from, isUsual: false };
}

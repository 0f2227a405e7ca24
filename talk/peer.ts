import {
  type Codec,
  DEFAULT_MAX_VALUE_SIZE,
  DEFAULT_VALUE_BUDGET_SIZE,
  json,
  ValueBudget,
} from "../codec/internal.ts";
import {
  MuxError,
  type RawChannel,
  type RawSession,
  rawSession,
  type Session,
} from "../mux/internal.ts";
import { timeLimit } from "../time_limit.ts";
import {
  type Caller,
  type CallOptions,
  ChannelPool,
  channelPool,
  Client,
  DEFAULT_MAX_CALLBACKS,
  type Handler,
  invoke,
  notFound,
  type Remote,
  remoteOf,
  Router,
  type RpcResponse,
  Server,
  SessionState,
} from "../rpc/internal.ts";

/** Calls that one peer answers at once unless it is told otherwise. */
export const DEFAULT_MAX_CONCURRENT_CALLS = 1_024;

/** Where an error comes from that nobody awaits. */
export interface ErrorContext {
  /** The peer that it happened on. */
  peer: Peer;
  /** The call's selector, if there was one. */
  selector: string | undefined;
}

/** How a peer talks. */
export interface PeerOptions {
  /**
   * How values travel, both ways; the other side's must be the same. Default:
   * `json()`.
   */
  codec?: Codec;
  /**
   * Several in place of one `codec`: a call from the other side is answered in
   * the one that it is in, which the first byte of its header tells, and
   * `call.caller` calls back in it. Calls of this side are in the first.
   */
  codecs?: readonly Codec[];
  /** Answers the calls that no pattern of `handle()` matches. */
  handler?: Handler;
  /**
   * Hears what nobody awaits: a session that broke, a handler that threw after
   * it responded, a call header that could not be decoded.
   */
  onError?: (error: unknown, context: ErrorContext) => void;
  /**
   * Bytes that one value may have, and all values of one complete response
   * together. Default: 16 MiB.
   */
  maxValueSize?: number;
  /**
   * Bytes that all values may take which have arrived in part; a value past it
   * fails its call. Default: 64 MiB.
   */
  valueBudgetSize?: number;
  /**
   * Calls that are answered at once; the next ones fail with `busy: …`.
   * Default: 1,024.
   */
  maxConcurrentCalls?: number;
  /**
   * Functions of this side that the other side may hold at once, for it to call
   * back; sending one more fails. Default: 4,096.
   */
  maxCallbacks?: number;
}

/** How to close. */
export interface CloseOptions {
  /**
   * Milliseconds that calls under way, of both directions, have to come to
   * their end. Those that begin meanwhile are refused with `unavailable: …`.
   * Default: 0.
   */
  drainTimeout?: number;
}

/**
 * One end of a conversation: calls the other end, and answers its calls, from
 * the moment it exists.
 *
 * @example
 * ```ts
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("ping", (_call, respond) => respond.return("pong"));
 * assertEquals(await client.call("ping"), "pong");
 * ```
 */
export class Peer implements Caller, AsyncDisposable {
  /** The session below. Its incoming channels are the peer's. */
  readonly session: Session;
  readonly #raw: RawSession;
  readonly #router = new Router();
  readonly #client: Client;
  readonly #state: SessionState;
  readonly #server: Server;
  /** @ignore */
  readonly [channelPool]: ChannelPool;
  #draining = false;

  /**
   * Makes a peer of a session, which it owns from now on.
   *
   * @param session nobody else may accept its channels
   * @param options codec, handler and limits
   * @throws {MuxError} `invalid-state` if somebody does
   */
  constructor(session: Session, options: PeerOptions = {}) {
    const {
      codec = json(),
      codecs = [codec],
      handler: fallback = notFound,
      onError = () => {},
      maxValueSize = DEFAULT_MAX_VALUE_SIZE,
      valueBudgetSize = DEFAULT_VALUE_BUDGET_SIZE,
      maxConcurrentCalls = DEFAULT_MAX_CONCURRENT_CALLS,
      maxCallbacks = DEFAULT_MAX_CALLBACKS,
    } = options;
    this.session = session;
    const raw = this.#raw = rawSession(session);
    const budget = new ValueBudget(valueBudgetSize);
    const channels = new ChannelPool(raw);
    this[channelPool] = channels;
    const state = this.#state = new SessionState(maxCallbacks);
    const clientIn = (codec: Codec) =>
      new Client(channels, { codec, maxValueSize, budget, state });
    const [first = codec] = codecs;
    this.#client = clientIn(first);
    const report = (error: unknown, selector: string | undefined) => {
      try {
        onError(error, { peer: this, selector });
      } catch (mistake) {
        // Uncaught, as it should be, but not in the middle of the read loop.
        queueMicrotask(() => {
          throw mistake;
        });
      }
    };
    this.#server = new Server({
      codecs: codecs.length === 0 ? [first] : codecs,
      maxValueSize,
      budget,
      maxConcurrentCalls,
      state,
      callerIn: (codec) => codec === first ? this.#client : clientIn(codec),
      handler: (call, respond) => {
        const handler = this.#router.match(call.selector)?.handler ?? fallback;
        return invoke(handler, call, respond);
      },
      onError: report,
    });
    session.accept((channel) => this.#server.serve(channel as RawChannel));
    const release = () => state.callbacks.close();
    session.closed.then(release, (error) => {
      release();
      report(error, undefined);
    });
  }

  /** Calls the other end: see {@linkcode Caller.call}. */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    if (this.#draining) return Promise.reject(closing());
    return this.#client.call(selector, args, options);
  }

  /** Calls the other end: see {@linkcode Caller.request}. */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    if (this.#draining) return Promise.reject(closing());
    return this.#client.request(selector, args, options);
  }

  /** The other end's service, as methods: see {@linkcode Caller.remote}. */
  remote<S extends object>(options?: CallOptions): Remote<S> {
    return remoteOf<S>(this, options);
  }

  /** How many functions of this end the other end can call now. */
  get callbackCount(): number {
    return this.#state.callbacks.size;
  }

  /**
   * Answers calls by `handler`; see `Router.handle()` for patterns.
   *
   * @returns what removes it again
   * @throws {TypeError} if there is no handler, or the pattern has one already
   */
  handle(pattern: string, handler: Handler): Disposable {
    return this.#router.handle(pattern, handler);
  }

  /**
   * Resolves when the conversation has ended cleanly, from either side; rejects
   * with a `MuxError` otherwise. Never an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.session.closed;
  }

  /**
   * Ends the conversation. What is queued leaves, for at most a second; calls
   * that wait reject with `session-closed`, and the signals of those being
   * answered abort. Idempotent; never rejects.
   *
   * With `drain` it first waits until the calls under way have ended, of both
   * directions, those that continue included. Calls of this side reject with
   * `session-closed` meanwhile, except those that a handler makes by
   * `call.caller`; calls of the other side are refused with an error that says
   * `unavailable`, and that they were not begun. `close()` without `drain` ends
   * the wait.
   *
   * @param options whether to wait
   */
  async close({ drainTimeout = 0 }: CloseOptions = {}): Promise<void> {
    if (drainTimeout > 0) await this.#drain(drainTimeout);
    await this.session.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(ms: number): Promise<void> {
    this.#draining = true;
    this.#server.refuse();
    let over = false;
    const ended = Promise.withResolvers<void>();
    const end = () => {
      over = true;
      ended.resolve();
    };
    this.session.closed.then(end, end);
    const inTime = timeLimit(ms, end);
    while (!over && this.#isBusy()) {
      await Promise.race([this.#raw.whenSlotFreed(), ended.promise]);
    }
    inTime();
  }

  /** Whether there are channels beyond those opened ahead of need. */
  #isBusy(): boolean {
    const unused = this.#server.idle + this[channelPool].unused;
    return this.session.usage.slots > unused;
  }
}

function closing(): MuxError {
  return new MuxError("session-closed", "Cannot make call: peer is closing");
}

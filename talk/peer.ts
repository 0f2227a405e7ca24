import { type Codec, DEFAULT_MAX_VALUE_SIZE, json } from "../codec/internal.ts";
import {
  MuxError,
  type RawChannel,
  type RawSession,
  rawSession,
  type Session,
} from "../mux/internal.ts";
import { checkOption, type OptionRange } from "../check_option.ts";
import { limitWait } from "../time_limit.ts";
import { MAX_UINT32 } from "../uint32.ts";
import {
  type Caller,
  type CallOptions,
  ChannelPool,
  channelPool,
  Client,
  DEFAULT_MAX_CALLBACKS,
  DEFAULT_QUEUE_LIMITS,
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

/** What {@linkcode PeerOptions.onError} gets with the error. */
export interface ErrorContext {
  /** The peer on which the error occurred; undefined for an error of a listener. */
  peer: Peer | undefined;
  /** The selector of the call, if the error belongs to one. */
  selector: string | undefined;
}

/** Limits of a peer. */
export interface PeerLimits {
  /**
   * The largest size of a received value, and of all values together that a
   * complete response has, in bytes. An integer from 1 to 2^32 - 1.
   * Default: 1 MiB.
   */
  maxValueSize?: number | undefined;
  /**
   * How many incoming calls are handled at the same time; further calls wait,
   * with their arguments unread, until another one ends or its caller gives it
   * up. As many nested calls are handled besides, which are those of callbacks
   * and those that a handler of the other side makes with `call.caller`. An
   * integer of at least 1, or `Infinity`. Default: 1,024.
   */
  maxConcurrentCalls?: number | undefined;
  /**
   * How many calls may wait: incoming calls for others to end, and calls of this
   * side for a channel. Further incoming calls fail with `busy: …`, and further
   * calls of this side with `limit-exceeded`. An integer of at least 0, or
   * `Infinity`. Default: 16,384.
   */
  maxQueuedCalls?: number | undefined;
  /**
   * How many bytes the encoded requests of this side's calls may have that wait
   * for a channel; further calls fail with `limit-exceeded`. An integer of at
   * least 0. Default: 16 MiB.
   */
  maxQueuedCallSize?: number | undefined;
  /**
   * How long an incoming call may wait for others to end, in milliseconds; then
   * it fails with `busy: …`. A number of at least 0; above 2^31 - 1 there is no
   * limit. Default: 10,000.
   */
  callQueueTimeout?: number | undefined;
  /**
   * How many functions of this side the other side may hold for calling back, and
   * streams for reading; sending another one fails. An integer of at least 0, or `Infinity`.
   * Default: 4,096.
   */
  maxCallbacks?: number | undefined;
}

/** Options of a peer. */
export interface PeerOptions extends PeerLimits {
  /**
   * Encodes and decodes values in both directions. The other side must use the
   * same codec. Default: `json()`.
   */
  codec?: Codec | undefined;
  /**
   * Several codecs in place of one `codec`. An incoming call is decoded and
   * answered with the codec that the first byte of its header indicates, and
   * its `call.caller` uses the same one. This side makes its calls with the
   * first codec. Default: the one `codec`.
   */
  codecs?: readonly Codec[] | undefined;
  /**
   * Answers the calls that match no pattern of `handle()`. Default: such calls
   * fail with `not found: …`.
   */
  handler?: Handler | undefined;
  /**
   * Called with errors that no promise of the program can report: a session
   * that broke, a handler that threw after it had responded, a call header that
   * could not be decoded. Default: these errors are ignored.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
}

/** What the header of a call says that is made with `call.caller`. */
const NESTED = Object.freeze({ nested: true });

/** The defaults of {@linkcode PeerLimits}. */
export const DEFAULT_PEER_LIMITS: Readonly<
  Record<keyof PeerLimits, number>
> = Object.freeze({
  maxValueSize: DEFAULT_MAX_VALUE_SIZE,
  maxConcurrentCalls: 1_024,
  ...DEFAULT_QUEUE_LIMITS,
  maxCallbacks: DEFAULT_MAX_CALLBACKS,
});

const RANGES: Record<keyof PeerLimits, OptionRange> = {
  maxValueSize: { min: 1, max: MAX_UINT32 },
  maxConcurrentCalls: { min: 1, max: Infinity },
  maxQueuedCalls: { min: 0, max: Infinity },
  maxQueuedCallSize: { min: 0, max: Number.MAX_SAFE_INTEGER },
  callQueueTimeout: { min: 0, max: Infinity, fraction: true },
  maxCallbacks: { min: 0, max: Infinity },
};

/**
 * Returns the limits of a peer, with their defaults.
 *
 * @throws {RangeError} if one of them is out of range
 */
export function resolveLimits(
  options: PeerLimits,
): Record<keyof PeerLimits, number> {
  const resolved = { ...DEFAULT_PEER_LIMITS };
  for (const name of Object.keys(RANGES) as (keyof PeerLimits)[]) {
    const value = options[name];
    if (value === undefined) continue;
    checkOption(name, value, RANGES[name]);
    resolved[name] = value;
  }
  return resolved;
}

/** Options for closing. */
export interface CloseOptions {
  /**
   * How long calls in progress, of both directions, may take to end before the
   * session is closed, in milliseconds. Calls that arrive meanwhile are refused
   * with `unavailable: …`. A number of at least 0; `Infinity` is no limit.
   * Default: 0.
   */
  drainTimeout?: number | undefined;
  /**
   * Ends the wait for calls in progress: the session is closed at once. Default:
   * no signal.
   */
  signal?: AbortSignal | undefined;
}

/**
 * Checks the options of `close()`.
 *
 * @throws {RangeError} if `drainTimeout` is out of range
 */
export function checkCloseOptions({ drainTimeout = 0 }: CloseOptions): void {
  checkOption("drainTimeout", drainTimeout, {
    min: 0,
    max: Infinity,
    fraction: true,
  });
}

/**
 * One end of a session: it calls the other end and answers its calls, from the
 * moment it is made. `dial()`, `listen()`, `dialCommand()` and `memoryPair()`
 * make peers.
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
  /** The session. Its incoming channels belong to the peer. */
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
   * Makes a peer that owns the session.
   *
   * @param session a session whose channels are not accepted by anything else
   * @param options codec, handler and limits
   * @throws {RangeError} if an option is out of range
   * @throws {MuxError} `invalid-state` if the session's channels are accepted
   */
  constructor(session: Session, options: PeerOptions = {}) {
    const {
      codec = json(),
      codecs = [codec],
      handler: fallback = notFound,
      onError = () => {},
    } = options;
    const limits = resolveLimits(options);
    const { maxValueSize, maxCallbacks } = limits;
    this.session = session;
    const raw = this.#raw = rawSession(session);
    const { account } = raw;
    const channels = new ChannelPool(raw, limits);
    this[channelPool] = channels;
    const state = this.#state = new SessionState(maxCallbacks, account);
    const [first = codec] = codecs;
    const common = { maxValueSize, account, state };
    this.#client = new Client(channels, { codec: first, ...common });
    const report = (error: unknown, selector: string | undefined) => {
      try {
        onError(error, { peer: this, selector });
      } catch (mistake) {
        // An uncaught error is right, but it must not end the read loop.
        queueMicrotask(() => {
          throw mistake;
        });
      }
    };
    this.#server = new Server({
      codecs: codecs.length === 0 ? [first] : codecs,
      maxValueSize,
      account,
      maxConcurrentCalls: limits.maxConcurrentCalls,
      maxQueuedCalls: limits.maxQueuedCalls,
      callQueueTimeout: limits.callQueueTimeout,
      state,
      callerIn: (codec, marked) => {
        const extension = marked ? NESTED : undefined;
        const nested = true;
        return new Client(channels, { codec, ...common, nested, extension });
      },
      handler: (call, respond) => {
        const handler = this.#router.match(call.selector)?.handler ?? fallback;
        return invoke(handler, call, respond);
      },
      onError: report,
    });
    session.accept((channel) => this.#server.serve(channel as RawChannel));
    const release = () => state.close();
    session.closed.then(release, (error) => {
      release();
      report(error, undefined);
    });
  }

  /** Calls the other side: see {@linkcode Caller.call}. */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    if (this.#draining) return Promise.reject(closing());
    return this.#client.call(selector, args, options);
  }

  /** Calls the other side: see {@linkcode Caller.request}. */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    if (this.#draining) return Promise.reject(closing());
    return this.#client.request(selector, args, options);
  }

  /** The other side's service, as methods: see {@linkcode Caller.remote}. */
  remote<S extends object>(options?: CallOptions): Remote<S> {
    return remoteOf<S>(this, options);
  }

  /**
   * The number of functions of this side that the other side can call now, and of
   * streams in arguments and results that it can read.
   */
  get callbackCount(): number {
    return this.#state.callbacks.size;
  }

  /**
   * Answers the calls that match a pattern; see `Router.handle()` for patterns.
   *
   * @returns a disposable that removes the handler
   * @throws {TypeError} if `handler` is not a handler, or the pattern has one
   */
  handle(pattern: string, handler: Handler): Disposable {
    return this.#router.handle(pattern, handler);
  }

  /**
   * Resolves when either side has closed the session; rejects with a `MuxError`
   * if it ended otherwise. It never causes an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.session.closed;
  }

  /**
   * Closes the session. Queued data is sent first, within the session's
   * `closeTimeout`; pending calls of this side reject with
   * `session-closed`, and the signals of the calls being handled abort.
   * Idempotent.
   *
   * With `drainTimeout`, it first waits until the calls in progress have ended,
   * those of both directions, continued calls included. Meanwhile this side
   * cannot make calls, which reject with `session-closed`, except those that a
   * handler makes with `call.caller`; calls of the other side are refused with
   * `unavailable: …` and not handled. The wait ends early if `signal` aborts or
   * if `close()` is called without `drainTimeout`; neither makes `close()`
   * reject.
   *
   * @param options whether to wait for calls in progress
   * @throws {RangeError} if `drainTimeout` is out of range
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    if (options.drainTimeout) await this.#drain(options.drainTimeout, options);
    await this.session.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Waits until no call is in progress, or the wait ends early. */
  async #drain(timeout: number, { signal }: CloseOptions): Promise<void> {
    this.#draining = true;
    this.#server.refuse();
    let ended = false;
    const early = Promise.withResolvers<void>();
    const end = () => {
      ended = true;
      early.resolve();
    };
    this.session.closed.then(end, end);
    const cancel = limitWait({ signal, timeout, onTimeout: () => {} }, end);
    while (!ended && this.#isBusy()) {
      await Promise.race([this.#raw.whenSlotFreed(), early.promise]);
    }
    cancel();
  }

  /** Whether there are channels other than the spare ones. */
  #isBusy(): boolean {
    const { unused, queued } = this[channelPool];
    return queued > 0 ||
      this.session.usage.slots > this.#server.idle + unused;
  }
}

function closing(): MuxError {
  return new MuxError("session-closed", "Cannot make call: peer is closing");
}

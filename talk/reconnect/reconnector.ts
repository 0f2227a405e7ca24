import type { Carried } from "../../codec/internal.ts";
import {
  connectionLost,
  MuxError,
  rawSession,
  sessionClosed,
  type WaitOptions,
} from "../../mux/internal.ts";
import {
  type CallOptions,
  checkSelector,
  type ForwardedCall,
  type ForwardTargets,
  forwardTargets,
  type Handler,
  poolOf,
  type Remote,
  remoteOf,
  type RpcResponse,
  timeLimitOf,
} from "../../rpc/internal.ts";
import { callHook } from "../../call_hook.ts";
import {
  checkFunctions,
  checkObject,
  checkOption,
  checkSignal,
} from "../../check_option.ts";
import { Backoff } from "./backoff.ts";
import { isOurs, TalkError } from "../errors.ts";
import { checkCloseOptions, type CloseOptions } from "../close_options.ts";
import { handledTooLate, type Peer } from "../peer.ts";
import { SharedHandlers } from "./shared_handlers.ts";
import { DEFAULT_RECONNECT_OPTIONS } from "../dial/dial.ts";
import type {
  ConnectionState,
  ReconnectingPeer,
  ReconnectOptions,
} from "./types.ts";
import { WaitingCalls } from "./waiting_calls.ts";

/** How connections are made, and the clock; tests bring their own. */
export interface Environment<C extends Carried = Carried> {
  /**
   * Makes a connection whose calls `handler` answers. `onFallback` is called with the
   * reason when it tries a connection of another kind.
   */
  connect(
    handler: Handler,
    signal: AbortSignal,
    onFallback: (error: unknown) => void,
  ): Promise<Peer<C>>;
  /** Resolves after `ms` milliseconds, or earlier when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** The time in milliseconds, from an arbitrary origin. */
  now(): number;
  /** A random number from 0 (inclusive) to 1 (exclusive). */
  random(): number;
  /** Reports what a function of the program has thrown, with the peer if there was one. */
  report(error: unknown, peer: Peer<C> | undefined): void;
}

/**
 * The peer that calls can be sent to. A session ends slightly before the state
 * changes; a call that is made in between is not sent and can wait.
 */
export function usablePeer<C extends Carried>(
  state: ConnectionState<C>,
): Peer<C> | undefined {
  return state.name === "connected" && !rawSession(state.peer.session).ended
    ? state.peer
    : undefined;
}

/** The implementation of {@linkcode ReconnectingPeer}. */
export class Reconnector<C extends Carried = Carried>
  implements ReconnectingPeer<C> {
  /** How `forward()` uses it. */
  readonly [forwardTargets]: ForwardTargets = {
    failsOver: false,
    capacity: (max) => {
      const peer = this.#usable;
      return Math.min(max, peer && poolOf(peer)?.capacity || max);
    },
    onConnected: (callback) => {
      this.#onConnected.add(callback);
      return () => this.#onConnected.delete(callback);
    },
    forward: (call) => this.#forward(call),
  };
  readonly #options: ReconnectOptions<C>;
  readonly #maxAttempts: number;
  readonly #environment: Environment<C>;
  readonly #backoff: Backoff;
  readonly #handlers: SharedHandlers;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting: WaitingCalls<Peer<C>>;
  /** What is called when there is a new connection. */
  readonly #onConnected = new Set<() => void>();
  #state: ConnectionState<C> = { name: "connecting", attempt: 1 };
  /** The latest connection, even before `onConnect` has finished. */
  #peer: Peer<C> | undefined;
  /** Whether a peer was at the other end of a connection. */
  #met = false;
  /**
   * Whether something other than a peer was, so that another attempt is useless.
   */
  #isStranger = false;
  /** Whether the last connection ended within the first frame. */
  #wasCut = false;

  /**
   * Starts to connect.
   *
   * @throws {RangeError} if an option is out of range
   */
  constructor(
    options: ReconnectOptions<C>,
    fallback: Handler | undefined,
    environment: Environment<C>,
  ) {
    checkObject('option "reconnect"', options);
    checkFunctions(options, "onConnect", "onState");
    const {
      maxAttempts = DEFAULT_RECONNECT_OPTIONS.maxAttempts,
      maxWaitingCalls = DEFAULT_RECONNECT_OPTIONS.maxWaitingCalls,
    } = options;
    checkOption("maxAttempts", maxAttempts, { min: 1, max: Infinity });
    checkOption("maxWaitingCalls", maxWaitingCalls, { min: 0, max: Infinity });
    this.#options = options;
    this.#maxAttempts = maxAttempts;
    this.#waiting = new WaitingCalls(
      maxWaitingCalls,
      () => environment.now(),
    );
    this.#environment = environment;
    this.#backoff = new Backoff(options, () => environment.random());
    this.#handlers = new SharedHandlers(fallback);
    this.#closed.promise.catch(() => {});
    void this.#run();
  }

  get state(): ConnectionState<C> {
    return this.#state;
  }

  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    const peer = this.#usable;
    if (peer !== undefined) return peer.call(selector, args, options);
    return this.#callLater(
      selector,
      options,
      (peer, options) => peer.call(selector, args, options),
    );
  }

  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    const peer = this.#usable;
    if (peer !== undefined) return peer.request(selector, args, options);
    return this.#callLater(
      selector,
      options,
      (peer, options) => peer.request(selector, args, options),
    );
  }

  remote<S extends object, D extends Carried = C>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  handle(pattern: string, handler: Handler): Disposable {
    if (this.#stop.signal.aborted) throw handledTooLate(pattern);
    return this.#handlers.handle(pattern, handler);
  }

  use(...args: [unknown] | [unknown, unknown]): Disposable {
    return this.#handlers.use(args);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    this.#stop.abort(sessionClosed());
    await this.#peer?.close(options);
    await this.#closed.promise.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async connected({ signal }: WaitOptions = {}): Promise<Peer<C>> {
    checkSignal(signal);
    return this.#usable ?? await this.#waiting.wait(signal);
  }

  get #usable(): Peer<C> | undefined {
    return usablePeer(this.#state);
  }

  /** Makes a call when there is a connection, with the remaining time. */
  async #callLater<T>(
    selector: string,
    options: CallOptions = {},
    call: (peer: Peer<C>, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    checkSelector(selector);
    const limit = timeLimitOf(options, { name: selector });
    return await this.#waiting.call(selector, options, limit, call);
  }

  /** Sends a call that is forwarded, when there is a connection. */
  #forward({ selector, options, send }: ForwardedCall): Promise<void> {
    const peer = this.#usable;
    if (peer !== undefined) return send(peer);
    return this.#callLater(selector, options, (peer) => send(peer));
  }

  #set(state: ConnectionState<C>): void {
    this.#state = state;
    callHook(() => this.#options.onState?.(state));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 1;; attempt++) {
      let error: unknown;
      this.#set({ name: "connecting", attempt });
      try {
        const peer = await this.#connect(attempt, signal);
        attempt = 0;
        error = await this.#use(peer);
      } catch (failure) {
        error = failure;
      }
      if (signal.aborted) return this.#finish(undefined);
      if (
        attempt >= this.#maxAttempts || this.#isStranger || isPermanent(error)
      ) {
        return this.#finish({ error });
      }
      const delay = this.#backoff.next();
      this.#set({ name: "waiting", attempt: attempt + 1, delay, error });
      await this.#environment.wait(delay, signal);
      if (signal.aborted) return this.#finish(undefined);
    }
  }

  /** Connects and runs the `onConnect` hook. */
  async #connect(attempt: number, signal: AbortSignal): Promise<Peer<C>> {
    const peer = this.#peer = await this.#dial(attempt, signal);
    try {
      signal.throwIfAborted();
      const hook = this.#options.onConnect?.(peer);
      // Its calls reject when the connection is lost, but the hook may wait for
      // something else.
      const lost = lossOf(peer).then((error) => Promise.reject(error));
      await Promise.race([hook, lost]);
      return peer;
    } catch (error) {
      // Without a report, an `onConnect` that always throws would go unnoticed.
      const isLoss = rawSession(peer.session).ended &&
        error instanceof MuxError;
      if (!signal.aborted && !isLoss) this.#environment.report(error, peer);
      await peer.close();
      const loss = await lossOf(peer);
      this.#judge(peer, loss);
      throw this.#isStranger ? loss : error;
    }
  }

  async #dial(attempt: number, signal: AbortSignal): Promise<Peer<C>> {
    try {
      return await this.#environment.connect(
        this.#handlers.handler,
        signal,
        (fallback) => this.#set({ name: "connecting", attempt, fallback }),
      );
    } catch (error) {
      // A function that gives the address or an option has thrown it.
      if (!signal.aborted && !isOurs(error) && !isPermanent(error)) {
        this.#environment.report(error, undefined);
      }
      throw error;
    }
  }

  /** Makes a connection available to calls; resolves to the reason for its end. */
  async #use(peer: Peer<C>): Promise<unknown> {
    const since = this.#environment.now();
    this.#set({ name: "connected", peer });
    this.#waiting.release(peer);
    for (const callback of [...this.#onConnected]) callback();
    const error = await lossOf(peer);
    this.#backoff.connectionLasted(this.#environment.now() - since);
    this.#judge(peer, error);
    return error;
  }

  /**
   * Decides whether a connection was to something other than a peer, such as an
   * HTTP server, or to a server that refuses this peer, neither of which will
   * change. If there was a peer before, it may only be absent, behind a proxy that
   * answers in its place.
   */
  #judge(peer: Peer<C>, loss: unknown): void {
    const { heard, received } = rawSession(peer.session);
    this.#met ||= heard;
    if (this.#met || !(loss instanceof MuxError)) return;
    const { permanent } = (loss.cause ?? {}) as { permanent?: unknown };
    // A peer that was killed can have sent some bytes of a frame, but not twice.
    const isCut = received > 0;
    this.#isStranger = loss.code === "protocol-error" || permanent === true ||
      isCut && this.#wasCut;
    this.#wasCut = isCut;
  }

  #finish(failure: { error: unknown } | undefined): void {
    this.#set({ name: "closed", ...failure });
    const reason = failure === undefined ? sessionClosed() : failure.error;
    this.#waiting.end(reason);
    if (failure === undefined) this.#closed.resolve();
    else this.#closed.reject(failure.error);
  }
}

/**
 * Resolves to why a connection ended. A connection that the peer closed counts as
 * lost, too.
 */
async function lossOf(peer: Peer): Promise<unknown> {
  try {
    await peer.closed;
  } catch (error) {
    return error;
  }
  return connectionLost("the peer closed the session");
}

/** Whether every further attempt would fail in the same way. */
function isPermanent(error: unknown): boolean {
  return error instanceof RangeError ||
    error instanceof TalkError && error.permanent;
}

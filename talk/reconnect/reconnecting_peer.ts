/**
 * A peer whose connection is made anew whenever it is lost.
 *
 * @module
 */
import { MuxError, rawSession } from "../../mux/internal.ts";
import { timeLimit } from "../../time_limit.ts";
import {
  type Caller,
  type CallOptions,
  type Handler,
  invoke,
  notFound,
  type Remote,
  remoteOf,
  Router,
  RpcError,
  type RpcResponse,
} from "../../rpc/internal.ts";
import { checkOption } from "../../check_option.ts";
import { Backoff } from "./backoff.ts";
import { TalkError } from "../errors.ts";
import type { CloseOptions, Peer } from "../peer.ts";
import {
  type ConnectionState,
  DEFAULT_MAX_WAITING_CALLS,
  type ReconnectEnvironment,
  type ReconnectOptions,
} from "./options.ts";

/** A call that waits for a connection. */
interface Waiter {
  resolve(peer: Peer): void;
  reject(reason: unknown): void;
}

/**
 * A peer that connects again when its connection is lost. `dial()` gives it for
 * the option `reconnect`.
 *
 * A call that was sent when the connection was lost rejects with
 * `connection-lost`: whether it was carried out nobody here can know, so it is
 * never sent again. A call made while there is no connection was not sent yet
 * and waits for one, for as long as its `timeout` and `signal` allow. Handlers
 * stay from connection to connection.
 */
export class ReconnectingPeer implements Caller, AsyncDisposable {
  readonly #options: ReconnectOptions;
  readonly #environment: ReconnectEnvironment;
  readonly #backoff: Backoff;
  readonly #router = new Router();
  readonly #handler: Handler;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = new Set<Waiter>();
  #state: ConnectionState = { name: "connecting", attempt: 1 };
  /** The connection, from the moment it is made. */
  #peer: Peer | undefined;

  /**
   * Reconnecting peers are made by `dial()`.
   *
   * @throws {RangeError} if an option is out of range
   */
  constructor(
    options: ReconnectOptions,
    fallback: Handler = notFound,
    environment: ReconnectEnvironment,
  ) {
    const { maxAttempts = Infinity, maxWaitingCalls = 0 } = options;
    checkOption("maxAttempts", maxAttempts, { min: 1, max: Infinity });
    checkOption("maxWaitingCalls", maxWaitingCalls, { min: 0, max: Infinity });
    this.#options = options;
    this.#environment = environment;
    this.#backoff = new Backoff(options, () => environment.random());
    this.#handler = (call, respond) => {
      const handler = this.#router.match(call.selector)?.handler ?? fallback;
      return invoke(handler, call, respond);
    };
    this.#closed.promise.catch(() => {});
    void this.#run();
  }

  /** What it is doing. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Calls the other end: see {@linkcode Caller.call}. */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    const peer = this.#usable;
    if (peer !== undefined) return peer.call(selector, args, options);
    return this.#later(
      selector,
      options,
      (peer, options) => peer.call(selector, args, options),
    );
  }

  /** Calls the other end: see {@linkcode Caller.request}. */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    const peer = this.#usable;
    if (peer !== undefined) return peer.request(selector, args, options);
    return this.#later(
      selector,
      options,
      (peer, options) => peer.request(selector, args, options),
    );
  }

  /** The other end's service, as methods: see {@linkcode Caller.remote}. */
  remote<S extends object>(options?: CallOptions): Remote<S> {
    return remoteOf<S>(this, options);
  }

  /**
   * Answers calls of this and of all later connections by `handler`.
   *
   * @returns what removes it again
   * @throws {TypeError} if there is no handler, or the pattern has one already
   */
  handle(pattern: string, handler: Handler): Disposable {
    return this.#router.handle(pattern, handler);
  }

  /**
   * Resolves when the peer was closed; rejects if it gave up, with what the
   * last attempt failed with. Never an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Ends the connection, if there is one, and makes no other. Calls that wait
   * reject with `session-closed`. Idempotent; never rejects.
   *
   * @param options whether calls under way have time: see `Peer.close()`
   */
  async close(options?: CloseOptions): Promise<void> {
    this.#stop.abort(sessionClosed());
    await this.#peer?.close(options);
    await this.#closed.promise.catch(() => {});
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Resolves as soon as there is a connection: at once if there is one.
   *
   * @throws {unknown} `signal.reason`; as {@linkcode closed} if it gives up, and
   * `session-closed` if it is closed
   */
  connected(signal?: AbortSignal): Promise<Peer> {
    const peer = this.#usable;
    return peer === undefined ? this.#wait(signal) : Promise.resolve(peer);
  }

  /**
   * The peer that calls can be sent to. A session knows a little earlier than
   * `state` that it has ended, and what is made then was not sent and can wait.
   */
  get #usable(): Peer | undefined {
    return this.#state.name === "connected" &&
        !rawSession(this.#state.peer.session).ended
      ? this.#state.peer
      : undefined;
  }

  /** Makes a call when there is a connection, with the time that is left. */
  async #later<T>(
    selector: string,
    options: CallOptions = {},
    call: (peer: Peer, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const { maxWaitingCalls = DEFAULT_MAX_WAITING_CALLS } = this.#options;
    if (this.#waiting.size >= maxWaitingCalls) {
      throw new MuxError(
        "limit-exceeded",
        `Cannot make call "${selector}": ${this.#waiting.size} wait for a connection`,
      );
    }
    const { signal, timeout } = options;
    if (timeout === undefined) {
      return await call(await this.#wait(signal), options);
    }

    const giveUp = new AbortController();
    const onAbort = () => giveUp.abort(signal!.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const expire = () =>
      giveUp.abort(
        new RpcError(
          "timeout",
          `Cannot make call "${selector}": no connection within ${timeout} ms`,
        ),
      );
    const inTime = timeLimit(timeout, expire);
    const since = this.#environment.now();
    let peer: Peer;
    try {
      peer = await this.#wait(giveUp.signal);
    } finally {
      inTime();
      signal?.removeEventListener("abort", onAbort);
    }
    const passed = this.#environment.now() - since;
    return await call(peer, { signal, timeout: Math.max(0, timeout - passed) });
  }

  #wait(signal: AbortSignal | undefined): Promise<Peer> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#state.name === "closed") {
      return Promise.reject(this.#state.error ?? sessionClosed());
    }
    const { promise, resolve, reject } = Promise.withResolvers<Peer>();
    const waiter: Waiter = { resolve, reject };
    this.#waiting.add(waiter);
    if (signal === undefined) return promise;
    const onAbort = () => {
      this.#waiting.delete(waiter);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /** Everything that waits is told. */
  #settle(tell: (waiter: Waiter) => void): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    waiting.forEach(tell);
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    try {
      this.#options.onState?.(state);
    } catch (mistake) {
      // Uncaught, as it should be, but it does not end the reconnecting.
      queueMicrotask(() => {
        throw mistake;
      });
    }
  }

  async #run(): Promise<void> {
    const { maxAttempts = Infinity } = this.#options;
    const { signal } = this.#stop;
    for (let attempt = 1;; attempt++) {
      let error: unknown;
      this.#set({ name: "connecting", attempt });
      try {
        const peer = await this.#connect(signal);
        attempt = 0;
        error = await this.#use(peer);
      } catch (failure) {
        error = failure;
      }
      if (signal.aborted) return this.#finish(undefined);
      if (attempt >= maxAttempts || isPermanent(error)) {
        return this.#finish({ error });
      }
      const delay = this.#backoff.next();
      this.#set({ name: "waiting", attempt: attempt + 1, delay, error });
      await this.#environment.wait(delay, signal);
      if (signal.aborted) return this.#finish(undefined);
    }
  }

  /** Connects, and lets the program set up what it needs. */
  async #connect(signal: AbortSignal): Promise<Peer> {
    const peer = await this.#environment.connect(this.#handler, signal);
    this.#peer = peer;
    try {
      signal.throwIfAborted();
      const hook = this.#options.onConnect?.(peer);
      // What it calls rejects when the connection is lost, but it may also
      // wait for something else.
      const lost = lossOf(peer).then((error) => Promise.reject(error));
      await Promise.race([hook, lost]);
      return peer;
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  /** Gives a connection to the calls; resolves to why it ended. */
  async #use(peer: Peer): Promise<unknown> {
    const since = this.#environment.now();
    this.#set({ name: "connected", peer });
    this.#settle((waiter) => waiter.resolve(peer));
    const error = await lossOf(peer);
    this.#backoff.held(this.#environment.now() - since);
    return error;
  }

  #finish(failure: { error: unknown } | undefined): void {
    this.#set({ name: "closed", ...failure });
    const reason = failure === undefined ? sessionClosed() : failure.error;
    this.#settle((waiter) => waiter.reject(reason));
    if (failure === undefined) this.#closed.resolve();
    else this.#closed.reject(failure.error);
  }
}

/** Why a connection ended, once it did; a clean end is a loss too. */
async function lossOf(peer: Peer): Promise<unknown> {
  try {
    await peer.closed;
  } catch (error) {
    return error;
  }
  return new MuxError(
    "connection-lost",
    "Connection is lost: the peer ended it",
  );
}

/** Whether no further attempt could be any better. */
function isPermanent(error: unknown): boolean {
  return error instanceof RangeError ||
    (error instanceof TalkError &&
      (error.code === "bad-address" || error.code === "unknown-scheme"));
}

function sessionClosed(): MuxError {
  return new MuxError("session-closed", "Session is closed");
}

/**
 * The public types of reconnecting, and the defaults of its options.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { WaitOptions } from "../../mux/internal.ts";
import type { Caller, Handler, Middleware } from "../../rpc/internal.ts";
import type { CloseOptions } from "../close_options.ts";
import type { Peer } from "../peer.ts";

/** Options for the delays between attempts to connect. */
export interface BackoffOptions {
  /**
   * The delay before the first attempt after a failure, in milliseconds. A
   * number from 0 to 2^31 - 1. Default: 100.
   */
  minDelay?: number | undefined;
  /**
   * The longest delay, in milliseconds: each delay is twice the one before, up
   * to this. A number from `minDelay` to 2^31 - 1. Default: 30,000.
   */
  maxDelay?: number | undefined;
  /**
   * The largest part of a delay that is randomly left out, so that many clients do
   * not reconnect at the same time. A number from 0 to 1. Default: 0.5.
   */
  jitter?: number | undefined;
}

/** Options for reconnecting. */
export interface ReconnectOptions<C extends Carried = Carried>
  extends BackoffOptions {
  /**
   * After how many failed attempts in a row the peer gives up; this includes the
   * attempts for the first connection. It gives up at once after a permanent error,
   * such as 401 (see `TalkError.permanent`), and if the server at the address is
   * not a peer. An integer of at least 1, or `Infinity`. Default: `Infinity`.
   */
  maxAttempts?: number | undefined;
  /**
   * How many calls may wait for a connection; further calls reject with
   * `limit-exceeded`. An integer of at least 0, or `Infinity`. Default: 1,024.
   */
  maxWaitingCalls?: number | undefined;
  /**
   * Called with every new connection, to restore what the server lost with the
   * previous one. Make its calls on `peer`: all other calls wait until it has
   * finished. If it throws, the connection is closed, the attempt counts as failed,
   * and the error goes to `onError` with the peer. To give up, throw a `TalkError`
   * that is `permanent`. Default: none.
   */
  onConnect?: ((peer: Peer<C>) => void | Promise<void>) | undefined;
  /**
   * Called with every new state. The state `waiting` has the error of the attempt
   * that failed. Default: none.
   */
  onState?: ((state: ConnectionState<C>) => void) | undefined;
}

/** What a {@linkcode ReconnectingPeer} is doing. */
export type ConnectionState<C extends Carried = Carried> =
  /**
   * It is connecting; `attempt` counts from 1 after each connection. If the runtime
   * has refused a direct connection for `wss:`, and its own `WebSocket` is tried in
   * the same attempt, `fallback` is the error of the direct connection.
   */
  | {
    readonly name: "connecting";
    readonly attempt: number;
    readonly fallback?: unknown;
  }
  /** It is connected; calls go to `peer`. */
  | { readonly name: "connected"; readonly peer: Peer<C> }
  /** It waits `delay` milliseconds before the next attempt, because of `error`. */
  | {
    readonly name: "waiting";
    readonly attempt: number;
    readonly delay: number;
    readonly error: unknown;
  }
  /** It was closed, or it has given up because of `error`. */
  | { readonly name: "closed"; readonly error?: unknown };

/**
 * A peer that connects again when its connection is lost; `dial()` makes it if
 * the option `reconnect` is given.
 *
 * A call that was sent before the connection was lost rejects with
 * `connection-lost`. It is never sent again, because it may have been executed. A
 * call that is made without a connection waits for one, within its `timeout`
 * and until its `signal` aborts. Handlers apply to all connections.
 */
export interface ReconnectingPeer<C extends Carried = Carried>
  extends Caller<C>, AsyncDisposable {
  /** The current state. */
  readonly state: ConnectionState<C>;
  /**
   * Resolves when the peer was closed; rejects with the error of the last
   * attempt if it gave up. It never causes an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /**
   * Answers the calls that match a pattern, on this connection and on all later
   * ones; see `Router.handle()` for patterns.
   *
   * @returns a disposable that removes the handler
   * @throws {TypeError} if `handler` is not a handler, or the pattern has one
   */
  handle(pattern: string, handler: Handler): Disposable;
  /**
   * Puts middleware around the calls of the other side, on this connection and on
   * all later ones; see `Peer.use()`.
   *
   * @returns a disposable that removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(middleware: Middleware<Context>): Disposable;
  /**
   * As above, around the calls that match a pattern.
   *
   * @returns disposing of it removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(
    pattern: string,
    middleware: Middleware<Context>,
  ): Disposable;
  /**
   * Resolves to the peer of the current connection, or of the next one if there
   * is none.
   *
   * @throws {MuxError} `session-closed` if it is closed
   * @throws {unknown} `signal.reason`; the error of the last attempt if it gives
   * up
   */
  connected(options?: WaitOptions): Promise<Peer<C>>;
  /**
   * Closes the connection and does not connect again. Calls that wait for a
   * connection reject with `session-closed`. Idempotent.
   *
   * @param options whether to wait for calls in progress, as in
   * {@linkcode Peer.close}
   * @throws {RangeError} if `drainTimeout` is out of range
   */
  close(options?: CloseOptions): Promise<void>;
  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

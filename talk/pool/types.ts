/**
 * The public types of pools, and the defaults of their options.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { WaitOptions } from "../../mux/internal.ts";
import type { Caller, Handler, Middleware } from "../../rpc/internal.ts";
import type { ConnectOptions } from "../dial/dial.ts";
import type { CloseOptions } from "../close_options.ts";
import type { Peer, PeerOptions } from "../peer.ts";
import type { BackoffOptions, ConnectionState } from "../reconnect/types.ts";

/**
 * Returns the addresses of a pool.
 *
 * @param options `signal`: aborts when the pool is closed, or the answer takes longer
 * than the `timeout` of the pool
 */
export type ListAddresses = (
  options: { signal: AbortSignal },
) => readonly string[] | Promise<readonly string[]>;

/**
 * The addresses of a pool: an array, a function that is called repeatedly, or an
 * async iterable that yields the whole list whenever it changes.
 */
export type PoolAddresses =
  | readonly string[]
  | ListAddresses
  | AsyncIterable<readonly string[]>;

/** One peer of a pool: an address that it dials, or a peer that was added. */
export interface PoolMember<C extends Carried = Carried> {
  /** The address, without user, password, query and fragment. */
  readonly address: string;
  /**
   * The state of the connection. The last state is `closed`: with an error if the
   * member was given up, and without one if it is no longer listed, was removed, or
   * the pool is closed.
   */
  readonly state: ConnectionState<C>;
  /**
   * Calls of the pool that the member has not answered yet. A call whose response is
   * a stream counts until that ends.
   */
  readonly inFlight: number;
}

/** A call that a pool is about to make. */
export interface PoolCall {
  /** What is called, as the program wrote it. */
  readonly selector: string;
  /**
   * The argument value, as the program gave it; undefined if `forward()` forwards
   * the call, because it does not decode arguments.
   */
  readonly args: unknown;
}

/**
 * How a pool chooses the member for a call.
 *
 * - `"least-loaded"`: the one with the fewest calls in flight; in turn if several
 *   have equally few.
 * - `"round-robin"`: one after the other.
 * - A function chooses one of `members`, which are connected, have room for the call
 *   and have not refused it: for calls that should go to a certain server while it is
 *   connected.
 */
export type Balance =
  | "least-loaded"
  | "round-robin"
  | ((members: readonly PoolMember[], call: PoolCall) => PoolMember);

/** Options of every pool: which member gets a call. */
export interface BalanceOptions {
  /** How the member for a call is chosen. Default: `"least-loaded"`. */
  balance?: Balance | undefined;
  /**
   * How many further members a call goes to, one after the other, after a member
   * has refused it with `busy` or `unavailable`. Members whose connection was lost
   * before the call was sent do not count. An integer of at least 0, or `Infinity`.
   * Default: 3.
   */
  maxFailovers?: number | undefined;
  /**
   * How many calls may wait while no member is connected, or while all have
   * `maxCallsPerMember`; further calls reject with `limit-exceeded`. An integer of at
   * least 0, or `Infinity`. Default: 1,024.
   */
  maxWaitingCalls?: number | undefined;
  /**
   * How many calls of the pool may be in flight at one member; further calls go to
   * others, or wait for the end of a call, in the order in which they were made. A
   * call whose response is a stream counts until that ends. An integer of at least
   * 1, or `Infinity`. Default: `Infinity`.
   */
  maxCallsPerMember?: number | undefined;
}

/** Options of `dialPool()`. */
export interface PoolOptions<C extends Carried = Carried>
  extends BalanceOptions, PeerOptions<C>, ConnectOptions, BackoffOptions {
  /**
   * How many addresses the pool connects to at the same time. From a longer list,
   * it chooses addresses at random, so that many clients share many servers, and
   * keeps them as long as they are listed. An integer of at least 1, or `Infinity`.
   * Default: 64.
   */
  maxMembers?: number | undefined;
  /**
   * After how many failed attempts in a row to connect a member is given up. A
   * function that lists addresses can list it again. An integer of at least 1, or
   * `Infinity`. Default: `Infinity`.
   */
  maxAttempts?: number | undefined;
  /**
   * How long the pool waits before it calls a function for the addresses again, in
   * milliseconds. It also calls it when a connection is lost. A number from 0 to
   * 2^31 - 1. Default: 5,000.
   */
  refreshInterval?: number | undefined;
  /**
   * How long `dialPool()` waits for the first connection, in milliseconds. `timeout`
   * is the limit of each attempt. A number of at least 0; above 2^31 - 1 there is no
   * limit. Default: 30,000.
   */
  readyTimeout?: number | undefined;
  /**
   * How long the calls of a member that is no longer listed may go on, including
   * streams, in milliseconds. A number of at least 0; `Infinity` is no limit.
   * Default: 30,000.
   */
  drainTimeout?: number | undefined;
  /**
   * Called with every new connection, to log in or restore what the server needs.
   * Make its calls on `peer`: calls of the pool go to this member only when it has
   * finished. If it throws, the connection is closed, the attempt counts as failed,
   * and the error goes to `onError` with the peer. To give the member up, throw a
   * `TalkError` that is `permanent`. Default: none.
   */
  onConnect?:
    | ((peer: Peer<C>, member: PoolMember<C>) => void | Promise<void>)
    | undefined;
  /**
   * Called when the state of a member has changed; the first one is `connecting`,
   * and the last one `closed`. Default: none.
   */
  onState?: ((member: PoolMember<C>) => void) | undefined;
}

/** The defaults of {@linkcode BalanceOptions}. */
export const DEFAULT_BALANCE_OPTIONS: Readonly<
  Record<"maxFailovers" | "maxWaitingCalls" | "maxCallsPerMember", number>
> = Object.freeze({
  maxFailovers: 3,
  maxWaitingCalls: 1_024,
  maxCallsPerMember: Infinity,
});

/** The defaults of {@linkcode PoolOptions}, besides those of `BalanceOptions`. */
export const DEFAULT_POOL_OPTIONS: Readonly<
  Record<
    | "maxMembers"
    | "maxAttempts"
    | "refreshInterval"
    | "readyTimeout"
    | "drainTimeout",
    number
  >
> = Object.freeze({
  maxMembers: 64,
  maxAttempts: Infinity,
  refreshInterval: 5_000,
  readyTimeout: 30_000,
  drainTimeout: 30_000,
});

/**
 * Several servers with the same service, in place of one peer; `dialPool()` makes
 * it.
 *
 * Each call goes to one connected member. If the member refuses it with `busy` or
 * `unavailable`, or the connection is lost before the call is sent, it goes to
 * another one. A call that may have begun is never sent again: it rejects, with
 * `connection-lost` if its connection is lost. A stream stays with the member where
 * it began. A call with streams among its arguments goes to one member only; if a
 * stream is the whole argument and the call was not sent, it goes to another one.
 *
 * Calls that are made while no member is connected wait for one, within their
 * `timeout` and until their `signal` aborts. The `timeout` of a call covers all
 * members together. Handlers, and callbacks among the arguments, work on all
 * connections.
 */
export interface PeerPool<C extends Carried = Carried>
  extends Caller<C>, AsyncDisposable {
  /** The members, without those that were given up or are no longer listed. */
  readonly members: readonly PoolMember<C>[];
  /**
   * Resolves when the pool has been closed; rejects if it has given up all
   * addresses and cannot get others. It never causes an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /**
   * Answers the calls that match a pattern, of every member; see `Router.handle()`
   * for patterns.
   *
   * @returns a disposable that removes the handler
   * @throws {TypeError} if `handler` is not a handler, or the pattern has one
   */
  handle(pattern: string, handler: Handler): Disposable;
  /**
   * Puts middleware around the calls of every member; see `Peer.use()`.
   *
   * @returns a disposable that removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(middleware: Middleware<Context>): Disposable;
  /** Puts middleware around the calls that match a pattern. */
  use<Context = unknown>(
    pattern: string,
    middleware: Middleware<Context>,
  ): Disposable;
  /**
   * Resolves to the peer of a connected member, or of the first one that will be: for
   * several calls that have to go to the same server. They do not count as in flight.
   *
   * @throws {MuxError} `session-closed` if the pool is closed
   * @throws {unknown} `signal.reason`, or the error with which the pool has given
   * up
   */
  connected(options?: WaitOptions): Promise<Peer<C>>;
  /**
   * Closes all connections and does not connect again. Further calls, and those that
   * wait for a connection, reject with `session-closed`. Idempotent.
   *
   * @param options whether to wait for calls in progress, as in `Peer.close()`
   * @throws {RangeError} if `drainTimeout` is out of range
   */
  close(options?: CloseOptions): Promise<void>;
  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Peers that have dialed this side, in place of one peer; `workerPool()` makes it.
 * Calls are divided among the members, fail over and wait as those of a {@linkcode
 * PeerPool}.
 */
export interface WorkerPool<C extends Carried = Carried>
  extends Caller<C>, Disposable {
  /**
   * The members, in the order in which they were added. `address` is that of the
   * peer; it is empty if that is unknown.
   */
  readonly members: readonly PoolMember<C>[];
  /**
   * Adds a peer, whose calls begin at once; it has no effect if it is a member, or
   * the pool is closed. A member whose session ends is no longer one.
   *
   * @param peer a peer of a listener, of `onPeer` or of `dial()`
   * @returns a disposable with which it gets no further calls; those in flight go on.
   * It has no effect on a peer that was removed and added again
   * @throws {TypeError} if `peer` is not a `Peer`
   */
  add(peer: Peer<C>): Disposable;
  /**
   * Resolves to the peer of a member, or of the first one that will be added: for
   * several calls that have to go to the same member. They do not count as in flight.
   *
   * @throws {MuxError} `session-closed` if the pool is closed
   * @throws {unknown} `signal.reason`
   */
  connected(options?: WaitOptions): Promise<Peer<C>>;
  /**
   * Makes no further calls: they reject with `session-closed`, and so do those that
   * wait. The peers stay open, and calls in flight go on. Idempotent.
   */
  close(): void;
  /** Same as {@linkcode close}. */
  [Symbol.dispose](): void;
}

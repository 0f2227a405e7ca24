/**
 * What a listener is to programs, and what it makes of its connections, in types
 * alone.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { ConnectionInfo, WaitOptions } from "../../mux/internal.ts";
import type { CloseOptions } from "../close_options.ts";
import type { ErrorContext, Peer } from "../peer.ts";

/** Options for accepting connections. */
export interface ListenerOptions {
  /**
   * Called for every connection before any byte of it is read. `true` accepts the
   * connection; if it returns `false` or throws, the connection is closed. Anything
   * else closes it as well, and is a `TypeError` for `onError`. Other connections are
   * accepted while its promise is pending. Default: every connection is accepted.
   */
  accept?:
    | ((connection: ConnectionInfo) => boolean | Promise<boolean>)
    | undefined;
  /**
   * Called with what `accept` throws, and with a `TalkError` whose code is
   * `limit-exceeded` when the listener closes a connection because `maxSessions`
   * are open (once, until there is room again); `out-of-resources` when the process
   * has no file descriptor left for a connection (once, until none was missing for
   * ten seconds); `timeout` when a connection has exceeded `handshakeTimeout`;
   * `handshake-failed` when a TLS handshake has failed, with the `TlsError` as its
   * `cause`; or `listen-failed` when a listener at a `peer:` address has lost its
   * name and cannot register it again, or another listener with the same key takes it
   * (once for several errors of one kind in a row; it goes on trying), or when the
   * function in the option `tls` throws or returns what is not valid (once for several
   * errors in a row). Also called when `listenSession()` closes a session that no loop
   * has taken, see {@linkcode Listener.skipped}. Default: what `accept` throws is printed to standard
   * error, at most 20 errors in ten seconds.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
}

/**
 * Options of listeners whose connections become peers.
 *
 * @typeParam C what their codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer
 * @typeParam Connection what is known about a connection
 */
export interface PeerListenerOptions<
  C extends Carried = Carried,
  Context = unknown,
  Connection extends ConnectionInfo = ConnectionInfo,
> {
  /**
   * Called with every new peer and what is known about its connection, before any
   * of its calls is handled. What it returns, or sets as `peer.context`, is the
   * context of the peer, which handlers get as `call.peer.context`. (Write `onPeer`
   * before a `handler` that uses it, so that TypeScript infers the type.)
   *
   * If it returns a promise, the peer's calls wait until that resolves, and the
   * listener's loops get the peer afterwards. Up to `maxQueuedCalls` wait, with
   * their arguments unread; further ones fail with `busy: ...`. Meanwhile, `onPeer`
   * can call the peer, which may use callbacks that were sent to it; all other
   * calls of the peer wait. `peer.signal` aborts if the peer leaves.
   *
   * To refuse a peer, throw: `false` is a context like any other value. If it
   * throws or rejects, or takes longer than `handshakeTimeout`, the peer is closed,
   * none of its calls is handled, and the error goes to `onError` with the peer.
   * Default: every peer is admitted, and its context is undefined.
   */
  onPeer?:
    | ((
      peer: Peer<NoInfer<C>>,
      connection: Connection,
    ) => Context | Promise<Context>)
    | undefined;
}

/**
 * Accepts connections. Made by `listen()`, `listenSession()` and
 * `serveWebSocket()`.
 *
 * Iterating over a listener yields the peers (or sessions) accepted from then on.
 * Several loops may run at once, and leaving one does not affect the listener. An
 * iterator keeps up to 128 peers that its loop has not reached; it skips further
 * ones, and {@linkcode skipped} counts them. To stop waiting for a peer, call the
 * iterator's `next({ signal })`.
 *
 * A peer answers calls whether or not a loop gets it; code that must run for every
 * peer belongs in `onPeer`. A session of `listenSession()` is useful only if a loop
 * gets it. Up to 128 sessions wait for a loop. Further ones are closed, as are
 * those that all loops have skipped.
 */
export interface Listener<T> extends AsyncDisposable {
  /** The address to dial, with the port that was chosen for port 0. */
  readonly addr: string;
  /**
   * Resolves when the listener no longer accepts connections and everything
   * accepted has ended; rejects if accepting failed. It never causes an
   * unhandled rejection.
   */
  readonly closed: Promise<void>;
  /**
   * How many peers or sessions were skipped, because 128 were already waiting in an
   * iterator or, before there was one, for the first iterator.
   */
  readonly skipped: number;
  /**
   * Stops accepting connections and closes all that were accepted. Idempotent.
   *
   * @param options whether peers drain first, as in {@linkcode Peer.close}
   * @throws {RangeError} if `drainTimeout` is out of range
   */
  close(options?: CloseOptions): Promise<void>;
  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Iterates over what is accepted from now on, until the listener closes. */
  [Symbol.asyncIterator](): AsyncIterator<
    T,
    undefined,
    WaitOptions | undefined
  >;
}

/** Something that can be closed: a peer, a session or a listener. */
export interface Closable {
  /** Settles when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it. */
  close(options?: CloseOptions): Promise<void>;
}

/** Reports an error of a listener, which may be one of a peer that it made. */
export type Report = (error: unknown, peer?: Peer) => void;

/**
 * How a listener treats the items (peers or sessions) that it makes from
 * connections.
 */
export interface AcceptRules<T> {
  /** Asks the program whether to admit an item. Default: all are admitted. */
  admit?: (
    item: T,
    connection: ConnectionInfo,
    report: Report,
  ) => boolean | Promise<boolean>;
  /**
   * How often an item was used; `Infinity` while it is. Default: all items count
   * as in use.
   */
  uses?: (item: T) => number;
  /** Whether an item is useless unless a loop gets it. Default: false. */
  needsLoop?: boolean;
}

import type { Carried } from "../../codec/internal.ts";
import { callHook } from "../../call_hook.ts";
import { checkOption, checkTime, TIME_RANGE } from "../../check_option.ts";
import { isPermitted } from "../../decision.ts";
import {
  type AbortableTransport,
  type Accepted,
  type ConnectionInfo,
  DEFAULT_MEMORY_POOL_OPTIONS,
  type HandshakeLimit,
  type MemoryPool,
  memoryPool,
  type Pem,
  resolveOptions,
  type SessionOptions,
  sessionOver,
  type Transport,
  type TransportListener,
  type WaitOptions,
} from "../../mux/internal.ts";
import { MAX_DELAY, timeLimit } from "../../time_limit.ts";
import {
  AcceptIterator,
  AcceptLoop,
  type Offer,
  QUEUE_LENGTH,
} from "./accept_loop.ts";
import { Server } from "../../rpc/internal_server.ts";
import { errorPrinter, TalkError } from "../errors.ts";
import {
  admit,
  checkCloseOptions,
  type CloseOptions,
  type ErrorContext,
  loadedServer,
  Peer,
  type PeerOptions,
  type PeerWith,
  uses,
} from "../peer.ts";

/** Limits of all sessions of a listener together. */
export interface SharedLimits {
  /**
   * Sessions that may be open at once, including connections that `accept` has not
   * decided about. `whenFull` says which connection is closed beyond that number.
   * Default: that of the pool, 1,024. Range: 1 to 2^30.
   */
  maxSessions?: number | undefined;
  /**
   * Which connection is closed when `maxSessions` are open: the new one
   * (`"refuse"`), or the open one that has been silent longest (`"evict"`). A
   * connection is silent as long as there has been no call on it in either
   * direction, or no channel if it is one of `listenSession()`. Connections that
   * have been used are never evicted; if all have been used, the new one is closed.
   * With `"evict"`, silent connections are also closed when the process has no file
   * descriptor left for a new one. Default: `"refuse"`.
   */
  whenFull?: "refuse" | "evict" | undefined;
  /**
   * Milliseconds that a connection may take for the handshake of its transport,
   * which is that of TLS or the request of a WebSocket, then for `accept`, and then
   * for `onPeer`. After that it is closed, and `onError` is called with `timeout`.
   * There is no limit on the time until the first call. (`serveWebSocket()` does
   * not limit the handshake, which the HTTP server performs.) A number of at least
   * 0; above 2^31 - 1 there is no limit. Default: 30,000.
   */
  handshakeTimeout?: number | undefined;
  /**
   * Milliseconds without a call in either direction, or without a channel for
   * `listenSession()`, after which a session is closed; closing may take up to half
   * as long again. A session is in use while a call is in progress; spare channels
   * do not count. A number of at least 1; above 2^31 - 1 there is no limit.
   * Default: no limit.
   */
  sessionIdleTimeout?: number | undefined;
  /**
   * The memory that the sessions share. Pass the same pool to several listeners
   * to bound them together. Default: a pool of 256 MiB for this listener.
   */
  memoryPool?: MemoryPool | undefined;
  /**
   * Limits of each session. Default: those of `qmux()`, with the `memoryPool` of
   * the listener.
   */
  session?: SessionOptions | undefined;
}

/** The limits of a listener, with their defaults. */
export interface ResolvedSharedLimits {
  readonly maxSessions: number;
  readonly whenFull: "refuse" | "evict";
  readonly handshakeTimeout: number;
  readonly sessionIdleTimeout: number;
  readonly memoryPool: MemoryPool;
  readonly session: SessionOptions;
}

/** Milliseconds that a connection may take until it is ready. */
export const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

/**
 * Returns the limits of a listener, with their defaults.
 *
 * @throws {RangeError} if one of them is out of range
 */
export function resolveSharedLimits(
  options: SharedLimits,
): ResolvedSharedLimits {
  const { session } = options;
  const given = options.memoryPool ?? session?.memoryPool;
  const {
    maxSessions = given?.maxSessions ?? DEFAULT_MEMORY_POOL_OPTIONS.maxSessions,
    whenFull = "refuse",
    handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT,
    sessionIdleTimeout = Infinity,
  } = options;
  checkOption("maxSessions", maxSessions, { min: 1, max: 2 ** 30 });
  checkTime("handshakeTimeout", handshakeTimeout);
  checkOption("sessionIdleTimeout", sessionIdleTimeout, {
    ...TIME_RANGE,
    min: 1,
  });
  if (whenFull !== "refuse" && whenFull !== "evict") {
    throw new RangeError(
      `Cannot use option "whenFull": ${
        String(whenFull)
      } is not "refuse" or "evict"`,
    );
  }
  // Checked now, and not when the first connection is accepted.
  resolveOptions(session);
  const pool = given ?? memoryPool({ maxSessions });
  return {
    maxSessions: Math.min(maxSessions, pool.maxSessions),
    whenFull,
    handshakeTimeout,
    sessionIdleTimeout,
    memoryPool: pool,
    session: { ...session, memoryPool: pool },
  };
}

/** Options for accepting connections. */
export interface ListenerOptions {
  /**
   * Called for every connection before any byte of it is read. If it returns
   * `false` or throws, the connection is closed, and also if it returns no boolean,
   * which is an error. Other connections are accepted while its promise is pending.
   * Default: every connection is accepted.
   */
  accept?:
    | ((connection: ConnectionInfo) => boolean | Promise<boolean>)
    | undefined;
  /**
   * Called with what `accept` throws, and with a `TalkError` whose code is
   * `limit-exceeded` when the listener closes a connection because `maxSessions`
   * are open (once, until there is room again); `out-of-resources` when the process
   * has no file descriptor left for a connection (once, until none was missing for
   * ten seconds); `timeout` when a connection has exceeded `handshakeTimeout`; or
   * `handshake-failed` when a TLS handshake has failed, with the `TlsError` as its
   * `cause`. Also called when `listenSession()` closes a session that no loop has
   * taken, see {@linkcode Listener.skipped}. Default: what `accept` throws is
   * printed to standard error, at most 20 errors in ten seconds.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
}

/**
 * Options of listeners whose connections become peers.
 *
 * @typeParam C what their codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer
 */
export interface PeerListenerOptions<
  C extends Carried = Carried,
  Context = unknown,
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
   * It refuses a peer by an error: `false` is a context like any other value. If it
   * throws or rejects, or takes longer than `handshakeTimeout`, the peer is closed, none of its calls is handled, and the error goes to `onError` with the
   * peer. Default: every peer is admitted, and its context is undefined.
   */
  onPeer?:
    | ((
      peer: Peer<NoInfer<C>>,
      connection: ConnectionInfo,
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

/** Makes a peer or session of each connection of a transport listener. */
export class ConnectionListener<T extends Closable> implements Listener<T> {
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #make: (transport: Transport) => T;
  readonly #allow: ListenerOptions["accept"];
  readonly #limits: ResolvedSharedLimits;
  readonly #loop: AcceptLoop<Accepted>;
  readonly #onError: NonNullable<ListenerOptions["onError"]>;
  /** Whether there was no room for the last connection, which was reported. */
  #isFull = false;
  /**
   * Everything that is open, and connections that await the hook's decision, each
   * with its transport.
   */
  readonly #active = new Map<Closable, Transport>();
  /** The items that were never seen in use, the oldest first. */
  readonly #silent = new Set<Closable>();
  /** The connections that await the hook's decision. */
  readonly #asked = new Set<Closable>();
  readonly #iterators = new Set<AcceptIterator<T>>();
  readonly #rules: AcceptRules<T>;
  /** Items that wait for a loop, if they are useless without one. */
  readonly #unclaimed = new Set<T>();
  #skipped = 0;
  readonly #closed = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  /** The error that made the listener give up. */
  #failure: unknown;

  /** Starts to accept connections; if `make` throws, the listener ends. */
  constructor(
    source: TransportListener,
    make: (transport: Transport) => T,
    options: ListenerOptions,
    limits: ResolvedSharedLimits = resolveSharedLimits({}),
    rules: AcceptRules<T> = {},
  ) {
    this.addr = source.addr;
    this.#source = source;
    this.#make = make;
    this.#allow = options.accept;
    this.#onError = options.onError ?? errorPrinter();
    this.#limits = limits;
    this.#rules = rules;
    this.#closed.promise.catch(() => {});
    this.#loop = new AcceptLoop(source, {
      take: (accepted) => this.#take(accepted),
      onExhausted: (error) => this.#report(error),
      whileExhausted: () => this.#evict(),
    });
    void this.#run();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get skipped(): number {
    return this.#skipped;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkCloseOptions(options);
    if (this.#state === "open") {
      this.#state = "closing";
      this.#source.close();
      this.#loop.stop();
    }
    const items = [...this.#active.keys()];
    await Promise.all(items.map((item) => item.close(options)));
    await this.#closed.promise.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AcceptIterator<T> {
    const iterator: AcceptIterator<T> = new AcceptIterator((left) => {
      this.#iterators.delete(iterator);
      for (const offer of left) this.#keep(offer);
    });
    if (this.#state !== "ended") {
      for (const item of this.#unclaimed) {
        iterator.push({ item, holders: 0, taken: false });
      }
      this.#unclaimed.clear();
    }
    if (this.#state === "open") this.#iterators.add(iterator);
    else iterator.end();
    return iterator;
  }

  async #run(): Promise<void> {
    try {
      await this.#loop.run();
    } catch (error) {
      this.#failure = error;
    }
    this.#source.close();
    while (this.#active.size > 0) {
      const items = [...this.#active.keys()];
      await Promise.allSettled(items.map((item) => item.closed));
    }
    this.#state = "ended";
    for (const iterator of this.#iterators) iterator.end();
    this.#iterators.clear();
    if (this.#failure === undefined) this.#closed.resolve();
    else this.#closed.reject(this.#failure);
  }

  async #take(accepted: Accepted): Promise<void> {
    const limit = this.#limitReached();
    if (limit === undefined) this.#isFull = false;
    else {
      const evicted = await this.#evict();
      if (!this.#isFull) this.#reportLimit(limit, evicted);
      this.#isFull = true;
      if (!evicted) return void discard(accepted.transport);
    }
    if (this.#allow === undefined || this.#state !== "open") {
      this.#serve(accepted);
    } else void this.#ask(this.#allow, accepted);
  }

  /** Why there may be no further session; undefined if there may be one. */
  #limitReached(): string | undefined {
    const { maxSessions, memoryPool } = this.#limits;
    const { size } = this.#active;
    if (size >= maxSessions) {
      return `${size} sessions are open, the limit of the listener`;
    }
    const { sessions } = memoryPool.usage;
    return sessions >= memoryPool.maxSessions
      ? `${sessions} sessions are open, the limit of its memory pool`
      : undefined;
  }

  /**
   * Closes the item that has been silent longest, if the program wants that
   * (`whenFull`). It is closed at once, because nothing is in flight. Returns
   * whether there was one.
   */
  async #evict(): Promise<boolean> {
    if (this.#limits.whenFull !== "evict") return false;
    for (const item of this.#silent) {
      this.#silent.delete(item);
      // An item that has been used is never checked again.
      if (this.#usesOf(item) > 0) continue;
      const transport = this.#active.get(item)!;
      void item.close();
      abort(transport);
      await item.closed.catch(() => {});
      return true;
    }
    return false;
  }

  #usesOf(item: Closable): number {
    // A connection that awaits the decision of the hook is not an item yet.
    if (this.#asked.has(item)) return 0;
    return this.#rules.uses?.(item as T) ?? Infinity;
  }

  #reportLimit(limit: string, evicted: boolean): void {
    const message = evicted
      ? `Cannot keep all connections: ${limit}; the one that was silent longest was closed`
      : `Cannot accept connection: ${limit}`;
    this.#report(new TalkError("limit-exceeded", message));
  }

  #report(error: unknown, peer?: Peer): void {
    callHook(() => this.#onError(error, { peer, selector: undefined }));
  }

  /** Serves a connection if the hook accepts it. Closing does not await the hook. */
  async #ask(
    allow: NonNullable<ListenerOptions["accept"]>,
    accepted: Accepted,
  ): Promise<void> {
    const { transport } = accepted;
    const decided = Promise.withResolvers<void>();
    let refused = false;
    const refuse = async () => {
      refused = true;
      decided.resolve();
      await discard(transport);
    };
    const waiting: Closable = { closed: decided.promise, close: refuse };
    this.#asked.add(waiting);
    this.#track(waiting, transport);
    const { handshakeTimeout } = this.#limits;
    const cancel = timeLimit(handshakeTimeout, () => {
      const what = "accept connection";
      this.#report(tookTooLong(what, '"accept"', handshakeTimeout));
      void refuse();
    });
    void decided.promise.then(cancel);
    let allowed = false;
    try {
      allowed = isPermitted("accept", await allow(infoOf(accepted)));
    } catch (error) {
      // A hook that throws refuses the connection.
      this.#report(error);
    }
    if (!allowed || refused) return await refuse();
    this.#serve(accepted);
    decided.resolve();
  }

  #serve(accepted: Accepted): void {
    const { transport } = accepted;
    if (this.#state !== "open") return void discard(transport);
    let item: T;
    try {
      item = this.#make(transport);
    } catch (error) {
      // The connection is not the cause: all others would fail, too.
      void discard(transport);
      this.#failure = error;
      return this.#source.close();
    }
    this.#track(item, transport);
    const report: Report = (error, peer) => this.#report(error, peer);
    const admitted = this.#rules.admit?.(item, infoOf(accepted), report) ??
      true;
    if (admitted === true) this.#admitted(item);
    else if (admitted !== false) {
      void admitted.then((admitted) => {
        if (admitted && this.#state === "open") this.#admitted(item);
      });
    }
  }

  #admitted(item: T): void {
    this.#offer(item);
    const { sessionIdleTimeout } = this.#limits;
    if (sessionIdleTimeout <= MAX_DELAY) this.#watchUse(item);
  }

  /** Closes an item when it has not been used for `sessionIdleTimeout`. */
  #watchUse(item: T): void {
    const interval = this.#limits.sessionIdleTimeout / 2;
    let seen = this.#usesOf(item);
    let quiet = 0;
    let cancel: () => void;
    const check = () => {
      const uses = this.#usesOf(item);
      quiet = uses === seen && uses !== Infinity ? quiet + 1 : 0;
      seen = uses;
      // Closed after two checks in a row that found no use since the previous one.
      if (quiet === 2) void item.close();
      else cancel = timeLimit(interval, check);
    };
    cancel = timeLimit(interval, check);
    const end = () => cancel();
    item.closed.then(end, end);
  }

  /** Gives an item to all loops. */
  #offer(item: T): void {
    const offer: Offer<T> = { item, holders: 0, taken: false };
    for (const iterator of this.#iterators) {
      if (!iterator.push(offer)) this.#skipped++;
    }
    this.#keep(offer);
  }

  /** Keeps an item for the next loop, or closes it, if it needs a loop. */
  #keep({ item, holders, taken }: Offer<T>): void {
    if (!this.#rules.needsLoop || taken || holders > 0) return;
    if (this.#state !== "open" || !this.#active.has(item)) return;
    if (this.#iterators.size === 0) {
      if (this.#unclaimed.size < QUEUE_LENGTH) {
        this.#unclaimed.add(item);
        return;
      }
      this.#skipped++;
    }
    void item.close();
    const message =
      `Cannot accept session: ${QUEUE_LENGTH} sessions wait for a loop over the listener`;
    this.#report(new TalkError("limit-exceeded", message));
  }

  #track(item: Closable, transport: Transport): void {
    this.#active.set(item, transport);
    if (this.#limits.whenFull === "evict") this.#silent.add(item);
    const ended = () => {
      this.#active.delete(item);
      this.#silent.delete(item);
      this.#asked.delete(item);
      this.#unclaimed.delete(item as T);
    };
    item.closed.then(ended, ended);
  }
}

/** What hooks get: a copy, not the connection itself. */
function infoOf(
  { remoteAddr, request, tls, way, via }: Accepted,
): ConnectionInfo {
  const info = { remoteAddr, request, tls };
  if (way === undefined) return info;
  return Object.defineProperty(info, "way", {
    get: () => via === undefined ? way : via.way,
    enumerable: true,
  });
}

/** Closes a connection at once. */
function abort(transport: AbortableTransport): void {
  transport.abort?.();
  void discard(transport);
}

/** Closes a connection without a peer. */
async function discard(transport: Transport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // The connection is not used in either case.
  }
}

/** Makes a peer of each connection, and asks `onPeer` about it. */
export function peerListener<C extends Carried, Context>(
  source: TransportListener,
  options:
    & PeerOptions<C, NoInfer<Context>>
    & PeerListenerOptions<C, Context>
    & Pick<ListenerOptions, "accept">
    & { readonly tls?: { readonly cert: Pem } | undefined },
  limits: ResolvedSharedLimits,
): ConnectionListener<PeerWith<C, Context>> {
  // One for all peers: it prints at a limited rate.
  const { accept, onPeer, onError = errorPrinter() } = options;
  const shared = { ...options, onError, [loadedServer]: Server } as PeerOptions<
    C
  >;
  const { handshakeTimeout } = limits;
  return new ConnectionListener<PeerWith<C, Context>>(
    source,
    (transport) =>
      new Peer(sessionOver(transport, limits.session), shared) as PeerWith<
        C,
        Context
      >,
    { accept, onError },
    limits,
    {
      uses: (peer) => peer[uses],
      admit(peer, connection, report) {
        const admitted = peer[admit](
          connection,
          onPeer && (() => onPeer(peer, connection)),
          options.tls?.cert,
        );
        if (typeof admitted === "boolean") return admitted;
        const cancel = timeLimit(handshakeTimeout, () => {
          report(tookTooLong("admit peer", '"onPeer"', handshakeTimeout), peer);
          void peer.close();
        });
        void peer.closed.then(cancel, cancel);
        return admitted.finally(cancel);
      },
    },
  );
}

/** How a transport limits its handshakes, and reports those that take too long. */
export function handshakeLimit(
  { handshakeTimeout: timeout }: ResolvedSharedLimits,
  onError: ListenerOptions["onError"],
): HandshakeLimit {
  const report = (error: TalkError) =>
    callHook(() => onError?.(error, { peer: undefined, selector: undefined }));
  return {
    timeout,
    onTimeout(remoteAddr) {
      const what = `accept connection from "${remoteAddr}"`;
      report(tookTooLong(what, "its handshake", timeout));
    },
    onFailure(cause, remoteAddr) {
      const message =
        `Cannot accept connection from "${remoteAddr}": ${cause.message}`;
      report(new TalkError("handshake-failed", message, { cause }));
    },
  };
}

/**
 * The error of a connection that is not ready in time.
 *
 * @param what what was attempted
 * @param subject what took too long
 * @param ms the limit
 */
function tookTooLong(
  what: string,
  subject: string,
  ms: number,
): TalkError {
  return new TalkError(
    "timeout",
    `Cannot ${what}: ${subject} took longer than ${ms} ms (option "handshakeTimeout")`,
  );
}

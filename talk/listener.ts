import type { Carried } from "../codec/internal.ts";
import { checkOption } from "../check_option.ts";
import {
  type Accepted,
  type ConnectionInfo,
  DEFAULT_MEMORY_POOL_OPTIONS,
  type MemoryPool,
  memoryPool,
  resolveOptions,
  type SessionOptions,
  type Transport,
  type TransportListener,
  type WaitOptions,
} from "../mux/internal.ts";
import { errorPrinter } from "./error_printer.ts";
import { TalkError } from "./errors.ts";
import { AcceptIterator, type Offer, QUEUE_LENGTH } from "./accept_iterator.ts";
import {
  checkCloseOptions,
  type CloseOptions,
  type ErrorContext,
  type Peer,
} from "./peer.ts";

/** What the sessions of a listener may take together. */
export interface SharedLimits {
  /**
   * Sessions that may be open at once, including connections that `accept` has
   * not decided about. Connections beyond that number are closed at once.
   * Default: that of the pool, 1,024. Range: 1 to 2^30.
   */
  maxSessions?: number | undefined;
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
  readonly memoryPool: MemoryPool;
  readonly session: SessionOptions;
}

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
  } = options;
  checkOption("maxSessions", maxSessions, { min: 1, max: 2 ** 30 });
  // Checked now, and not when the first connection is accepted.
  resolveOptions(session);
  const pool = given ?? memoryPool({ maxSessions });
  return {
    maxSessions: Math.min(maxSessions, pool.maxSessions),
    memoryPool: pool,
    session: { ...session, memoryPool: pool },
  };
}

/** Options for accepting connections. */
export interface ListenerOptions {
  /**
   * Decides about every connection before any byte of it is read. If it returns
   * `false` or throws, the connection is closed. Other connections are accepted
   * while it is pending. Default: every connection is accepted.
   */
  accept?:
    | ((connection: ConnectionInfo) => boolean | Promise<boolean>)
    | undefined;
  /**
   * Called with what `accept` throws; with `limit-exceeded` when the listener
   * closes a connection because `maxSessions` are open: once, until a session has
   * ended; and when `listenSession()` closes a session that no loop has taken, see
   * {@linkcode Listener.skipped}. Default: what `accept` throws is printed to
   * standard error, at most 20 errors in ten seconds.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
}

/**
 * Options of listeners whose connections become peers.
 *
 * @typeParam C what their codec carries besides JSON's values
 * @typeParam Context what the program knows of a peer
 */
export interface PeerListenerOptions<
  C extends Carried = Carried,
  Context = unknown,
> {
  /**
   * Called with every new peer, before any of its calls is handled, and with what
   * is known of its connection. What it returns, or sets as `peer.context`, is the
   * context of the peer, which handlers have as `call.peer.context`. (Write `onPeer`
   * before a `handler` that uses it, so that TypeScript infers the type.)
   *
   * If it returns a promise, the peer's calls wait until that resolves, and the
   * listener's loops get the peer afterwards. Up to `maxQueuedCalls` wait, with
   * their arguments unread; further ones fail with `busy: …`. Meanwhile, `onPeer`
   * can call the peer, which may use callbacks that were sent to it; its other calls
   * back wait, too. `peer.signal` tells that the peer has left.
   *
   * If it throws or rejects, the peer is closed, none of its calls is handled, and
   * the error goes to `onError` with the peer. Default: every peer is admitted, and
   * its context is undefined.
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
 * Iterating a listener gives the peers (or sessions) accepted from then on;
 * several loops may run at once, and leaving one does not affect the listener.
 * An iterator keeps up to 128 of them that its loop has not reached; it skips any
 * further, and {@linkcode skipped} counts them. To give up waiting for one peer,
 * call the iterator's `next({ signal })`.
 *
 * A peer answers calls whether or not a loop gets it; what has to be done for every
 * peer belongs in `onPeer`. A session of `listenSession()` is of no use unless a
 * loop gets it. Up to 128 that no loop has taken wait for the next one. Further
 * ones are closed, as are those that all loops have skipped.
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
   * How often an iterator has skipped a peer or a session, because 128 were waiting
   * in it already, or no loop was there and as many were waiting for one.
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

/** What a connection becomes: a peer, or a session. */
export interface Closable {
  /** Settles when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it. */
  close(options?: CloseOptions): Promise<void>;
}

/** Milliseconds until accepting is retried, such as when no files are left. */
const RETRY_DELAY = 50;
/** Consecutive failures after which the listener gives up. */
const MAX_FAILURES = 100;

/** What is done with what a listener makes of its connections. */
export interface AcceptRules<T> {
  /** Asks the program whether it wants an item. Default: it wants all. */
  admit?: (item: T, connection: ConnectionInfo) => boolean | Promise<boolean>;
  /** Whether an item is of no use unless a loop gets it. Default: false. */
  needsLoop?: boolean;
}

/** Makes a peer or session of each connection of a transport listener. */
export class ConnectionListener<T extends Closable> implements Listener<T> {
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #make: (transport: Transport) => T;
  readonly #allow: ListenerOptions["accept"];
  readonly #limits: Pick<ResolvedSharedLimits, "maxSessions" | "memoryPool">;
  readonly #onError: NonNullable<ListenerOptions["onError"]>;
  /** Whether `onError` was called since there was last room for a session. */
  #isFull = false;
  /** Everything that is open, and connections that await the hook's decision. */
  readonly #active = new Set<Closable>();
  readonly #iterators = new Set<AcceptIterator<T>>();
  readonly #rules: AcceptRules<T>;
  /** What waits for a loop, if it is of no use without one. */
  readonly #unclaimed = new Set<T>();
  #skipped = 0;
  readonly #closed = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  #retryNow: (() => void) | undefined;
  /** The error that made the listener give up. */
  #failure: unknown;

  /** Starts to accept connections; `make` may not fail for one of them alone. */
  constructor(
    source: TransportListener,
    make: (transport: Transport) => T,
    options: ListenerOptions,
    limits: Pick<ResolvedSharedLimits, "maxSessions" | "memoryPool"> =
      resolveSharedLimits({}),
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
      this.#retryNow?.();
    }
    await Promise.all([...this.#active].map((item) => item.close(options)));
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
    for (let failures = 0; failures < MAX_FAILURES;) {
      try {
        const accepted = await this.#source.accept();
        if (accepted === null) break;
        failures = 0;
        if (!this.#hasRoom()) void discard(accepted.transport);
        else if (this.#allow === undefined) this.#serve(accepted);
        else void this.#ask(this.#allow, accepted);
      } catch (error) {
        // A connection ended before it was accepted, or no files are left.
        if (++failures === MAX_FAILURES) this.#failure = error;
        else await this.#waitToRetry();
      }
    }
    this.#source.close();
    while (this.#active.size > 0) {
      await Promise.allSettled([...this.#active].map((item) => item.closed));
    }
    this.#state = "ended";
    for (const iterator of this.#iterators) iterator.end();
    this.#iterators.clear();
    if (this.#failure === undefined) this.#closed.resolve();
    else this.#closed.reject(this.#failure);
  }

  /** Whether there may be another session. */
  #hasRoom(): boolean {
    const { maxSessions, memoryPool } = this.#limits;
    const here = this.#active.size;
    const { sessions } = memoryPool.usage;
    const full = here >= maxSessions || sessions >= memoryPool.maxSessions;
    if (full && !this.#isFull) {
      const [open, what] = here >= maxSessions
        ? [here, "the listener"]
        : [sessions, "its memory pool"];
      this.#reportLimit(
        `Cannot accept connection: ${open} sessions are open, the limit of ${what}`,
      );
    }
    this.#isFull = full;
    return !full;
  }

  #reportLimit(message: string): void {
    this.#report(new TalkError("limit-exceeded", message));
  }

  #report(error: unknown): void {
    try {
      this.#onError(error, { peer: undefined, selector: undefined });
    } catch (mistake) {
      // An uncaught error is right, but the listener must go on.
      queueMicrotask(() => {
        throw mistake;
      });
    }
  }

  /** Serves a connection if the hook accepts it. Closing does not await the hook. */
  async #ask(
    allow: NonNullable<ListenerOptions["accept"]>,
    accepted: Accepted,
  ): Promise<void> {
    const { transport } = accepted;
    const decided = Promise.withResolvers<void>();
    const refuse = async () => {
      decided.resolve();
      await discard(transport);
    };
    this.#track({ closed: decided.promise, close: refuse });
    let allowed = false;
    try {
      allowed = await allow(infoOf(accepted));
    } catch (error) {
      // A hook that throws refuses the connection.
      this.#report(error);
    }
    if (!allowed) return await refuse();
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
      // The connection is not the cause: every other one would fail too.
      void discard(transport);
      this.#failure = error;
      return this.#source.close();
    }
    this.#track(item);
    const admitted = this.#rules.admit?.(item, infoOf(accepted)) ?? true;
    if (admitted === true) this.#offer(item);
    else if (admitted !== false) {
      void admitted.then((admitted) => {
        if (admitted && this.#state === "open") this.#offer(item);
      });
    }
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
    this.#reportLimit(
      `Cannot accept session: ${QUEUE_LENGTH} sessions wait for a loop over the listener`,
    );
  }

  #track(item: Closable): void {
    this.#active.add(item);
    const ended = () => {
      this.#active.delete(item);
      this.#unclaimed.delete(item as T);
    };
    item.closed.then(ended, ended);
  }

  /** Waits until accepting is to be retried, or the listener closes. */
  async #waitToRetry(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      if (this.#state !== "open") return resolve();
      this.#retryNow = resolve;
      timer = setTimeout(resolve, RETRY_DELAY);
    });
    clearTimeout(timer);
    this.#retryNow = undefined;
  }
}

/** What hooks are given, which is not the connection itself. */
function infoOf({ remoteAddr, request, tls }: Accepted): ConnectionInfo {
  return { remoteAddr, request, tls };
}

/** Closes a connection without a peer. */
async function discard(transport: Transport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // The connection is not used in either case.
  }
}

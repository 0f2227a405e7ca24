import { checkOption } from "../check_option.ts";
import {
  type Accepted,
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
import { AcceptIterator } from "./accept_iterator.ts";
import {
  checkCloseOptions,
  type CloseOptions,
  type ErrorContext,
} from "./peer.ts";

/** What is known of a connection before any byte of it is read. */
export interface ConnectionInfo {
  /** The address of the peer. */
  remoteAddr: string;
}

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
   * Called with what `accept` throws, and with `limit-exceeded` when the listener
   * closes a connection because `maxSessions` are open: once, until a session has
   * ended. Default: what `accept` throws is printed to standard error, at most 20
   * errors in ten seconds.
   */
  onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
}

/**
 * Accepts connections. Made by `listen()`, `listenSession()` and
 * `serveWebSocket()`.
 *
 * Iterating a listener gives the peers (or sessions) accepted from then on;
 * several loops may run at once, and leaving one does not affect the listener.
 * An iterator keeps up to 128 peers that its loop has not reached; it skips any
 * further. To give up waiting for one peer, call the iterator's
 * `next({ signal })`.
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
  ) {
    this.addr = source.addr;
    this.#source = source;
    this.#make = make;
    this.#allow = options.accept;
    this.#onError = options.onError ?? errorPrinter();
    this.#limits = limits;
    this.#closed.promise.catch(() => {});
    void this.#run();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
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
    const iterator: AcceptIterator<T> = new AcceptIterator(() => {
      this.#iterators.delete(iterator);
    });
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
        else if (this.#allow === undefined) this.#serve(accepted.transport);
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
      const error = new TalkError(
        "limit-exceeded",
        `Cannot accept connection: ${open} sessions are open, the limit of ${what}`,
      );
      this.#report(error);
    }
    this.#isFull = full;
    return !full;
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
    { transport, remoteAddr }: Accepted,
  ): Promise<void> {
    const decided = Promise.withResolvers<void>();
    const refuse = async () => {
      decided.resolve();
      await discard(transport);
    };
    this.#track({ closed: decided.promise, close: refuse });
    let allowed = false;
    try {
      allowed = await allow({ remoteAddr });
    } catch (error) {
      // A hook that throws refuses the connection.
      this.#report(error);
    }
    if (!allowed) return await refuse();
    this.#serve(transport);
    decided.resolve();
  }

  #serve(transport: Transport): void {
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
    for (const iterator of this.#iterators) iterator.push(item);
  }

  #track(item: Closable): void {
    this.#active.add(item);
    const ended = () => this.#active.delete(item);
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

/** Closes a connection without a peer. */
async function discard(transport: Transport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // The connection is not used in either case.
  }
}

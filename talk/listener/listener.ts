import { isPermitted } from "../../decision.ts";
import type {
  AbortableTransport,
  Accepted,
  ConnectionInfo,
  Transport,
  TransportListener,
} from "../../mux/internal.ts";
import { MAX_DELAY, timeLimit } from "../../time_limit.ts";
import { errorPrinter, reporter, TalkError } from "../errors.ts";
import { checkCloseOptions, type CloseOptions } from "../close_options.ts";
import { AcceptLoop } from "./accept_loop.ts";
import { type AcceptIterator, Iterators, QUEUE_LENGTH } from "./iterators.ts";
import {
  type ResolvedSharedLimits,
  resolveSharedLimits,
  tookTooLong,
} from "./limits.ts";
import type {
  AcceptRules,
  Closable,
  Listener,
  ListenerOptions,
  Report,
} from "./types.ts";

/** Makes a peer or session of each connection of a transport listener. */
export class ConnectionListener<T extends Closable> implements Listener<T> {
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #make: (transport: Transport) => T;
  readonly #allow: ListenerOptions["accept"];
  readonly #limits: ResolvedSharedLimits;
  readonly #loop: AcceptLoop<Accepted>;
  readonly #report: Report;
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
  readonly #iterators: Iterators<T>;
  readonly #rules: AcceptRules<T>;
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
    this.#report = reporter(options.onError ?? errorPrinter());
    this.#limits = limits;
    this.#rules = rules;
    this.#iterators = new Iterators(
      !rules.needsLoop ? undefined : {
        mayWait: (item) => this.#state === "open" && this.#active.has(item),
        onUnclaimed: (item) => this.#giveUp(item),
      },
    );
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
    return this.#iterators.skipped;
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
    return this.#iterators.add(this.#state === "open");
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
    this.#iterators.end();
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
    const admitted =
      this.#rules.admit?.(item, infoOf(accepted), this.#report) ??
        true;
    if (admitted === true) this.#admitted(item);
    else if (admitted !== false) {
      void admitted.then((admitted) => {
        if (admitted && this.#state === "open") this.#admitted(item);
      });
    }
  }

  #admitted(item: T): void {
    this.#iterators.offer(item);
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

  /** Closes an item that no loop gets. */
  #giveUp(item: T): void {
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
      this.#iterators.forget(item as T);
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

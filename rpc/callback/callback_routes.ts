import type { Handler } from "../types.ts";
import { callbackIdIn } from "../wire/selector.ts";
import { PointerFinder } from "./pointer_finder.ts";
import { isPrefix, prefixOf } from "./pointers.ts";

/** How many prefixes of IDs one session may have calls of. */
const MAX_PREFIXES = 4_096;

/**
 * At least so many IDs of the functions that a peer holds by way of this side are
 * remembered; more if `maxCallbacks` allows more.
 */
const MAX_LOANS = 4_096;

/** A session whose peer lends functions, or is lent them. */
export interface RoutedSession {
  /** The way back for functions that were lent to its peer, if there were any. */
  routes: CallbackRoutes | undefined;
  /** Whether it has ended. Default: no. */
  readonly ended?: boolean;
  /** Whether this side asks the peer of the session not to ping it. Default: no. */
  readonly refusesPings?: boolean;
  /** Whether the peer has asked not to be pinged. Default: no. */
  peerRefusesPings?: boolean;
  /** What the next call says of where it comes from. Default: nothing. */
  nextMark?: string | undefined;
  /** Calls back when it ends; returns what cancels that. */
  onEnd(callback: () => void): () => void;
}

/** Where the calls of functions go that begin with one prefix. */
interface Route {
  readonly source: RoutedSession;
  readonly handler: Handler;
  /** What the peer of the session holds of them, if anything was lent to it. */
  loans: Loans | undefined;
}

/** The functions of one peer that all others hold by way of this side. */
export class LentTotal {
  /** How many peers hold each. */
  readonly #holders = new Map<string, number>();
  /** How often peers were lent others, whose IDs are not remembered. */
  others = 0;

  /** How many there are: one that several peers hold counts once, as at its owner. */
  get size(): number {
    return this.#holders.size + this.others;
  }

  /**
   * Whether a peer may be lent more, one after the other: if it holds fewer functions
   * than could be lent to others, of `max` at all. So no peer can take all of them.
   *
   * @param max Default: any number
   * @param held how many it holds. Default: none
   * @param count how many more. Default: 1
   */
  hasRoom(max = Infinity, held = 0, count = 1): boolean {
    return held + this.size + 2 * (count - 1) < max;
  }

  /** So many more peers hold a function, or fewer. */
  add(id: string, peers: number): void {
    const now = (this.#holders.get(id) ?? 0) + peers;
    if (now > 0) this.#holders.set(id, now);
    else this.#holders.delete(id);
  }
}

/** Functions that a peer holds, each as often as it was lent it. */
class Holdings {
  readonly #counts = new Map<string, number>();
  /** How often it was lent others, whose IDs are not remembered. */
  #others = 0;
  /** How many IDs it remembers. */
  most: number;
  readonly #total: LentTotal;

  /** Makes an empty list of at most so many IDs, which counts in `total`. */
  constructor(most: number, total: LentTotal = new LentTotal()) {
    this.most = most;
    this.#total = total;
  }

  /** How many functions it holds. */
  get size(): number {
    return this.#counts.size + this.#others;
  }

  /** Whether it is known to hold a function. */
  has(id: string): boolean {
    return this.#counts.has(id);
  }

  /** It was lent a function, so many times. */
  add(id: string, count: number): void {
    const held = this.#counts.get(id);
    if (held === undefined && this.#counts.size >= this.most) {
      this.#addOthers(count);
    } else {
      this.#counts.set(id, (held ?? 0) + count);
      if (held === undefined) this.#total.add(id, 1);
    }
  }

  /** It gives a function back, so many times; returns how many of them it held. */
  take(id: string, count: number): number {
    const held = this.#counts.get(id) ?? 0;
    const known = Math.min(held, count);
    if (known < held) this.#counts.set(id, held - known);
    else this.delete(id);
    const others = Math.min(count - known, this.#others);
    this.#addOthers(-others);
    return known + others;
  }

  /** It does not hold a function any more, however often it was lent it. */
  delete(id: string): void {
    if (this.#counts.delete(id)) this.#total.add(id, -1);
  }

  #addOthers(count: number): void {
    this.#others += count;
    this.#total.others += count;
  }

  /** It does not hold what is in another list, after all. */
  remove(list: Holdings): void {
    for (const [id, count] of list.#counts) this.take(id, count);
    this.#addOthers(-Math.min(list.#others, this.#others));
  }

  /** Empties the list; returns what was remembered. */
  clear(): [id: string, count: number][] {
    const all = [...this.#counts];
    for (const [id] of all) this.delete(id);
    this.#addOthers(-this.#others);
    return all;
  }
}

/**
 * The functions and streams that were lent to the peer of one session by way of this
 * side, which releases what the peer leaves behind: their owner does not see the
 * peer's session end.
 */
export class Loans {
  readonly #release: (id: string, count: number) => void;
  readonly #held: Holdings;
  readonly #total: LentTotal;
  /** Calls whose functions the peer may still decline. */
  #undecided = 0;
  #ended = false;
  /** Forgets the session. */
  readonly cancel: () => void;

  /**
   * Makes a list of nothing.
   *
   * @param borrower the session to whose peer they are lent
   * @param release releases a function at its owner
   * @param total what all peers hold of the owner. Default: what this one holds
   */
  constructor(
    borrower: RoutedSession,
    release: (id: string, count: number) => void,
    total: LentTotal = new LentTotal(),
  ) {
    this.#release = release;
    this.#total = total;
    this.#held = new Holdings(MAX_LOANS, total);
    this.cancel = borrower.onEnd(() => {
      this.#ended = true;
      this.#settle();
    });
  }

  /**
   * Remembers so many IDs from now on, if that is more than before.
   *
   * @param most how many functions of the owner all peers may hold. Default: any number,
   * of which 4,096 are remembered
   */
  remember(most = 0): void {
    if (most > this.#held.most) this.#held.most = most;
  }

  /**
   * A call has a result that lends functions whose IDs begin with `prefix`.
   *
   * @param continued whether it continues: then the values that follow are the peer's
   * as they arrive, however the call ends. Default: no
   * @param mayLend called before the peer is lent a function that it does not hold,
   * until it returns that it may not: then the rest does not reach it. Default: it may
   */
  begin(
    prefix: string,
    continued = false,
    mayLend?: () => boolean,
  ): Loan {
    const lent = continued ? undefined : new Holdings(this.#held.most);
    /** What the caller does not get, until it is known which side releases it. */
    const lost = new Holdings(this.#held.most);
    let isTaken = continued ? true : undefined;
    let dropped = false;
    this.#undecided++;
    const finder = new PointerFinder((id) => {
      dropped ||= !this.#held.has(id) && mayLend?.() === false;
      if (!dropped) {
        lent?.add(id, 1);
        this.#held.add(id, 1);
      } else if (isTaken) this.#release(id, 1);
      else if (isTaken === undefined) lost.add(id, 1);
    }, prefix);
    return {
      onBytes: finder.add,
      onDropped: (bytes) => {
        dropped = true;
        finder.add(bytes);
      },
      end: (taken) => {
        // A result that was declined has lent nothing, as its sender knows.
        if (!taken && lent !== undefined) this.#held.remove(lent);
        isTaken ??= taken;
        const all = lost.clear();
        if (taken) { for (const [id, count] of all) this.#release(id, count); }
        this.#undecided--;
        this.#settle();
      },
    };
  }

  /** Whether the peer may be lent so many more: see {@linkcode LentTotal.hasRoom}. */
  hasRoom(max?: number, count?: number): boolean {
    return this.#total.hasRoom(max, this.#held.size, count);
  }

  /** Whether the peer is known to hold a function. */
  holds(id: string): boolean {
    return this.#held.has(id);
  }

  /** The owner has no longer what it had lent under an ID. */
  forget(id: string): void {
    this.#held.delete(id);
  }

  /** The peer holds a function, so many times more. */
  add(id: string, count: number): void {
    this.#held.add(id, count);
    this.#settle();
  }

  /**
   * The peer gives a function back, so many times, and at least once.
   *
   * @returns how many of them it held
   */
  giveBack(id: string, count: number): number {
    return this.#held.take(id, Math.max(count, 1));
  }

  #settle(): void {
    if (!this.#ended || this.#undecided > 0) return;
    for (const [id, count] of this.#held.clear()) this.#release(id, count);
  }
}

/** What one result lends. */
export interface Loan {
  /** Takes the bytes of the result, as they come. */
  readonly onBytes: (bytes: Uint8Array) => void;
  /** Takes bytes of the result that do not reach the caller, after the others. */
  readonly onDropped: (bytes: Uint8Array) => void;
  /**
   * The call has ended. Its caller has taken the result, as far as the sender knows, or
   * not: then the sender releases what is in a complete one.
   */
  readonly end: (taken: boolean) => void;
}

/**
 * The way back for calls of functions in what was forwarded to the peer of this
 * session: to the sessions that it came from.
 */
export class CallbackRoutes {
  readonly #byPrefix = new Map<string, Route>();
  /** How many of them each source has, and what cancels the wait for its end. */
  readonly #sources = new Map<
    RoutedSession,
    { count: number; cancel: () => void }
  >();
  #closed = false;

  /**
   * Functions whose IDs begin with `prefix` are called by way of `source`. The
   * first one that says so has them until its session ends.
   *
   * @param handlerTo makes the handler that forwards calls to the source
   */
  add(prefix: string, source: RoutedSession, handlerTo: () => Handler): void {
    if (this.#closed || this.#byPrefix.has(prefix) || !isPrefix(prefix)) return;
    const known = this.#sources.get(source);
    if (known === undefined) {
      const cancel = source.onEnd(() => this.#forget(source));
      this.#sources.set(source, { count: 1, cancel });
    } else if (known.count < MAX_PREFIXES) known.count++;
    else return;
    const handler = handlerTo();
    this.#byPrefix.set(prefix, { source, handler, loans: undefined });
  }

  #forget(source: RoutedSession): void {
    this.#sources.delete(source);
    for (const [prefix, route] of this.#byPrefix) {
      if (route.source !== source) continue;
      this.#byPrefix.delete(prefix);
      route.loans?.cancel();
    }
  }

  /** The session has ended: its sources, which may live on, forget it. */
  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#sources.values()) cancel();
    this.#sources.clear();
    this.#byPrefix.clear();
  }

  /**
   * What the peer of this session holds of the functions whose IDs begin with
   * `prefix`; undefined if they are not those of `source`.
   *
   * @param make makes the list, if there is none yet
   */
  loans(
    prefix: string,
    source: RoutedSession | undefined,
    make: () => Loans,
  ): Loans | undefined {
    const route = this.#byPrefix.get(prefix);
    if (route === undefined || route.source !== source) return undefined;
    return route.loans ??= make();
  }

  /** The list for an ID, if there is one. */
  loansOf(id: string): Loans | undefined {
    const prefix = prefixOf(id);
    return prefix === undefined ? undefined : this.#byPrefix.get(prefix)?.loans;
  }

  /** The handler for a selector that calls or releases such a function. */
  match(selector: string): Handler | undefined {
    if (this.#byPrefix.size === 0) return undefined;
    const prefix = prefixOf(callbackIdIn(selector));
    return prefix === undefined
      ? undefined
      : this.#byPrefix.get(prefix)?.handler;
  }
}

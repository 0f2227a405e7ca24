import {
  checkObject,
  type OptionRange,
  withDefaults,
} from "../../check_option.ts";
import { DeferredWrites } from "./deferred_writes.ts";
import { TurnBudget } from "./turns.ts";

/** Options of {@linkcode memoryPool}. */
export interface MemoryPoolOptions {
  /**
   * Bytes that all sessions of the pool together may hold. Default: 268,435,456
   * (256 MiB). Range: 0 to 2^53 - 1.
   */
  size?: number | undefined;
  /**
   * Sessions that the pool is for. Each of them is guaranteed an equal part of
   * three eighths of `size`; a listener closes the connections beyond that
   * number. Default: 1,024. Range: 1 to 2^30.
   */
  maxSessions?: number | undefined;
}

/** The defaults of {@linkcode MemoryPoolOptions}. */
export const DEFAULT_MEMORY_POOL_OPTIONS: Readonly<
  Record<keyof MemoryPoolOptions, number>
> = Object.freeze({
  // Half of a server of 512 MiB.
  size: 256 * 1024 * 1024,
  // Each is guaranteed 96 KiB, enough for a few dozen small calls at once.
  maxSessions: 1_024,
});

const RANGES: Record<keyof MemoryPoolOptions, OptionRange> = {
  size: { min: 0, max: Number.MAX_SAFE_INTEGER },
  maxSessions: { min: 1, max: 2 ** 30 },
};

/** What the sessions of a pool hold at one moment, for logs and metrics. */
export interface MemoryPoolUsage {
  /** Sessions that have not ended, or still hold memory. */
  sessions: number;
  /** Bytes that they hold. */
  held: number;
}

/** Memory that several sessions share. {@linkcode memoryPool} makes one. */
export interface MemoryPool {
  /** Bytes that all sessions together may hold. */
  readonly size: number;
  /** Sessions that the pool is for. */
  readonly maxSessions: number;
  /** What the sessions hold now. */
  readonly usage: MemoryPoolUsage;
}

/**
 * Makes a pool: memory that several sessions share, such as those of a listener,
 * of several listeners, or of a process. Each session is bounded by its own
 * `maxHeldSize`, all of them together by the pool.
 *
 * The pool is fair. Three eighths of it are guaranteed to its sessions, in equal
 * parts. Beyond its part, a session gets at most as much as it leaves free, so
 * sessions that take all they can leave some for the next. An eighth is reserved
 * for what handlers wait for, such as the answers to their own calls.
 *
 * @example One pool for two listeners
 * ```ts
 * import { listen, memoryPool } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const pool = memoryPool({ size: 64 * 1024 * 1024 });
 * await using _a = await listen("tcp://127.0.0.1:0", { memoryPool: pool });
 * await using _b = await listen("ws://127.0.0.1:0", { memoryPool: pool });
 * assertEquals(pool.usage, { sessions: 0, held: 0 });
 * ```
 *
 * @param options the size of the pool, and the number of sessions that it is for
 * @throws {RangeError} if an option is out of range
 */
export function memoryPool(options: MemoryPoolOptions = {}): MemoryPool {
  return new SessionPool(options);
}

/** A pool, as sessions see it that were given one. */
export interface SharedPool extends MemoryPool {
  /**
   * Makes the part of a new session. The check of options recognizes a pool by this
   * method, so its name is not one that arrays have, such as `join`.
   */
  admit(): PoolShare;
}

/** What one session holds of a pool. */
interface Member {
  held: number;
}

/** A pool, as {@linkcode memoryPool} makes it. */
class SessionPool implements SharedPool {
  readonly size: number;
  readonly maxSessions: number;
  /** The work that the sessions may do before the event loop turns. */
  readonly turns: TurnBudget = new TurnBudget();
  /** The frames of the sessions that wait for the next write. */
  readonly deferred: DeferredWrites = new DeferredWrites();
  /** Bytes that each session can take in any case. */
  readonly #guaranteed: number;
  readonly #reserve: number;
  /** The most that one session can take at once. */
  readonly largest: number;
  readonly #half: number;
  /** Whether less than half of what can ever be free is free. */
  isLow = false;
  /** Bytes beyond what is guaranteed that no session has taken. */
  #free: number;
  #sessions = 0;
  #held = 0;
  /** The sessions that wait for others to give memory back, in order. */
  readonly #waiting = new Set<PoolShare>();
  /** The least that must be free before one of them can continue. */
  #needed = Infinity;
  #serving = false;
  /**
   * A session that has ended holds what it received until the program has read
   * it, or has dropped the session and its channels.
   */
  readonly #dropped = new FinalizationRegistry<Member>((member) =>
    this.#remove(member)
  );

  constructor(options: MemoryPoolOptions) {
    checkObject("options of memoryPool()", options);
    const { size, maxSessions } = withDefaults(
      options,
      DEFAULT_MEMORY_POOL_OPTIONS,
      RANGES,
    );
    this.size = size;
    this.maxSessions = maxSessions;
    this.#guaranteed = Math.floor(size * 3 / 8 / maxSessions);
    this.#reserve = Math.floor(size / 8);
    this.#free = size - this.#reserve - this.#guaranteed * maxSessions;
    this.#half = this.#free / 2;
    this.largest = this.#guaranteed + Math.floor(this.#free / 2);
  }

  get usage(): MemoryPoolUsage {
    return { sessions: this.#sessions, held: this.#held };
  }

  admit(): PoolShare {
    this.#sessions++;
    const member: Member = { held: 0 };
    const share = new PoolShare(this, member);
    this.#dropped.register(share, member, share);
    return share;
  }

  leave(share: PoolShare, member: Member): void {
    this.#dropped.unregister(share);
    this.#remove(member);
  }

  /** Counts `bytes` that a session takes; they are negative if it gives them back. */
  change(member: Member, bytes: number): void {
    const guaranteed = this.#guaranteed;
    const before = member.held;
    const after = before + bytes;
    member.held = after;
    this.#held += bytes;
    // Each call does this six times: no method is called for it.
    if (before > guaranteed) this.#free += before - guaranteed;
    if (after > guaranteed) this.#free -= after - guaranteed;
    this.isLow = this.#free < this.#half;
    if (bytes < 0 && this.#free >= this.#needed) this.#serveSoon();
  }

  /** Bytes that a session which holds `held` can take now, without the reserve. */
  availableTo(held: number): number {
    const more = Math.floor((this.#free - this.#beyond(held)) / 2);
    return Math.max(0, this.#guaranteed - held) + Math.max(0, more);
  }

  fits(held: number, bytes: number, reserved: boolean): boolean {
    return this.#free >= this.needs(held, bytes, reserved);
  }

  await(share: PoolShare, needed: number): void {
    this.#waiting.add(share);
    this.#needed = Math.min(this.#needed, needed);
  }

  forget(share: PoolShare): void {
    this.#waiting.delete(share);
  }

  /** What must be free before a session which holds `held` takes `bytes`. */
  needs(held: number, bytes: number, reserved: boolean): number {
    const after = this.#beyond(held + bytes);
    if (after === 0) return -Infinity;
    const more = after - this.#beyond(held);
    // Otherwise it must leave as much as it then has.
    return reserved ? more - this.#reserve : more + after;
  }

  #beyond(held: number): number {
    return Math.max(0, held - this.#guaranteed);
  }

  #remove(member: Member): void {
    this.change(member, -member.held);
    this.#sessions--;
  }

  #serveSoon(): void {
    if (this.#serving) return;
    this.#serving = true;
    void this.#serve();
  }

  async #serve(): Promise<void> {
    await undefined;
    this.#serving = false;
    this.#needed = Infinity;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    // Those that still do not fit wait again, in the same order.
    for (const share of waiting) share.onFreed();
  }
}

/** The part of one session in a pool. */
export class PoolShare {
  /** Called when other sessions have given memory back; see {@linkcode await}. */
  onFreed: () => void = () => {};
  /** The pool. */
  readonly pool: SessionPool;
  readonly #member: Member;
  #state: "open" | "closed" | "left" = "open";

  /** Made by {@linkcode SharedPool.admit}. */
  constructor(pool: SessionPool, member: Member) {
    this.pool = pool;
    this.#member = member;
  }

  /** Bytes that can be taken now, without the reserve. */
  get available(): number {
    return this.pool.availableTo(this.#member.held);
  }

  /** Whether `bytes` can be taken; `reserved` for what may use the reserve. */
  fits(bytes: number, reserved: boolean): boolean {
    return this.pool.fits(this.#member.held, bytes, reserved);
  }

  /**
   * Takes `bytes`, whether or not they fit, or gives them back, if they are
   * negative.
   */
  change(bytes: number): void {
    const state = this.#state;
    if (state === "left") return;
    this.pool.change(this.#member, bytes);
    if (state === "closed") this.#leaveIfDone();
  }

  /** Calls {@linkcode onFreed} once `bytes` may fit. */
  await(bytes: number, reserved: boolean): void {
    const needed = this.pool.needs(this.#member.held, bytes, reserved);
    this.pool.await(this, needed);
  }

  /** The session has ended: it leaves the pool when it holds nothing. */
  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closed";
    this.pool.forget(this);
    this.#leaveIfDone();
  }

  #leaveIfDone(): void {
    if (this.#state !== "closed" || this.#member.held > 0) return;
    this.#state = "left";
    this.pool.leave(this, this.#member);
  }
}

import { InvariantError } from "../errors.ts";
import type { HeldMemory } from "../types.ts";
import type { PoolShare } from "./memory_pool.ts";

/** Bytes that a channel takes apart from its windows, RPC's objects included. */
export const CHANNEL_SIZE = 1024;

/**
 * Bytes of the smallest window of a new channel: the header of a call and a small
 * argument fit. A smaller one would make every call wait for credit.
 */
export const MIN_WINDOW_SIZE = 2 * 1024;
const MIN_CHANNEL_SIZE = CHANNEL_SIZE + MIN_WINDOW_SIZE;

/** The reserve of an account is one part in this many. */
const RESERVE_PART = 8;
/** One part in this many is kept for channels that are not open yet. */
const CHANNEL_PART = 16;

/**
 * Up to this many bytes are taken even though more are waited for: a large value
 * that waits for handlers to finish must not stop small calls. Larger takers
 * wait their turn, or the largest would never get theirs.
 */
const SMALL = 64 * 1024;

/** A taker that waits for memory. */
interface Waiter {
  readonly bytes: number;
  readonly kind: MemoryKind;
  readonly callback: () => void;
}

/**
 * When bytes of a kind may be taken.
 *
 * - `lasting`: while they fit outside the reserve.
 * - `passing`: also if no other passing bytes are held outside the reserve, so
 *   that a value of any size gets its turn.
 * - `reserved`: while they fit, or if no other reserved bytes are held.
 */
type Claim = "lasting" | "passing" | "reserved";

/**
 * What one session makes this side hold, in bytes, by kind. Everything that a
 * peer can cause is counted here: see {@linkcode HeldMemory} for the kinds.
 *
 * An eighth is a *reserve*, for what lets others give their memory back: answers
 * to this side's own calls, calls of its callbacks, and releases. A handler holds
 * its arguments until it returns, and may wait for one of these. Without a
 * reserve, handlers that wait could fill the account with their arguments, and
 * what they wait for could never arrive. Half of it is also for channels that
 * this side opens, for the same reason. A sixteenth is kept for channels with the
 * smallest windows, which must not be refused because others take all the rest.
 *
 * A taker takes all that it will need at once, before it begins. Whatever has
 * begun can therefore be completed, and gives its memory back: there are never
 * two values that each hold half of the account and wait for the other half. And
 * one value can always begin, whatever its size, when no other is held: a value
 * that waits for memory waits for one that has begun, or for a handler, but never
 * for another that waits.
 *
 * A session of a `MemoryPool` takes everything from the pool, too.
 */
export class MemoryAccount {
  /** Credit that was granted to the peer, and bytes that have not been read. */
  readonly windows: MemoryKind;
  /** Encoded values that have arrived in part. */
  readonly values: MemoryKind;
  /** Decoded arguments of running calls, and the functions in them. */
  readonly arguments: MemoryKind;
  /**
   * The functions in arguments whose calls go on to receive others. They stay until
   * the call ends, which may wait for memory in turn.
   */
  readonly functions: MemoryKind;
  /** Encoded values that were not sent yet. */
  readonly responses: MemoryKind;
  /** Functions of this side that the peer can call. */
  readonly callbacks: MemoryKind;
  /** Channels, apart from their bytes. */
  readonly channels: MemoryKind;
  /** Headers of calls and responses, and what is remembered of them. */
  readonly headers: MemoryKind;
  /** Bytes that are kept to be sent again over another connection. */
  readonly unacknowledged: MemoryKind;
  /** Bytes that the session may hold. */
  readonly limit: number;
  readonly #reserve: number;
  readonly #share: PoolShare | undefined;
  #held = 0;
  /**
   * Bytes that are kept for the smallest windows of channels that are not open;
   * negative if more channels are open than it is kept for.
   */
  #kept: number;
  #reservedHeld = 0;
  #passingHeld = 0;
  /** Those who may use the reserve, and wait nevertheless. */
  readonly #reservedWaiting: Waiter[] = [];
  /** The others who wait. */
  readonly #waiting: Waiter[] = [];
  /** Whether there are any in either queue. */
  #waits = false;
  #serving = false;
  #closed = false;

  /**
   * Makes an account.
   *
   * @param limit bytes that the session may hold
   * @param share the part of a pool that the session takes from
   */
  constructor(limit: number, share?: PoolShare) {
    this.limit = limit;
    this.#reserve = Math.floor(limit / RESERVE_PART);
    this.#kept = Math.floor(limit / CHANNEL_PART);
    this.#share = share;
    if (share !== undefined) share.onFreed = () => this.#serveSoon();
    this.windows = new MemoryKind(this, "lasting");
    this.values = new MemoryKind(this, "passing");
    this.arguments = new MemoryKind(this, "passing");
    this.functions = new MemoryKind(this, "lasting");
    this.responses = new MemoryKind(this, "passing");
    this.callbacks = new MemoryKind(this, "lasting");
    this.channels = new MemoryKind(this, "lasting");
    this.headers = new MemoryKind(this, "lasting");
    this.unacknowledged = new MemoryKind(this, "lasting");
  }

  /** Bytes that the session holds. */
  get held(): number {
    return this.#held;
  }

  /** Bytes that can be taken now, without the reserve and what is kept. */
  get available(): number {
    const { limit } = this;
    const held = this.#held + Math.max(0, this.#kept);
    const own = Math.max(
      0,
      Math.min(
        limit - held,
        limit - this.#reserve - (held - this.#reservedHeld),
      ),
    );
    const share = this.#share;
    return share === undefined ? own : Math.min(own, share.available);
  }

  /**
   * Whether a pool has less left than half of what the session could take of it:
   * the rest is for what sessions need, and not for their speed.
   */
  get poolIsCrowded(): boolean {
    const share = this.#share;
    return share !== undefined &&
      share.available * 2 < Math.min(this.limit, share.pool.largest);
  }

  /** Whether another channel with the smallest window can be opened. */
  get hasChannel(): boolean {
    const share = this.#share;
    return this.#kept >= MIN_CHANNEL_SIZE &&
      (share === undefined || share.available >= MIN_CHANNEL_SIZE);
  }

  /**
   * Whether this side can open a channel with the smallest window, if need be with
   * memory of the first half of the reserve. A handler may need the channel for a
   * call that lets it finish, while the peer's calls that wait for handlers to
   * finish hold all the rest.
   */
  get hasOwnChannel(): boolean {
    const share = this.#share;
    return this.#held + MIN_CHANNEL_SIZE <= this.limit - this.#reserve / 2 &&
      (share === undefined || share.fits(MIN_CHANNEL_SIZE, true));
  }

  /** Whether less than half of what a pool can ever have free is free. */
  get poolIsLow(): boolean {
    return this.#share?.pool.isLow ?? false;
  }

  /**
   * Whether what is held, or what of it is for channels and their windows, has
   * changed by `step` bytes since it was `held` and `taken`, or a pool is low. Each
   * call asks once or twice, so this calls nothing else.
   */
  hasChanged(held: number, taken: number, step: number): boolean {
    const more = this.#held - held;
    const moreTaken = this.windows.counted + this.channels.counted - taken;
    return more >= step || more <= -step ||
      moreTaken >= step || moreTaken <= -step ||
      this.#share !== undefined && this.#share.pool.isLow;
  }

  /** Takes what a channel needs, with its window of `size` bytes. */
  takeChannel(size: number): void {
    this.windows.counted += size;
    this.channels.counted += CHANNEL_SIZE;
    this.take(size + CHANNEL_SIZE, "lasting");
    this.#kept -= MIN_CHANNEL_SIZE;
  }

  /** Gives back what {@linkcode takeChannel} has taken for the channel itself. */
  giveChannel(): void {
    this.#kept += MIN_CHANNEL_SIZE;
    this.channels.give(CHANNEL_SIZE);
  }

  /** Whether a taker waits for memory outside the reserve. */
  get awaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** The bytes held, by kind. */
  get usage(): HeldMemory {
    return {
      windows: this.windows.held,
      values: this.values.held,
      arguments: this.arguments.held + this.functions.held,
      responses: this.responses.held,
      callbacks: this.callbacks.held,
      channels: this.channels.held,
      headers: this.headers.held,
      unacknowledged: this.unacknowledged.held,
      total: this.#held,
    };
  }

  /**
   * The session has ended: nothing more arrives, so from now on everything is
   * granted, beginning with what waits.
   */
  close(): void {
    this.#closed = true;
    this.#serveSoon();
    this.#share?.close();
  }

  /** See {@linkcode MemoryKind.largest}; this and what follows is for kinds. */
  get largest(): number {
    return this.#share?.pool.largest ?? Infinity;
  }

  /** See {@linkcode MemoryKind.canTake}. */
  canTake(bytes: number, claim: Claim): boolean {
    return (bytes <= SMALL || this.#queueOf(claim).length === 0) &&
        this.#fits(bytes, claim) || this.#closed;
  }

  /** See {@linkcode MemoryKind.take}. */
  take(bytes: number, claim: Claim): void {
    this.#held += bytes;
    if (claim === "reserved") this.#reservedHeld += bytes;
    else if (claim === "passing") this.#passingHeld += bytes;
    this.#share?.change(bytes);
  }

  /** See {@linkcode MemoryKind.give}. */
  give(bytes: number, claim: Claim): void {
    this.#held -= bytes;
    if (claim === "reserved") this.#reservedHeld -= bytes;
    else if (claim === "passing") this.#passingHeld -= bytes;
    this.#share?.change(-bytes);
    if (this.#waits) this.#serveSoon();
  }

  /** See {@linkcode MemoryKind.whenFree}. */
  wait(waiter: Waiter, claim: Claim): () => void {
    const queue = this.#queueOf(claim);
    queue.push(waiter);
    this.#waits = true;
    this.#serveSoon();
    return () => {
      const at = queue.indexOf(waiter);
      if (at < 0) return;
      queue.splice(at, 1);
      this.#countWaiting();
      // The next in line may need less.
      this.#serveSoon();
    };
  }

  #queueOf(claim: Claim): Waiter[] {
    return claim === "reserved" ? this.#reservedWaiting : this.#waiting;
  }

  #fits(bytes: number, claim: Claim): boolean {
    const { limit } = this;
    const held = this.#held + Math.max(0, this.#kept) + bytes;
    const own = claim === "reserved"
      ? held <= limit || this.#reservedHeld === 0
      : held <= limit && held - this.#reservedHeld <= limit - this.#reserve ||
        claim === "passing" && this.#passingHeld === 0;
    const share = this.#share;
    return own &&
      (share === undefined || share.fits(bytes, claim === "reserved"));
  }

  #countWaiting(): void {
    this.#waits = this.#reservedWaiting.length + this.#waiting.length > 0;
  }

  /** Serves those who wait, once the caller has finished. */
  #serveSoon(): void {
    if (this.#serving || !this.#waits) return;
    this.#serving = true;
    void this.#serve();
  }

  async #serve(): Promise<void> {
    await undefined;
    this.#serving = false;
    this.#serveQueue("reserved");
    this.#serveQueue("passing");
  }

  #serveQueue(claim: Claim): void {
    const queue = this.#queueOf(claim);
    for (;;) {
      const waiter = queue[0];
      if (waiter === undefined) return;
      if (!this.#closed && !this.#fits(waiter.bytes, claim)) {
        // What this session gives back is noticed in any case.
        return this.#share?.await(waiter.bytes, claim === "reserved");
      }
      queue.shift();
      this.#countWaiting();
      waiter.kind.take(waiter.bytes);
      waiter.callback();
    }
  }
}

/** One kind of memory of an account. */
export class MemoryKind {
  readonly #account: MemoryAccount;
  readonly #claim: Claim;
  /** What counts the bytes: a kind, or the one that this is the reserve of. */
  readonly #counter: MemoryKind;
  #reserved: MemoryKind | undefined;
  /** The bytes held, if this is no reserve; {@linkcode MemoryAccount} changes it. */
  counted = 0;

  /** Made by {@linkcode MemoryAccount}. */
  constructor(account: MemoryAccount, claim: Claim, counter?: MemoryKind) {
    this.#account = account;
    this.#claim = claim;
    this.#counter = counter ?? this;
  }

  /** Bytes held. */
  get held(): number {
    return this.#counter.counted;
  }

  /** The most that can ever be taken at once. */
  get largest(): number {
    return this.#account.largest;
  }

  /**
   * The same kind, taken from the reserve as well: for what lets others give
   * their memory back. What is taken here is given back here.
   */
  get reserved(): MemoryKind {
    return this.#reserved ??= new MemoryKind(this.#account, "reserved", this);
  }

  /** Whether {@linkcode tryTake} would take `bytes`. */
  canTake(bytes: number): boolean {
    return this.#account.canTake(bytes, this.#claim);
  }

  /** Takes `bytes` if they are free; returns whether it did. */
  tryTake(bytes: number): boolean {
    if (!this.#account.canTake(bytes, this.#claim)) return false;
    this.take(bytes);
    return true;
  }

  /**
   * Takes `bytes`, whether or not they are free: for what is small or must not
   * fail, and has a limit of its own.
   */
  take(bytes: number): void {
    this.#counter.counted += bytes;
    this.#account.take(bytes, this.#claim);
  }

  /**
   * Gives `bytes` back.
   *
   * @throws {InvariantError} if that is more than is held
   */
  give(bytes: number): void {
    const counter = this.#counter;
    if (bytes > counter.counted) throw notHeld(bytes, counter.counted);
    counter.counted -= bytes;
    this.#account.give(bytes, this.#claim);
  }

  /**
   * Takes `bytes` as soon as they are free, then calls `callback`, which must not
   * throw. That is never within this method, nor within `give()`. Those who wait
   * are served in order.
   *
   * @returns a function that gives up waiting; after `callback` it has no effect
   */
  whenFree(bytes: number, callback: () => void): () => void {
    return this.#account.wait({ bytes, kind: this, callback }, this.#claim);
  }
}

function notHeld(bytes: number, held: number): InvariantError {
  return new InvariantError(
    `Cannot give back ${bytes} bytes of memory: ${held} are held`,
  );
}

import {
  CHANNEL_SIZE,
  type MemoryAccount,
  MIN_WINDOW_SIZE,
} from "./memory_account.ts";
import type { WindowMemory } from "./windows.ts";

/** A window gets one part in this many of what is left, once half is taken. */
const SMALL_PARTS = 1024;

/**
 * The size of the next window is calculated again when what is held has changed
 * by one part in this many of the account: a call opens a channel, and few calls
 * change much.
 */
const STEPS = 256;

/**
 * The part of a session's memory that its channels and their receive windows may
 * take: eleven sixteenths. A grant cannot be taken back, so granted credit counts
 * as held, and what is left to values must not depend on a peer that never uses
 * its credit. With the sixteenth that the account keeps for the smallest windows,
 * and its reserve, an eighth is always left to other kinds.
 *
 * While memory is scarce, new windows are smaller, and none grows.
 */
export class WindowBudget implements WindowMemory {
  readonly #account: MemoryAccount;
  readonly #size: number;
  readonly #initialSize: number;
  readonly #minSize: number;
  readonly #step: number;
  /** The size of the next window; 0 if there is no memory for it. */
  #windowSize = 0;
  #scarce = false;
  /** What was held, and of that for channels, when these two were estimated. */
  #heldThen = -Infinity;
  #takenThen = -Infinity;
  readonly #maxLateCredit: number;
  #lateCredit = 0;
  #refused = false;

  /**
   * Makes the budget of a session.
   *
   * @param account the memory of the session
   * @param initialSize bytes of a new window, while memory is not scarce
   * @param maxSize bytes that one window may grow to
   */
  constructor(account: MemoryAccount, initialSize: number, maxSize: number) {
    this.#maxLateCredit = maxSize;
    this.#account = account;
    this.#size = Math.floor(account.limit * 11 / 16);
    this.#initialSize = initialSize;
    this.#minSize = Math.min(initialSize, MIN_WINDOW_SIZE);
    this.#step = Math.floor(account.limit / STEPS);
  }

  /** Bytes that can be granted now. */
  get left(): number {
    const { windows, channels, available } = this.#account;
    return Math.min(available, this.#size - windows.held - channels.held);
  }

  /** Whether less than an eighth of the budget is left. */
  get scarce(): boolean {
    this.#estimate();
    return this.#scarce;
  }

  get exhausted(): boolean {
    const { awaited, poolIsCrowded } = this.#account;
    return this.#refused || awaited || poolIsCrowded;
  }

  /**
   * Takes a channel and its window; returns the size of the window, or 0 if there
   * is no memory for another channel. While half of the budget is left, it has the
   * initial size, or a quarter of what is left. After that it has a small part of
   * what is left, so that windows get smaller and smaller, and many channels can
   * be open before memory is scarce.
   */
  open(): number {
    this.#estimate();
    const size = this.#windowSize;
    if (size === 0) this.#refused = true;
    else this.#account.takeChannel(size);
    return size;
  }

  /** As {@linkcode open}, for a channel that this side opens. */
  openOwn(): number {
    const size = this.open();
    if (size > 0 || !this.#account.hasOwnChannel) return size;
    this.#account.takeChannel(this.#minSize);
    return this.#minSize;
  }

  /** Gives back what {@linkcode open} took for a channel that is not opened. */
  cancelOpen(size: number): void {
    this.#account.windows.give(size);
    this.#account.giveChannel();
  }

  take(bytes: number): boolean {
    const { awaited, poolIsCrowded } = this.#account;
    if (awaited || poolIsCrowded || bytes > this.left) {
      this.#refused = true;
      return false;
    }
    this.#account.windows.take(bytes);
    return true;
  }

  /**
   * Takes up to `bytes` for a short time; returns how many. Half of the budget is
   * never lent, so that windows can still grow.
   */
  lend(bytes: number): number {
    if (this.#account.poolIsCrowded) return 0;
    const lent = Math.min(bytes, Math.floor(this.left - this.#size / 2));
    if (lent <= 0) return 0;
    this.#account.windows.take(lent);
    return lent;
  }

  /**
   * Returns `bytes` to the budget.
   *
   * @throws {InvariantError} if that is more than was taken
   */
  give(bytes: number): void {
    if (bytes === 0) return;
    this.#account.windows.give(bytes);
    this.#refused = false;
  }

  /** As {@linkcode give}; also counts `credit` as late credit. */
  giveUnused(bytes: number, credit: number): void {
    this.#account.windows.give(bytes);
    this.#refused = false;
    const late = this.#lateCredit + credit;
    this.#lateCredit = late < this.#maxLateCredit ? late : this.#maxLateCredit;
  }

  /**
   * Takes `bytes` of the credit that ended windows had left, for DATA that came
   * late; returns whether that is enough. The peer did not know of this side's
   * CLOSE; qtalk-go also sends DATA after its own.
   */
  takeLateCredit(bytes: number): boolean {
    if (bytes > this.#lateCredit) return false;
    this.#lateCredit -= bytes;
    return true;
  }

  /** Calculates what {@linkcode open} and {@linkcode scarce} need, if it is old. */
  #estimate(): void {
    const account = this.#account;
    if (!account.hasChanged(this.#heldThen, this.#takenThen, this.#step)) {
      return;
    }
    const { held } = account;
    const taken = account.windows.counted + account.channels.counted;
    const left = this.left - CHANNEL_SIZE;
    const most = left * 2 >= this.#size ? left / 4 : left / SMALL_PARTS;
    const size = Math.min(this.#initialSize, Math.floor(most));
    this.#windowSize = size >= this.#minSize
      ? size
      : this.#minSize <= left || account.hasChannel
      ? this.#minSize
      : 0;
    this.#scarce = left * 8 < this.#size;
    // An estimate must not be used when a step more would be too much.
    this.#heldThen = this.#scarce ? -Infinity : held;
    this.#takenThen = taken;
  }
}

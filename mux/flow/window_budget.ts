import type { MemoryAccount } from "./memory_account.ts";
import type { WindowMemory } from "./receive_window.ts";

/** Bytes that a channel takes apart from its windows, with RPC's objects. */
export const CHANNEL_SIZE = 1024;

/**
 * Bytes of the smallest window of a new channel: the header of a call and a small
 * argument fit. A smaller one would make every call wait for credit.
 */
export const MIN_WINDOW_SIZE = 2 * 1024;

/** What the windows of one session are limited by. */
export interface WindowBudgetOptions {
  /** Bytes of a new window, while memory is not scarce. */
  readonly initialWindowSize: number;
  /** Channels that may be open at once. */
  readonly maxChannels: number;
}

/**
 * The part of a session's memory that its channels and their receive windows may
 * take: three quarters. A grant cannot be taken back, so granted credit counts as
 * held, and what is left to values must not depend on peers that never use their
 * credit.
 *
 * While memory is scarce, new windows are smaller, and none grows.
 */
export class WindowBudget implements WindowMemory {
  readonly #account: MemoryAccount;
  readonly #size: number;
  readonly #initialSize: number;
  readonly #minSize: number;
  /** What growth leaves to new channels: with the defaults, to a thousand. */
  readonly #setAside: number;
  #refused = false;

  /** Makes the budget of a session. */
  constructor(
    account: MemoryAccount,
    { initialWindowSize, maxChannels }: WindowBudgetOptions,
  ) {
    this.#account = account;
    this.#size = Math.floor(account.limit * 3 / 4);
    this.#initialSize = initialWindowSize;
    this.#minSize = Math.min(initialWindowSize, MIN_WINDOW_SIZE);
    this.#setAside = Math.min(
      this.#size / 8,
      maxChannels * (this.#minSize + CHANNEL_SIZE),
    );
  }

  /** Bytes that can be granted now. */
  get left(): number {
    const { windows, channels, available } = this.#account;
    return Math.min(available, this.#size - windows.held - channels.held);
  }

  /** Whether less than half of the budget is left. */
  get scarce(): boolean {
    return this.left * 2 < this.#size;
  }

  get exhausted(): boolean {
    return this.#refused || this.#account.awaited;
  }

  /**
   * Takes the window of a new channel; returns its size, or 0 if there is no
   * memory for another channel. It has the initial size, or a quarter of what is
   * left, while that is half of the budget. After that, every channel that can
   * still be opened gets an equal part.
   *
   * @param slots channels that can be opened now
   */
  open(slots: number): number {
    const left = this.left - CHANNEL_SIZE;
    const most = left * 2 >= this.#size
      ? left / 4
      : left / slots - CHANNEL_SIZE;
    const size = Math.min(
      this.#initialSize,
      Math.max(this.#minSize, Math.floor(most)),
    );
    if (size > left) {
      this.#refused = true;
      return 0;
    }
    this.#account.windows.take(size);
    return size;
  }

  take(bytes: number): boolean {
    if (this.#account.awaited || bytes > this.left - this.#setAside) {
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
}

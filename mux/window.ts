/**
 * Credit arithmetic: numbers in, numbers out, the clock handed in. No streams,
 * no frames (mux/SPEC.md, "Windows").
 *
 * @module
 */
import { protocolError } from "./errors.ts";
import { MAX_UINT32 } from "./frame.ts";

/** What the peer lets this side send on one channel. */
export class SendWindow {
  #credit = 0;

  /** Bytes that may be sent now. */
  get credit(): number {
    return this.#credit;
  }

  /**
   * The peer granted `bytes` more.
   *
   * @throws {MuxError} `protocol-error` if the window would pass 2^32 − 1
   */
  grant(bytes: number): void {
    if (bytes > MAX_UINT32 - this.#credit) {
      throw protocolError(
        `a window of ${this.#credit} bytes was adjusted by ${bytes}, past 2^32 - 1`,
      );
    }
    this.#credit += bytes;
  }

  /** Takes `bytes`, at most {@linkcode credit}, for a DATA frame. */
  take(bytes: number): void {
    this.#credit -= bytes;
  }
}

/**
 * The part of a session's memory that its windows share beyond their first
 * size. It counts credit granted, since a granted window cannot be taken back.
 */
export class WindowBudget {
  #left: number;
  #refused = false;

  /** Makes a budget of `bytes`. */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Bytes not granted to any window. */
  get left(): number {
    return this.#left;
  }

  /** Whether a window wanted more than was left, and nobody gave back since. */
  get pressed(): boolean {
    return this.#refused;
  }

  /** Takes `bytes` if there are as many. */
  take(bytes: number): boolean {
    if (bytes > this.#left) {
      this.#refused = true;
      return false;
    }
    this.#left -= bytes;
    return true;
  }

  /** Gives `bytes` back. */
  give(bytes: number): void {
    if (bytes === 0) return;
    this.#left += bytes;
    this.#refused = false;
  }
}

/** What the windows of one session have in common. */
export interface WindowPolicy {
  /** Bytes of a new window. */
  readonly initial: number;
  /** Bytes that one window may grow to. */
  readonly max: number;
  /** What all windows share beyond their first size. */
  readonly budget: WindowBudget;
  /** The shortest round trip seen, in milliseconds; undefined before one. */
  rtt(): number | undefined;
  /** A monotonic clock, in milliseconds. */
  now(): number;
}

/**
 * How many times the product of bandwidth and delay a window may reach. One
 * would do if both ends reacted at once; the rest covers the time that they
 * take, which on a short link is several times the delay.
 */
const AHEAD = 4;

/**
 * What this side lets the peer send on one channel.
 *
 * At any time `size = granted + held + owed`: credit that the peer has, bytes
 * that arrived and wait for the application, and bytes that the application has
 * taken whose credit was not returned yet. Credit is returned in batches of
 * half a window.
 *
 * If a window is consumed in less than {@linkcode AHEAD} round trips, it is the
 * window that holds the peer back, and it doubles: it settles at a few times
 * the product of bandwidth and delay.
 */
export class ReceiveWindow {
  readonly #policy: WindowPolicy;
  #size: number;
  #granted: number;
  #owed = 0;
  #returnedAt = -1;

  /** Makes a window of the policy's first size. */
  constructor(policy: WindowPolicy) {
    this.#policy = policy;
    this.#size = policy.initial;
    this.#granted = policy.initial;
  }

  /** Bytes of the whole window. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that the peer may still send. */
  get granted(): number {
    return this.#granted;
  }

  /** Bytes taken by the application whose credit is not returned yet. */
  get owed(): number {
    return this.#owed;
  }

  /**
   * A DATA frame of `bytes` arrived.
   *
   * @throws {MuxError} `protocol-error` if the peer had less credit than that
   */
  receive(bytes: number): void {
    if (bytes > this.#granted) {
      throw protocolError(
        `DATA of ${bytes} bytes came for a window of ${this.#granted}`,
      );
    }
    this.#granted -= bytes;
  }

  /**
   * The application took `bytes`. Returns the credit to return to the peer
   * now, in bytes; 0 while the batch is not full.
   */
  consume(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    this.#resize();
    const credit = this.#owed;
    this.#owed = 0;
    this.#granted += credit;
    return credit;
  }

  /** Gives the window's part of the budget back; the channel is over. */
  release(): void {
    this.#policy.budget.give(Math.max(0, this.#size - this.#policy.initial));
    this.#size = Math.min(this.#size, this.#policy.initial);
  }

  #resize(): void {
    const { rtt, now, budget, initial, max } = this.#policy;
    const round = rtt();
    if (round === undefined) return;
    const time = now();
    const elapsed = time - this.#returnedAt;
    const first = this.#returnedAt < 0;
    this.#returnedAt = time;
    if (first) return;
    if (elapsed * this.#size < AHEAD * round * this.#owed) {
      const more = Math.min(this.#size, max - this.#size);
      if (more > 0 && budget.take(more)) {
        this.#size += more;
        this.#owed += more;
      }
    } else if (budget.pressed && elapsed > 4 * round && this.#size > initial) {
      // Somebody else needs the room more: return less than was consumed.
      const less = Math.min(this.#owed, this.#size - initial);
      this.#size -= less;
      this.#owed -= less;
      budget.give(less);
    }
  }
}

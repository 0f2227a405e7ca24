/**
 * Credit arithmetic: numbers in, numbers out, the clock handed in. No streams,
 * no frames (mux/SPEC.md, "Windows").
 *
 * @module
 */
import { protocolError } from "../errors.ts";
import { MAX_UINT32 } from "../../uint32.ts";

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
  /** What may not be lent: half, so that other windows can still grow. */
  readonly #reserve: number;
  #left: number;
  #refused = false;

  /** Makes a budget of `bytes`. */
  constructor(bytes: number) {
    this.#left = bytes;
    this.#reserve = bytes / 2;
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

  /** Takes up to `bytes`, for a while; returns how many. */
  lend(bytes: number): number {
    const lent = Math.min(bytes, Math.floor(this.#left - this.#reserve));
    if (lent <= 0) return 0;
    this.#left -= lent;
    return lent;
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
  /** A window has seen that a round trip takes no longer than that. */
  rttAtMost(ms: number): void;
  /** A monotonic clock, in milliseconds. */
  now(): number;
}

/**
 * Batches of credit in a window. With two, a batch is more than half of it as
 * soon as bytes are not taken in just that size; what is left is less than the
 * next batch, which then waits for the peer to hear of the first: half a window
 * a round trip.
 */
const BATCHES = 4;

/**
 * How soon a credit must be used to show that the peer had waited for it: a
 * round trip and a half, and the milliseconds that two busy event loops take to
 * react, which on one machine is most of it.
 */
const PROMPT = { rounds: 1.5, reaction: 0.25 } as const;

/**
 * What a window doubles in whole units of, in bytes: bulk fills it with frames
 * of 64 KiB, and a rest that they leave would be a frame of its own each time.
 */
const UNIT = 16 * 1024;

/**
 * Bytes beyond which promptness alone does not make a window grow: within one
 * machine a busy reader finds that much waiting, and reads it at the speed of
 * memory. Beyond, a window grows to {@linkcode ROUNDS} times what the
 * application takes in a round trip.
 */
const SHORT_LINK = 512 * 1024;
/**
 * Round trips that a large window may cover. Not four: where packets and halves
 * of the window drift apart, each half waits for the other, and a window that
 * is too small takes in half of what it could.
 */
const ROUNDS = 9;

/**
 * What this side lets the peer send on one channel.
 *
 * At any time `size = granted + held + owed`: credit that the peer has, bytes
 * that arrived and wait for the application, and bytes that the application has
 * taken whose credit was not returned yet. Credit is returned in batches of
 * a quarter of a window.
 *
 * A peer that uses a credit promptly ({@linkcode PROMPT}) had been waiting for
 * it, and if the application had been waiting too, it is the window that holds
 * them back: it doubles. So the window settles at a few times the product of
 * bandwidth and delay, where bandwidth is what the application really takes, be
 * it in bursts. (How fast a window is used up says less: what waited in the
 * socket arrives at the speed of memory.)
 */
export class ReceiveWindow {
  readonly #policy: WindowPolicy;
  #size: number;
  #granted: number;
  #owed = 0;
  /** Bytes of the window that are a loan. */
  #loan = 0;
  /** Bytes that the peer must still send before it uses the credit watched. */
  #beforeCredit = -1;
  #creditAt = 0;
  /** How the credit watched last was used, until the window is resized. */
  #use: "none" | "awaited" | "leisurely" = "none";
  /** Bytes taken, and since when, at the window's present size. */
  #taken = 0;
  /** Not before the first batch: most channels see none, and ask no clock. */
  #sizedAt: number | undefined;

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
    const hungry = this.#granted + this.#owed === this.#size;
    this.#granted -= bytes;
    if (this.#beforeCredit < 0) return;
    this.#beforeCredit -= bytes;
    if (this.#beforeCredit < 0) this.#creditUsed(hungry);
  }

  /**
   * The application took `bytes`. Returns the credit to return to the peer
   * now, in bytes; 0 while the batch is not full.
   */
  consume(bytes: number): number {
    const paid = Math.min(bytes, this.#loan);
    if (paid > 0) this.#payBack(paid);
    this.#owed += bytes - paid;
    this.#taken += bytes;
    if (this.#owed * BATCHES < this.#size) return 0;
    if (this.#sizedAt === undefined) {
      this.#sizedAt = this.#policy.now();
      this.#taken = 0;
    }
    const before = this.#size;
    this.#resize();
    const credit = this.#owed;
    this.#owed = 0;
    // A window that has just changed says nothing yet about its new size.
    if (this.#beforeCredit < 0 && this.#size === before) {
      this.#beforeCredit = this.#granted;
      this.#creditAt = this.#policy.now();
    }
    this.#granted += credit;
    return credit;
  }

  /**
   * The application will take the next `bytes` as they come, and says so before
   * they do: a value's length has arrived. So that the peer need not wait for
   * credit round after round, it gets what is missing as a loan, which the bytes
   * taken next pay back. Returns the credit to give to the peer now.
   */
  expect(bytes: number): number {
    const { budget, max } = this.#policy;
    const more = Math.min(
      bytes - this.#granted - this.#owed,
      max - this.#size,
    );
    if (more * BATCHES < this.#size) return 0;
    const lent = budget.lend(more);
    if (lent === 0) return 0;
    const credit = this.#owed + lent;
    this.#loan += lent;
    this.#size += lent;
    this.#granted += credit;
    this.#owed = 0;
    return credit;
  }

  /** Gives the window's part of the budget back; the channel is over. */
  release(): void {
    this.#policy.budget.give(Math.max(0, this.#size - this.#policy.initial));
    this.#size = Math.min(this.#size, this.#policy.initial);
    this.#loan = 0;
  }

  #payBack(bytes: number): void {
    this.#loan -= bytes;
    this.#size -= bytes;
    this.#policy.budget.give(bytes);
  }

  /** The first byte came that the peer could not send without that credit. */
  #creditUsed(hungry: boolean): void {
    const { rtt, rttAtMost, now } = this.#policy;
    const elapsed = now() - this.#creditAt;
    const round = rtt();
    // The credit went there, and what it allowed has come back.
    rttAtMost(elapsed);
    if (round === undefined) return;
    const prompt = elapsed < PROMPT.rounds * round + PROMPT.reaction;
    this.#use = prompt && hungry ? "awaited" : "leisurely";
  }

  /** Whether the application takes enough for a window of that size. */
  #isWorth(size: number): boolean {
    if (size <= SHORT_LINK) return true;
    const { rtt, now } = this.#policy;
    const elapsed = now() - (this.#sizedAt ?? 0);
    return size * elapsed <= ROUNDS * this.#taken * (rtt() ?? 0);
  }

  #resize(): void {
    const { budget, initial, max } = this.#policy;
    const own = this.#size - this.#loan;
    const use = this.#use;
    this.#use = "none";
    if (use === "awaited") {
      const more = Math.min(2 * wholeUnits(own) - own, max - this.#size);
      if (more > 0 && this.#isWorth(this.#size + more) && budget.take(more)) {
        this.#size += more;
        this.#owed += more;
        this.#taken = 0;
        this.#sizedAt = this.#policy.now();
      }
    } else if (use === "leisurely" && budget.pressed && own > initial) {
      // Somebody else needs the room more: return less than was consumed.
      const less = Math.min(this.#owed, own - initial);
      this.#size -= less;
      this.#owed -= less;
      budget.give(less);
    }
  }
}

function wholeUnits(bytes: number): number {
  return bytes < UNIT ? bytes : bytes - bytes % UNIT;
}

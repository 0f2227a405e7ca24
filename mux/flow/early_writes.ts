import "../internal.ts"; // Keeps bundles in few chunks.
import type { Clock } from "./turns.ts";

/**
 * Bytes of small frames that leave before the end of the turn where early writes do
 * not pay: so many need several reads of the peer in any case.
 */
const LATE_WRITE = 16 * 1024;
/** Small values that are sent in one way while it is timed. */
const TIMED = 2_048;
/**
 * Those between a change and them. Calls whose answers came in one read are sent in
 * one turn again, and so it takes a while until a change has its full effect.
 */
const UNTIMED = 1_024;
/** Milliseconds that they take at least. */
const LEAST_TIME = 0.001;
/**
 * Values between two comparisons: none as long as they contradict what is known, then
 * more and more, and at most so many per unit of advantage, 300,000 for 0.15. Only
 * to try the worse way costs anything: 1 to 2 % of the time in a simulation.
 */
const BETWEEN = { first: 8_192, most: 2_000_000 };
/**
 * How much a comparison counts, and how far apart the two ways can be in it: what
 * else runs, or a pause of the program, can make a single one wrong.
 */
const WEIGHT = 1 / 4;
const MOST_APART = 1 / 4;
/** How much faster late writes have to be so that they are used, and stay so. */
const MARGIN = { begin: 0.03, stay: 0.01 };

/**
 * Finds out by trial whether small frames should leave before their turn ends.
 *
 * With early writes, the peer works while this side is still busy: if each has a
 * processor, that is up to 1.8 times as fast. If they share one, it is 0.7 to 0.8
 * times as fast, because there are more writes (tests/bench/LOG.md). A session
 * cannot see which is the case, and the number of processors of its own machine
 * does not say it. So it sends some thousand values in each way, compares how long
 * they took, and uses the better way from then on. It compares again later, because
 * processes move, and other programs come and go.
 *
 * Only turns count that have more to send than an early write: a program with a few
 * calls at a time does the same either way, and never gets here.
 */
export class EarlyWrites {
  readonly #early: number;
  readonly #now: Clock;
  readonly #random: () => number;
  #size: number;
  #step: "using" | "untimed" | "timed" = "using";
  /** After how many values it ends. */
  #until = 0;
  /** When the timed values began, and how many there were before them. */
  #begunAt = 0;
  #sentBefore = 0;
  /** Values per millisecond in the way that was timed first. */
  #firstRate: number | undefined;
  /** The logarithm of how much faster late writes are, on average. */
  #advantage = 0;
  /** Whether late writes are the faster ones, as far as is known. */
  #prefersLate = false;
  /** Values until the next comparison. */
  #between = 0;

  /**
   * Begins with early writes.
   *
   * @param size bytes of an early write
   * @param now the clock, read three times for each comparison
   * @param random decides which way is tried first: the peer does the same, and
   * neither must take the other's change for the effect of its own
   */
  constructor(size: number, now: Clock, random: () => number = Math.random) {
    this.#size = this.#early = size;
    this.#now = now;
    this.#random = random;
  }

  /**
   * A turn has more to send than an early write. Returns the bytes from which on
   * small frames leave early.
   *
   * @param sent the small values that were sent so far
   */
  next(sent: number): number {
    if (sent >= this.#until) this.#advance(sent);
    return this.#size;
  }

  #advance(sent: number): void {
    if (this.#step === "using") return this.#try(this.#random() < 0.5, sent);
    const now = this.#now();
    if (this.#step === "untimed") {
      this.#step = "timed";
      this.#begunAt = now;
      this.#sentBefore = sent;
      this.#until = sent + TIMED;
      return;
    }
    // The clocks of some browsers stand still for 100 ms.
    const ms = Math.max(LEAST_TIME, now - this.#begunAt);
    const rate = (sent - this.#sentBefore) / ms;
    if (this.#firstRate === undefined) {
      this.#firstRate = rate;
      return this.#try(this.#size === this.#early, sent);
    }
    this.#compare(rate / this.#firstRate);
    this.#firstRate = undefined;
    this.#use(this.#prefersLate);
    this.#step = "using";
    this.#until = sent + this.#between;
  }

  #try(late: boolean, sent: number): void {
    this.#use(late);
    this.#step = "untimed";
    this.#until = sent + UNTIMED;
  }

  #use(late: boolean): void {
    this.#size = late ? Math.max(this.#early, LATE_WRITE) : this.#early;
  }

  /** Takes into account how much faster the second way was than the first. */
  #compare(ratio: number): void {
    const faster = Math.log(ratio);
    const late = this.#size === this.#early ? -faster : faster;
    const bounded = Math.max(-MOST_APART, Math.min(MOST_APART, late));
    this.#advantage += WEIGHT * (bounded - this.#advantage);
    const margin = this.#prefersLate ? MARGIN.stay : MARGIN.begin;
    const prefersLate = this.#advantage > margin;
    const agrees = prefersLate === this.#prefersLate &&
      late > 0 === prefersLate;
    this.#between = agrees
      ? Math.min(
        2 * this.#between + BETWEEN.first,
        BETWEEN.most * Math.abs(this.#advantage),
      )
      : this.#between / 4;
    this.#prefersLate = prefersLate;
  }
}

/**
 * How long to wait between two attempts to connect: ever longer, and not all
 * clients alike, or else they would all come at once.
 *
 * @module
 */
import { checkOption } from "../../check_option.ts";
import { MAX_DELAY } from "../../time_limit.ts";

/** Choices for {@linkcode Backoff}. */
export interface BackoffOptions {
  /** Milliseconds before the first attempt after a failure. Default: 100. */
  minDelay?: number;
  /** Milliseconds that the delay doubles up to. Default: 30,000. */
  maxDelay?: number;
  /** How much of a delay chance may take off it, from 0 to 1. Default: 0.5. */
  jitter?: number;
}

/** Delays between attempts. */
export class Backoff {
  readonly #min: number;
  readonly #max: number;
  readonly #jitter: number;
  readonly #random: () => number;
  /** The next delay before chance, and the last one. */
  #next: number;
  #last = 0;

  /**
   * Starts with the smallest delay.
   *
   * @param options the delays
   * @param random a number from 0 up to 1
   * @throws {RangeError} if an option is out of range
   */
  constructor(options: BackoffOptions, random: () => number) {
    const { minDelay = 100, maxDelay = 30_000, jitter = 0.5 } = options;
    const delay = { max: MAX_DELAY, fraction: true };
    checkOption("minDelay", minDelay, { min: 0, ...delay });
    checkOption("maxDelay", maxDelay, { min: minDelay, ...delay });
    checkOption("jitter", jitter, { min: 0, max: 1, fraction: true });
    this.#min = this.#next = minDelay;
    this.#max = maxDelay;
    this.#jitter = jitter;
    this.#random = random;
  }

  /**
   * A connection held for so many milliseconds: if that is more than was waited
   * for it, the next delay is the smallest again. One that is accepted and dies
   * at once does not make the next attempt come sooner.
   */
  held(duration: number): void {
    if (duration > this.#last) this.#next = this.#min;
  }

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    this.#last = this.#next * (1 - this.#jitter * this.#random());
    this.#next = Math.min(this.#max, Math.max(1, this.#next * 2));
    return this.#last;
  }
}

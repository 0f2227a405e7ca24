import { checkOption } from "../../check_option.ts";
import { limitWait, MAX_DELAY } from "../../time_limit.ts";
import { DEFAULT_RECONNECT_OPTIONS } from "../dial/dial.ts";
import type { BackoffOptions } from "./types.ts";

/** Exponential backoff with jitter. */
export class Backoff {
  readonly #min: number;
  readonly #max: number;
  readonly #jitter: number;
  readonly #random: () => number;
  /** The next delay, without jitter. */
  #next: number;
  /** The last delay, with jitter. */
  #last = 0;

  /**
   * Starts with the smallest delay.
   *
   * @param options the delays
   * @param random returns a number from 0 (inclusive) to 1 (exclusive)
   * @throws {RangeError} if an option is out of range
   */
  constructor(options: BackoffOptions, random: () => number) {
    const {
      minDelay = DEFAULT_RECONNECT_OPTIONS.minDelay,
      maxDelay = DEFAULT_RECONNECT_OPTIONS.maxDelay,
      jitter = DEFAULT_RECONNECT_OPTIONS.jitter,
    } = options;
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
   * Reports that a connection lasted `duration` milliseconds. If that is longer
   * than the delay before it, the delays start again with the smallest one: a
   * server that accepts connections and closes them at once is no reason to
   * reconnect sooner.
   */
  connectionLasted(duration: number): void {
    if (duration > this.#last) this.#next = this.#min;
  }

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    this.#last = this.#next * (1 - this.#jitter * this.#random());
    this.#next = Math.min(this.#max, Math.max(1, this.#next * 2));
    return this.#last;
  }
}

/** Resolves after `ms` milliseconds, or earlier when the signal aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    limitWait({ signal, timeout: ms }, () => resolve());
  });
}

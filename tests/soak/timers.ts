/**
 * Counts the timers of this process that have not run. A program imports this
 * module first, so that it sees the timers of all others.
 *
 * @module
 */
import { interceptTimers } from "../support/timers.ts";

/** The timers that were set, and did not run and were not cleared. */
export class TimerCount {
  readonly #waiting = new Set<unknown>();

  /** Replaces the global functions for timers. */
  constructor() {
    interceptTimers({
      onSet: (id) => this.#waiting.add(id),
      onGone: (id) => this.#waiting.delete(id),
    });
  }

  /** How many there are. */
  get count(): number {
    return this.#waiting.size;
  }
}

/** Those of this process. */
export const timers: TimerCount = new TimerCount();

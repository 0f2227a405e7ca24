/**
 * Counts the timers of this process that have not run. A program imports this
 * module first, so that it sees the timers of all others.
 *
 * @module
 */

/** The timers that were set, and did not run and were not cleared. */
export class TimerCount {
  readonly #waiting = new Set<unknown>();

  /** Replaces the global functions for timers. */
  constructor() {
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    const waiting = this.#waiting;
    type Callback = (...args: unknown[]) => void;
    const once = (callback: Callback, delay?: number, ...args: unknown[]) => {
      const id = setTimeout(
        (...args: unknown[]) => {
          waiting.delete(id);
          callback(...args);
        },
        delay,
        ...args,
      );
      waiting.add(id);
      return id;
    };
    const repeated = (callback: Callback, ...rest: [number?, ...unknown[]]) => {
      const id = setInterval(callback, ...rest);
      waiting.add(id);
      return id;
    };
    globalThis.setTimeout = once as typeof setTimeout;
    globalThis.setInterval = repeated as typeof setInterval;
    globalThis.clearTimeout = (id) => {
      waiting.delete(id);
      clearTimeout(id);
    };
    globalThis.clearInterval = (id) => {
      waiting.delete(id);
      clearInterval(id);
    };
  }

  /** How many there are. */
  get count(): number {
    return this.#waiting.size;
  }
}

/** Those of this process. */
export const timers: TimerCount = new TimerCount();

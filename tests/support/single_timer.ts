import { assert } from "@std/assert";

/**
 * A timer of the runtime, of which one may wait at a time, and a clock. Time passes
 * when a test says so.
 */
export class SingleTimer {
  now = 0;
  /** How many timers were started. */
  started = 0;
  /** The one that waits. */
  waiting: { at: number; expire: () => void } | undefined;

  /** Starts a timer, as `backgroundTimer()` does; returns what cancels it. */
  readonly start = (ms: number, expire: () => void): () => void => {
    assert(this.waiting === undefined, "two timers at once");
    this.started++;
    const timer = this.waiting = { at: this.now + ms, expire };
    return () => {
      if (this.waiting === timer) this.waiting = undefined;
    };
  };

  /** Lets this many milliseconds pass: what is due then runs, in order. */
  pass(ms: number): void {
    const end = this.now + ms;
    while (this.waiting !== undefined && this.waiting.at <= end) {
      const { at, expire } = this.waiting;
      this.waiting = undefined;
      this.now = Math.max(this.now, at);
      expire();
    }
    this.now = end;
  }
}

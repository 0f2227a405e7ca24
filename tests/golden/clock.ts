/**
 * The time of a replay. It passes only when nothing else can happen, as it did
 * for the recorder, so that the milliseconds in `does` are exact and take no
 * time.
 *
 * @module
 */

/** A wait for a moment. */
interface Sleeper {
  at: number;
  wake(): void;
}

/** A clock that stands until {@linkcode advance} moves it. */
export class ReplayClock {
  /** Called when a wait begins. */
  onSleep: () => void = () => {};
  #now = 0;
  #sleepers: Sleeper[] = [];

  /** Resolves when so many milliseconds have passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((wake) => this.after(ms, wake));
  }

  /** Calls back when so many milliseconds have passed. */
  after(ms: number, wake: () => void): void {
    const at = this.#now + ms;
    // After the earlier waits for the same moment.
    const place = this.#sleepers.findIndex((other) => other.at > at);
    this.#sleepers.splice(place < 0 ? this.#sleepers.length : place, 0, {
      at,
      wake,
    });
    this.onSleep();
  }

  /** A signal that aborts with the reference's words for a deadline. */
  deadline(ms: number): AbortSignal {
    const abort = new AbortController();
    const reason = new Error("context deadline exceeded");
    this.after(ms, () => abort.abort(reason));
    return abort.signal;
  }

  /** Moves to the next moment with a wait; false if there is none. */
  advance(): boolean {
    const next = this.#sleepers.shift();
    if (next === undefined) return false;
    this.#now = next.at;
    next.wake();
    return true;
  }
}

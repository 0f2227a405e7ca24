/** A monotonic clock, in milliseconds. */
export type Clock = () => number;

/**
 * A clock that reads the system's clock at most once a turn. Reading it costs as
 * much as queueing a frame, and one call would read it eight times.
 *
 * A *turn* is what this side does in response to one event of the event loop: it
 * starts when a chunk of bytes arrives (or a timer or promise of the application
 * fires), and lasts until the program waits for the next event. The frames of a
 * turn share one write, and bytes that arrive in a turn are lent from the
 * transport's buffer until it ends. The session calls {@linkcode tick} when bytes
 * arrive and when a write starts.
 */
export class TurnClock {
  readonly #read: Clock;
  #now: number | undefined;

  /** Makes a clock that reads `read`. */
  constructor(read: Clock) {
    this.#read = read;
  }

  /** The time at which the clock was first read in this turn, in milliseconds. */
  now(): number {
    return this.#now ??= this.#read();
  }

  /** Starts a new turn. */
  tick(): void {
    this.#now = undefined;
  }
}

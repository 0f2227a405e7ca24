/**
 * A clock that is looked at once a turn: asking the system costs as much as
 * queueing a frame, and one call would ask eight times.
 */
export class TurnClock {
  readonly #read: () => number;
  #now: number | undefined;

  /**
   * Makes a clock.
   *
   * @param read a monotonic clock, in milliseconds
   */
  constructor(read: () => number = () => performance.now()) {
    this.#read = read;
  }

  /** The time of the turn, in milliseconds: when somebody first asked in it. */
  now(): number {
    return this.#now ??= this.#read();
  }

  /** A new turn begins: bytes have come, or leave. */
  tick(): void {
    this.#now = undefined;
  }
}

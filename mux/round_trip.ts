/**
 * Milliseconds after which a question was not answered but its channel used
 * again: no path on Earth takes as long.
 */
const PATIENCE = 1_000;

/**
 * The shortest round trip of a session, measured on frames that it sends
 * anyway: from one that the peer answers as soon as it gets it (OPEN, CLOSE,
 * credit for a window used up) to what comes on the channel next. Either end
 * may be busy in between, so the shortest counts.
 */
export class RoundTrip {
  readonly #now: () => number;
  #shortest: number | undefined;
  /** One is measured at a time. */
  #probe: { id: number; sentAt: number } | undefined;

  /**
   * Has measured nothing yet.
   *
   * @param now a monotonic clock, in milliseconds
   */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The shortest so far, in milliseconds; undefined before there is one. */
  get shortest(): number | undefined {
    return this.#shortest;
  }

  /** A frame is on its way that the peer answers on channel `id`. */
  asked(id: number): void {
    const now = this.#now();
    if (this.#probe === undefined || now - this.#probe.sentAt > PATIENCE) {
      this.#probe = { id, sentAt: now };
    }
  }

  /** A frame came on channel `id`. */
  answered(id: number): void {
    if (this.#probe?.id !== id) return;
    const elapsed = this.#now() - this.#probe.sentAt;
    this.#shortest = Math.min(this.#shortest ?? Infinity, elapsed);
    this.#probe = undefined;
  }

  /** Channel `id` is over, and nothing comes on it. */
  forget(id: number): void {
    if (this.#probe?.id === id) this.#probe = undefined;
  }
}

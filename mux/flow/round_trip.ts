/**
 * Milliseconds after which a question was not answered but its channel used
 * again: no path on Earth takes as long.
 */
const PATIENCE = 1_000;

/**
 * The shortest round trip of a session, measured on frames that it sends
 * anyway: from one without which the peer could not go on with a channel (OPEN,
 * CONFIRM, credit for a window used up) to what the peer sends there next.
 *
 * The application there may take its time, so the shortest counts. It may not
 * be too short: what was under way before is no answer. So CLOSE is no
 * question, for DATA and the peer's own CLOSE may cross it.
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

  /** A frame is on its way that lets the peer go on with channel `id`. */
  asked(id: number): void {
    const now = this.#now();
    if (this.#probe === undefined || now - this.#probe.sentAt > PATIENCE) {
      this.#probe = { id, sentAt: now };
    }
  }

  /** The peer has gone on with channel `id`. */
  answered(id: number): void {
    if (this.#probe?.id !== id) return;
    this.atMost(this.#now() - this.#probe.sentAt);
    this.#probe = undefined;
  }

  /** Something has shown that a round trip takes no longer than that. */
  atMost(ms: number): void {
    this.#shortest = Math.min(this.#shortest ?? Infinity, ms);
  }

  /** Channel `id` is over, and nothing comes on it. */
  forget(id: number): void {
    if (this.#probe?.id === id) this.#probe = undefined;
  }
}

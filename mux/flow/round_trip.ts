/**
 * Milliseconds after which an unanswered probe makes way for the next one. No
 * network path on Earth takes as long.
 */
const PROBE_TIMEOUT = 1_000;

/** Measurements at the start, when each tells much. */
const EVERY_ONE = 16;
/**
 * Then, as many frames that could be probes are left out before the next one:
 * reading the clock for each would take a call one part in sixty of its time.
 */
const LEFT_OUT = 15;

/**
 * The shortest round trip of a session, measured on frames that the session
 * sends anyway. A probe is a frame that the peer needs before it can continue
 * with a channel (OPEN, OPEN_CONFIRM, or credit for a window used up); its answer
 * is the next OPEN_CONFIRM, OPEN_FAILURE or DATA for that channel.
 *
 * The peer's application may take its time, so the shortest measurement counts.
 * None may be too short: a frame that was under way before the probe is no
 * answer to it. CLOSE is therefore no probe, because DATA and the peer's own
 * CLOSE may cross it.
 */
export class RoundTrip {
  readonly #now: () => number;
  #shortest: number | undefined;
  #smoothed: number | undefined;
  /** The probe under way; there is one at a time. */
  #probe: { channelId: number; sentAt: number } | undefined;
  #measured = 0;
  /** How many frames are still left out. */
  #toLeaveOut = 0;

  /**
   * Starts without a measurement.
   *
   * @param now a monotonic clock, in milliseconds
   */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The shortest round trip so far, in milliseconds; undefined before the first. */
  get shortest(): number | undefined {
    return this.#shortest;
  }

  /**
   * The usual round trip, in milliseconds; undefined before the first. It is that
   * of OPENs, which the peer's session answers without its application, and follows
   * the latest ones as TCP's does: each counts for an eighth.
   */
  get smoothed(): number | undefined {
    return this.#smoothed;
  }

  /** Starts a measurement: a probe is being sent on a channel. */
  probeSent(channelId: number): void {
    if (this.#toLeaveOut > 0) {
      this.#toLeaveOut--;
      return;
    }
    const now = this.#now();
    if (this.#probe === undefined || now - this.#probe.sentAt > PROBE_TIMEOUT) {
      this.#probe = { channelId, sentAt: now };
    }
  }

  /**
   * Ends the measurement if its probe was sent on this channel.
   *
   * @param isOpen whether the probe was an OPEN
   */
  probeAnswered(channelId: number, isOpen = false): void {
    if (this.#probe?.channelId !== channelId) return;
    const ms = this.#now() - this.#probe.sentAt;
    this.observe(ms);
    if (isOpen) {
      const before = this.#smoothed ?? ms;
      this.#smoothed = before + (ms - before) / 8;
    }
    this.#probe = undefined;
    if (++this.#measured >= EVERY_ONE) this.#toLeaveOut = LEFT_OUT;
  }

  /** Takes a round trip of at most `ms` milliseconds into account. */
  observe(ms: number): void {
    this.#shortest = Math.min(this.#shortest ?? Infinity, ms);
  }

  /** Drops the probe of a channel that has closed. */
  forget(channelId: number): void {
    if (this.#probe?.channelId === channelId) this.#probe = undefined;
  }
}

/** Latencies of an action on a schedule, corrected for stalls. */
export class Latencies {
  readonly #interval: number;
  #samples: number[] = [];

  /** For an action that should begin every `interval` milliseconds. */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** The number of samples. */
  get count(): number {
    return this.#samples.length;
  }

  /**
   * Adds a latency. Actions that should have begun meanwhile were delayed: they
   * count too, each with an interval less than the one before.
   */
  add(ms: number): void {
    for (let rest = ms; rest > 0; rest -= this.#interval) {
      this.#samples.push(rest);
    }
    if (ms <= 0) this.#samples.push(0);
  }

  /** The latency that this share of all samples did not exceed; 0 if none. */
  quantile(share: number): number {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    const at = Math.ceil(share * sorted.length) - 1;
    return sorted[Math.max(0, at)] ?? 0;
  }

  /** Removes all samples. */
  clear(): void {
    this.#samples = [];
  }
}

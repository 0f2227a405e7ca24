/** Times that something took, as someone saw them who asked on schedule. */
export class Latencies {
  readonly #interval: number;
  #samples: number[] = [];

  /** Times of what should begin every `interval` milliseconds. */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** How many there are. */
  get count(): number {
    return this.#samples.length;
  }

  /**
   * Adds what one took. While it did, others could not begin: they would have
   * taken what was left of it, each an interval less.
   */
  add(ms: number): void {
    for (let rest = ms; rest > 0; rest -= this.#interval) {
      this.#samples.push(rest);
    }
    if (ms <= 0) this.#samples.push(0);
  }

  /** The time that a share of all did not exceed; 0 if there are none. */
  quantile(share: number): number {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    const at = Math.ceil(share * sorted.length) - 1;
    return sorted[Math.max(0, at)] ?? 0;
  }

  /** Forgets all. */
  clear(): void {
    this.#samples = [];
  }
}

import type { LatencyFigures } from "./types.ts";

/** Parts of an octave: a duration is known to within 5 %. */
const STEPS = 8;
/** Durations are counted from a microsecond up. */
const SHORTEST = 0.001;
/** 2^32 microseconds are more than an hour. */
const OCTAVES = 32;

/** A histogram of durations, in a fixed amount of memory. */
export class Latencies {
  readonly #counts = new Uint32Array(STEPS * OCTAVES);
  #count = 0;
  #max = 0;

  /** Counts a duration in milliseconds. */
  add(ms: number): void {
    const step = Math.ceil(Math.log2(ms / SHORTEST) * STEPS);
    // The negation also catches NaN.
    const index = step > 0 ? Math.min(step, this.#counts.length - 1) : 0;
    this.#counts[index]!++;
    this.#count++;
    if (ms > this.#max) this.#max = ms;
  }

  /** Adds the counts of another histogram. */
  addAll(others: Latencies): void {
    for (const [index, count] of others.#counts.entries()) {
      this.#counts[index]! += count;
    }
    this.#count += others.#count;
    this.#max = Math.max(this.#max, others.#max);
  }

  /** The quantiles and the longest duration; 0 if nothing was counted. */
  get figures(): LatencyFigures {
    return {
      p50: this.#atMost(0.5),
      p90: this.#atMost(0.9),
      p99: this.#atMost(0.99),
      max: rounded(this.#max),
    };
  }

  /** The duration that this fraction of them did not exceed. */
  #atMost(part: number): number {
    const wanted = this.#count * part;
    let seen = 0;
    for (const [index, count] of this.#counts.entries()) {
      seen += count;
      if (count > 0 && seen >= wanted) {
        // The middle of the interval whose durations are counted together.
        const middle = SHORTEST * 2 ** ((index - 0.5) / STEPS);
        return rounded(Math.min(middle, this.#max));
      }
    }
    return 0;
  }
}

/** Rounded to microseconds, the resolution of the measurements. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

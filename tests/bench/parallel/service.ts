/** How much is computed: about 2 ms on the machine of the log. */
const STEPS = 970_000;

/**
 * What `qtalk serve` serves. The work is counted, and not timed: workers that
 * share a core would both see the time pass.
 */
export default {
  compute(seed: number): number {
    let x = seed | 1;
    for (let i = 0; i < STEPS; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
    }
    return x;
  },
};

import type { Target } from "./target.ts";

/** Milliseconds that a target runs before another one may. */
const TURN = 500;

/**
 * Runs rounds of all targets for so many milliseconds. Each gets as much time, and not
 * as many turns: a round of some takes longer than many turns of others.
 */
export async function shareTime(
  targets: readonly Target[],
  ms: number,
  round: (target: Target) => void | Promise<void>,
  clock = () => performance.now(),
): Promise<void> {
  const spent = new Map(targets.map((target) => [target, 0]));
  const end = clock() + ms;
  for (let now = clock(); now < end;) {
    const [target, before] = [...spent].sort(([, a], [, b]) => a - b)[0]!;
    const begun = now;
    const turnEnd = Math.min(end, begun + TURN);
    do {
      await round(target);
      now = clock();
    } while (now < turnEnd);
    spent.set(target, before + now - begun);
  }
}

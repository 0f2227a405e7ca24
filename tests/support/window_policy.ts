import type { WindowPolicy } from "../../mux/flow/receive_window.ts";
import { WindowBudget } from "../../mux/flow/window_budget.ts";

/** Bytes. */
export const KIB = 1024;
/** Bytes. */
export const MIB = 1024 * KIB;

/** A policy whose clock and round trip the test sets. */
export interface TestPolicy extends WindowPolicy {
  /** What the clock shows, in milliseconds. */
  time: number;
  /** The shortest round trip, in milliseconds. */
  round: number | undefined;
  /** The shortest that a window has reported, in milliseconds. */
  seen: number;
}

/** A policy with the defaults of a session, or what the test wants instead. */
export function policy(
  { initial = 64 * KIB, max = 16 * MIB, budget = 64 * MIB, round = 10 }: {
    initial?: number;
    max?: number;
    budget?: number | WindowBudget;
    round?: number;
  } = {},
): TestPolicy {
  const made: TestPolicy = {
    time: 0,
    round,
    seen: Infinity,
    initialSize: initial,
    maxSize: max,
    budget: typeof budget === "number" ? new WindowBudget(budget) : budget,
    roundTrip: () => made.round,
    observeRoundTrip: (ms) => made.seen = Math.min(made.seen, ms),
    now: () => made.time,
  };
  return made;
}

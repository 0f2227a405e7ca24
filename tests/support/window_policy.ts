import {
  ReceiveWindow,
  type WindowMemory,
  type WindowPolicy,
} from "../../mux/flow/windows.ts";

/** Bytes. */
export const KIB = 1024;
/** Bytes. */
export const MIB = 1024 * KIB;

/** A fixed number of bytes by which windows may exceed their initial sizes. */
export class TestBudget implements WindowMemory {
  readonly #size: number;
  #initial = 0;
  #taken = 0;
  #refused = false;

  constructor(size: number) {
    this.#size = size;
  }

  /** Bytes that are left beyond the initial sizes of the open windows. */
  get left(): number {
    return this.#size + this.#initial - this.#taken;
  }

  get exhausted(): boolean {
    return this.#refused;
  }

  /** Takes the initial size of a window. */
  open(bytes: number): void {
    this.#initial += bytes;
    this.#taken += bytes;
  }

  /** A window has given back everything. */
  close(bytes: number): void {
    this.#initial -= bytes;
  }

  giveUnused(bytes: number): void {
    this.give(bytes);
  }

  take(bytes: number): boolean {
    this.#refused ||= bytes > this.left;
    if (bytes > this.left) return false;
    this.#taken += bytes;
    return true;
  }

  lend(bytes: number): number {
    const lent = Math.min(bytes, Math.floor(this.left - this.#size / 2));
    if (lent <= 0) return 0;
    this.#taken += lent;
    return lent;
  }

  give(bytes: number): void {
    if (bytes === 0) return;
    if (bytes > this.#taken) throw new Error("More is returned than was taken");
    this.#taken -= bytes;
    this.#refused = false;
  }
}

/** A policy whose clock and round trip the test sets. */
export interface TestPolicy extends WindowPolicy {
  /** Bytes of a new window. */
  readonly initialSize: number;
  readonly budget: TestBudget;
  /** What the clock shows, in milliseconds. */
  time: number;
  /** The shortest round trip, in milliseconds. */
  round: number | undefined;
  /** The shortest that a window has reported, in milliseconds. */
  seen: number;
}

/** A policy with sizes like the defaults, or what the test wants instead. */
export function policy(
  { initial = 64 * KIB, max = 16 * MIB, budget = 64 * MIB, round = 10 }: {
    initial?: number;
    max?: number;
    budget?: number | TestBudget;
    round?: number;
  } = {},
): TestPolicy {
  const made: TestPolicy = {
    time: 0,
    round,
    seen: Infinity,
    initialSize: initial,
    maxSize: max,
    budget: typeof budget === "number" ? new TestBudget(budget) : budget,
    roundTrip: {
      get shortest() {
        return made.round;
      },
      observe: (ms) => made.seen = Math.min(made.seen, ms),
    },
    clock: { now: () => made.time },
  };
  return made;
}

/** A window of the policy's initial size. */
export class TestWindow extends ReceiveWindow {
  readonly #policy: TestPolicy;
  #open = true;

  constructor(policy: TestPolicy) {
    super(policy, policy.initialSize);
    this.#policy = policy;
    policy.budget.open(policy.initialSize);
  }

  override release(): void {
    super.release();
    if (this.#open) this.#policy.budget.close(this.#policy.initialSize);
    this.#open = false;
  }
}

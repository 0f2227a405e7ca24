/** A value that libraries write or read differently. */
export type Delicate = number | bigint | string | Uint8Array;

/** The first of the doubles set apart; far below what a float 32 can be. */
const FIRST = 2 ** -600;
/** What lies between two of them: neighbouring doubles, so all is exact. */
const STEP = 2 ** -652;
const LAST = FIRST + (2 ** 32 - 1) * STEP;

/** Whether a number is of the range that is set apart. */
export function isSlot(number: number): boolean {
  return number >= FIRST && number <= LAST;
}

/**
 * Where libraries differ, they are given a number in place of the value, which
 * they all write and read alike: a double from a range that is set apart. What
 * it stands for is kept here. (A number of that range that a program does send
 * gets a slot of its own.)
 */
export class Slots {
  readonly #values: Delicate[] = [];

  /** Whether nothing was put in. */
  get empty(): boolean {
    return this.#values.length === 0;
  }

  /** Keeps `value`; returns the number that stands for it. */
  put(value: Delicate): number {
    return FIRST + STEP * (this.#values.push(value) - 1);
  }

  /** What a number of the range stands for. */
  get(slot: number): Delicate | undefined {
    return this.#values[(slot - FIRST) / STEP];
  }
}

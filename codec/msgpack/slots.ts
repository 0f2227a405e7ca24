/** A value that libraries encode or decode differently. */
export type Special = number | bigint | string | Uint8Array;

/** The first reserved double; far below what a float 32 can represent. */
const FIRST = 2 ** -600;
/** The distance of two reserved doubles: they are adjacent, so it is exact. */
const STEP = 2 ** -652;
const LAST = FIRST + (2 ** 32 - 1) * STEP;

/** Whether a number is a reserved double. */
export function isSlot(number: number): boolean {
  return number >= FIRST && number <= LAST;
}

/** Whether the eight bytes at an offset are a reserved double. */
export function isSlotAt(bytes: Uint8Array, at: number): boolean {
  // Sign, exponent and the 20 highest bits of the fraction are the same in all.
  return bytes[at] === 0x1a && bytes[at + 1] === 0x70 &&
    bytes[at + 2] === 0 && bytes[at + 3] === 0;
}

/**
 * Replaces values that libraries treat differently by numbers that they all
 * treat alike: doubles from a reserved range. A program's own number of that
 * range is replaced, too.
 */
export class Slots {
  readonly #values: Special[] = [];

  /** Whether there are no values. */
  get empty(): boolean {
    return this.#values.length === 0;
  }

  /** Keeps a value; returns the number that replaces it. */
  put(value: Special): number {
    return FIRST + STEP * (this.#values.push(value) - 1);
  }

  /** Returns the value that a number replaces. */
  get(slot: number): Special | undefined {
    return this.#values[(slot - FIRST) / STEP];
  }
}

import { CodecError } from "../errors.ts";

/**
 * Default limit in bytes for all partly received values of a session: 64 MiB,
 * which is four of the largest values, or a thousand of 64 KiB.
 */
export const DEFAULT_VALUE_BUDGET_SIZE = 64 * 1024 * 1024;

/** Limits the memory that the partly received values of one session share. */
export class ValueBudget {
  #left: number;

  /** Makes a budget of `size` bytes. */
  constructor(size: number = DEFAULT_VALUE_BUDGET_SIZE) {
    this.#left = size;
  }

  /** Bytes that are not taken. */
  get left(): number {
    return this.#left;
  }

  /**
   * Takes bytes from the budget.
   *
   * @throws {CodecError} `too-large` if fewer bytes are left
   */
  take(bytes: number): void {
    if (bytes > this.#left) {
      throw new CodecError(
        "too-large",
        `Cannot read value: it needs ${bytes} bytes more, but only ${this.#left} bytes are left for partly received values`,
      );
    }
    this.#left -= bytes;
  }

  /** Returns bytes to the budget. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}

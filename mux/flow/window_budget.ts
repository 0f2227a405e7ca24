import { InvariantError } from "../errors.ts";

/**
 * The memory that the receive windows of a session share beyond their initial
 * sizes. It counts granted credit, because a grant cannot be taken back.
 */
export class WindowBudget {
  readonly #size: number;
  #left: number;
  #refused = false;

  /** Makes a budget of `size` bytes. */
  constructor(size: number) {
    this.#size = this.#left = size;
  }

  /** Bytes not granted to any window. */
  get left(): number {
    return this.#left;
  }

  /** Whether a window asked for more than was left, and none has returned any since. */
  get exhausted(): boolean {
    return this.#refused;
  }

  /** Takes `bytes` if as many are left; returns whether it did. */
  take(bytes: number): boolean {
    if (bytes > this.#left) {
      this.#refused = true;
      return false;
    }
    this.#left -= bytes;
    return true;
  }

  /**
   * Takes up to `bytes` for a short time; returns how many. Half of the budget is
   * never lent, so that windows can still grow.
   */
  lend(bytes: number): number {
    const lent = Math.min(bytes, Math.floor(this.#left - this.#size / 2));
    if (lent <= 0) return 0;
    this.#left -= lent;
    return lent;
  }

  /**
   * Returns `bytes` to the budget.
   *
   * @throws {InvariantError} if that is more than was taken
   */
  give(bytes: number): void {
    if (bytes === 0) return;
    if (bytes > this.#size - this.#left) {
      throw new InvariantError(
        `Cannot return ${bytes} bytes to the window budget: ${
          this.#size - this.#left
        } are in use`,
      );
    }
    this.#left += bytes;
    this.#refused = false;
  }
}

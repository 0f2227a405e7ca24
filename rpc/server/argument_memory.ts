import type { ValueMemory } from "../../codec/internal.ts";

/**
 * How many times the bytes of an argument it takes until it is decoded: itself,
 * and twice as much for the text that it becomes.
 */
const MEMORY_PER_BYTE = 3;

/** What an argument takes in addition is at most this part of the account. */
const LARGE_PART = 4;

/**
 * Where the arguments of calls are read into: an argument begins when there is
 * memory for what it will be decoded to. Otherwise several that arrive at the same
 * time could each fit, and be too large together as soon as they are decoded.
 */
export class ArgumentMemory implements ValueMemory {
  readonly #values: ValueMemory;
  readonly #large: number;

  /** Makes memory that is taken from `values`, of an account of `limit` bytes. */
  constructor(values: ValueMemory, limit: number) {
    this.#values = values;
    this.#large = Math.min(limit / LARGE_PART, values.largest);
  }

  get largest(): number {
    return this.#values.largest;
  }

  #sizeOf(bytes: number): number {
    return Math.max(
      bytes,
      Math.min(bytes * MEMORY_PER_BYTE, this.#large),
    );
  }

  canTake(bytes: number): boolean {
    return this.#values.canTake(this.#sizeOf(bytes));
  }

  tryTake(bytes: number): boolean {
    return this.#values.tryTake(this.#sizeOf(bytes));
  }

  give(bytes: number): void {
    this.#values.give(this.#sizeOf(bytes));
  }

  whenFree(bytes: number, callback: () => void): () => void {
    return this.#values.whenFree(this.#sizeOf(bytes), callback);
  }
}

import type { ValueMemory } from "../../codec/internal.ts";

/**
 * How many times the bytes of an argument it takes until it is decoded: itself,
 * and twice as much for the text that it becomes.
 */
const MEMORY_PER_BYTE = 3;

/**
 * Where the arguments of calls are read into: an argument begins when there is
 * memory for what it will be decoded to. Otherwise several that arrive at the same
 * time could each fit, and be too large together as soon as they are decoded.
 */
export class ArgumentMemory implements ValueMemory {
  readonly #values: ValueMemory;

  /** Makes memory that is taken from `values`. */
  constructor(values: ValueMemory) {
    this.#values = values;
  }

  get largest(): number {
    return this.#values.largest / MEMORY_PER_BYTE;
  }

  canTake(bytes: number): boolean {
    return this.#values.canTake(bytes * MEMORY_PER_BYTE);
  }

  tryTake(bytes: number): boolean {
    return this.#values.tryTake(bytes * MEMORY_PER_BYTE);
  }

  give(bytes: number): void {
    this.#values.give(bytes * MEMORY_PER_BYTE);
  }

  whenFree(bytes: number, callback: () => void): () => void {
    return this.#values.whenFree(bytes * MEMORY_PER_BYTE, callback);
  }
}

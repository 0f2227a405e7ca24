/**
 * Where a `ValueReader` takes the memory of values from. It counts bytes and
 * allocates nothing; several readers share one.
 */
export interface ValueMemory {
  /** The most that can ever be taken at once, in bytes. */
  readonly largest: number;
  /** Whether {@linkcode tryTake} would take `bytes`. */
  canTake(bytes: number): boolean;
  /** Takes `bytes` if they are free; returns whether it did. */
  tryTake(bytes: number): boolean;
  /** Gives `bytes` back that were taken. */
  give(bytes: number): void;
  /**
   * Takes `bytes` once they are free, then calls `callback`, but not within this
   * method. Returns a function that gives up waiting.
   */
  whenFree(bytes: number, callback: () => void): () => void;
}

/** Memory without a limit of its own: only the size of each value is limited. */
export const UNLIMITED: ValueMemory = Object.freeze({
  largest: Infinity,
  canTake: () => true,
  tryTake: () => true,
  give() {},
  whenFree: (): () => void => {
    throw new Error("Cannot wait for memory: there is no limit");
  },
});

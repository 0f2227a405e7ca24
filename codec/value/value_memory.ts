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
  /** Whether even a small value has to wait. Default: no. */
  readonly isFull?: boolean;
  /**
   * Whether an encoded value can be used that takes nothing, because all of it has
   * arrived at once. Default: whether its bytes can be taken.
   */
  canUse?(value: Uint8Array): boolean;
  /** What a value of `bytes` takes while it arrives. Default: its bytes. */
  needFor?(bytes: number): number;
  /**
   * Asks whether an encoded value that has arrived may be used, for which more may
   * be needed than was `taken`. Returns undefined if it may; otherwise calls
   * `callback` later, and returns a function that gives up waiting.
   */
  whenUsable?(
    value: Uint8Array,
    taken: number,
    callback: () => void,
  ): (() => void) | undefined;
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

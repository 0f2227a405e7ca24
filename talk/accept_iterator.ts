import { Queue } from "../queue.ts";
import type { WaitOptions } from "../mux/internal.ts";

/** Items that an iterator keeps until they are taken; it skips any further. */
const QUEUE_LENGTH = 128;

/** A call of `next()` that waits for an item. */
interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
}

/** Iterates over what a listener accepts. */
export class AcceptIterator<T>
  implements AsyncIterator<T, undefined, WaitOptions | undefined> {
  readonly #onReturn: () => void;
  readonly #queue = new Queue<T>();
  readonly #waiters = new Set<Waiter<T>>();
  #ended = false;

  /** Calls `onReturn` when the loop over this iterator is left. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  /** Gives the iterator an item. */
  push(value: T): void {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      waiter.resolve({ done: false, value });
    } else if (this.#queue.length < QUEUE_LENGTH) this.#queue.push(value);
  }

  /** Ends the iterator after the items in its queue. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters) {
      waiter.resolve({ done: true, value: undefined });
    }
    this.#waiters.clear();
  }

  next(
    { signal }: WaitOptions = {},
  ): Promise<IteratorResult<T, undefined>> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#queue.length > 0) {
      return Promise.resolve({ done: false, value: this.#queue.shift()! });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    const { promise, resolve, reject } = Promise.withResolvers<
      IteratorResult<T, undefined>
    >();
    if (signal === undefined) {
      this.#waiters.add({ resolve });
      return promise;
    }
    const waiter: Waiter<T> = {
      resolve(result) {
        signal.removeEventListener("abort", onAbort);
        resolve(result);
      },
    };
    const onAbort = () => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiters.add(waiter);
    return promise;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#onReturn();
    this.#queue.clear();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }
}

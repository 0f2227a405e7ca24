import { Queue } from "../../queue.ts";
import type { WaitOptions } from "../../mux/internal.ts";

/** Items that an iterator keeps until they are taken; it skips any further. */
export const QUEUE_LENGTH = 128;

/** An item that a listener offers to all of its iterators. */
export interface Offer<T> {
  readonly item: T;
  /** Iterators that keep it until it is taken. */
  holders: number;
  /** Whether a loop has been given it. */
  taken: boolean;
}

/** A call of `next()` that waits for an item. */
interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
}

/** Iterates over what a listener accepts. */
export class AcceptIterator<T>
  implements AsyncIterator<T, undefined, WaitOptions | undefined> {
  readonly #onReturn: (left: Iterable<Offer<T>>) => void;
  readonly #queue = new Queue<Offer<T>>();
  readonly #waiters = new Set<Waiter<T>>();
  #ended = false;

  /**
   * Makes an iterator.
   *
   * @param onReturn is called when the loop over it is left, with what it kept
   */
  constructor(onReturn: (left: Iterable<Offer<T>>) => void) {
    this.#onReturn = onReturn;
  }

  /** Gives the iterator an item; returns false if it skips it. */
  push(offer: Offer<T>): boolean {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      offer.taken = true;
      waiter.resolve({ done: false, value: offer.item });
    } else {
      if (this.#queue.length >= QUEUE_LENGTH) return false;
      offer.holders++;
      this.#queue.push(offer);
    }
    return true;
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
    const offer = this.#queue.shift();
    if (offer !== undefined) {
      offer.holders--;
      offer.taken = true;
      return Promise.resolve({ done: false, value: offer.item });
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
    const left = [...this.#queue];
    this.#queue.clear();
    this.end();
    for (const offer of left) offer.holders--;
    this.#onReturn(left);
    return Promise.resolve({ done: true, value: undefined });
  }
}

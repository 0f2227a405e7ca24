import { reasonOf } from "../../abort_reason.ts";
import { rejectedBy } from "../../check_option.ts";
import type { WaitOptions } from "../../mux/internal.ts";
import { Queue } from "../../queue.ts";

/** Items that an iterator keeps until they are taken; it skips any further. */
export const QUEUE_LENGTH = 128;

/** An item that a listener offers to all of its iterators. */
export interface Offer<T> {
  readonly item: T;
  /** Iterators that keep it until it is taken. */
  holders: number;
  /** Whether a loop has got it. */
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
    const rejected = rejectedBy(signal);
    if (rejected !== undefined) return rejected;
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
      reject(reasonOf(signal));
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

/** Items that are useless unless a loop gets them. */
export interface Needy<T> {
  /** Whether an item may still wait for a loop. */
  mayWait(item: T): boolean;
  /** Called with an item that no loop gets. */
  onUnclaimed(item: T): void;
}

/** The iterators of a listener, and the items that wait for the first one. */
export class Iterators<T> {
  readonly #needy: Needy<T> | undefined;
  readonly #iterators = new Set<AcceptIterator<T>>();
  readonly #unclaimed = new Set<T>();
  #skipped = 0;

  /** @param needy given if items are useless unless a loop gets them */
  constructor(needy: Needy<T> | undefined) {
    this.#needy = needy;
  }

  /** How many items were skipped, because too many were waiting. */
  get skipped(): number {
    return this.#skipped;
  }

  /**
   * Makes another iterator, which gets the items that wait.
   *
   * @param isOpen whether more items may come
   */
  add(isOpen: boolean): AcceptIterator<T> {
    const iterator: AcceptIterator<T> = new AcceptIterator((left) => {
      this.#iterators.delete(iterator);
      for (const offer of left) this.#keep(offer);
    });
    for (const item of this.#unclaimed) {
      iterator.push({ item, holders: 0, taken: false });
    }
    this.#unclaimed.clear();
    if (isOpen) this.#iterators.add(iterator);
    else iterator.end();
    return iterator;
  }

  /** Gives an item to all loops. */
  offer(item: T): void {
    const offer: Offer<T> = { item, holders: 0, taken: false };
    for (const iterator of this.#iterators) {
      if (!iterator.push(offer)) this.#skipped++;
    }
    this.#keep(offer);
  }

  /** An item has ended, and no longer waits. */
  forget(item: T): void {
    this.#unclaimed.delete(item);
  }

  /** Ends all iterators after the items that they keep. */
  end(): void {
    for (const iterator of this.#iterators) iterator.end();
    this.#iterators.clear();
  }

  /** Keeps an item for the next loop, or gives it up, if it needs a loop. */
  #keep({ item, holders, taken }: Offer<T>): void {
    if (this.#needy === undefined || taken || holders > 0) return;
    if (!this.#needy.mayWait(item)) return;
    if (this.#iterators.size === 0) {
      if (this.#unclaimed.size < QUEUE_LENGTH) {
        this.#unclaimed.add(item);
        return;
      }
      this.#skipped++;
    }
    this.#needy.onUnclaimed(item);
  }
}

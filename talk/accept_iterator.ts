/** Items that wait to be taken; the next ones pass the iteration by. */
const QUEUE_LENGTH = 128;

/** One loop over what a listener accepts. */
export class Iteration<T> implements AsyncIterator<T, undefined> {
  readonly #onReturn: () => void;
  #queue: T[] = [];
  #waiting: ((result: IteratorResult<T, undefined>) => void)[] = [];
  #ended = false;

  /** Starts a loop; `onReturn` is told when whoever loops has left it. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  /** Gives an item to the loop. */
  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting({ done: false, value });
    else if (this.#queue.length < QUEUE_LENGTH) this.#queue.push(value);
  }

  /** There is nothing more behind what is queued. */
  end(): void {
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) {
      waiting({ done: true, value: undefined });
    }
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#queue.length > 0) {
      return Promise.resolve({ done: false, value: this.#queue.shift()! });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#onReturn();
    this.#queue = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }
}

/**
 * An iterator over received values. Unlike an async generator, it can be left
 * while it waits: `return()` does not queue after `next()`.
 */
export class ValueIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #receive: () => Promise<T | undefined>;
  readonly #close: () => void | Promise<void>;
  #closed = false;
  /** Calls of `next()` that wait, and the result of the latest. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Makes an iterator.
   *
   * @param receive returns the next value, undefined at the end
   * @param close called once: at the end, after an error, or on leaving the loop
   */
  constructor(
    receive: () => Promise<T | undefined>,
    close: () => void | Promise<void>,
  ) {
    this.#receive = receive;
    this.#close = close;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const run = () => this.#next();
    const result = this.#waiting++ === 0 ? run() : this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.#closeOnce();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    try {
      const value = this.#closed ? undefined : await this.#receive();
      if (value !== undefined && !this.#closed) return { done: false, value };
    } catch (error) {
      // An error after leaving the loop is of no interest.
      if (!this.#closed) {
        await this.#closeOnce();
        throw error;
      }
    } finally {
      this.#waiting--;
    }
    await this.#closeOnce();
    return { done: true, value: undefined };
  }

  async #closeOnce(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#close();
  }
}

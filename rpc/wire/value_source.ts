/**
 * Streams of values that a program hands over: where they come from, and how to
 * stop them.
 *
 * @module
 */

/** What is sent as many values, one each. */
export type ValueStream<T = unknown> = AsyncIterable<T> | ReadableStream<T>;

/** Whether a value is sent as many. */
export function isValueStream(value: unknown): value is ValueStream {
  if (typeof value !== "object" || value === null) return false;
  const { [Symbol.asyncIterator]: iterate, getReader } = value as Partial<
    AsyncIterable<unknown> & ReadableStream<unknown>
  >;
  return iterate !== undefined || getReader !== undefined;
}

/** Values to send. */
export interface ValueSource {
  /** The next value. */
  next(): Promise<IteratorResult<unknown>>;
  /** Nobody wants more: lets the producer go. Never throws. */
  stop(reason: unknown): void;
}

/**
 * Takes the values of a stream.
 *
 * @throws {TypeError} if somebody else has taken it already
 */
export function openSource(values: ValueStream): ValueSource {
  return values instanceof ReadableStream
    ? streamSource(values)
    : iteratorSource(values);
}

/**
 * A stream is read by a reader: one that waits can be cancelled, where the
 * stream's iterator would wait for what never comes.
 */
function streamSource(stream: ReadableStream<unknown>): ValueSource {
  const reader = stream.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    stop(reason) {
      reader.cancel(reason).catch(() => {});
    },
  };
}

function iteratorSource(values: AsyncIterable<unknown>): ValueSource {
  const iterator = values[Symbol.asyncIterator]();
  let stopped = false;
  return {
    next: () => iterator.next(),
    async stop() {
      if (stopped) return;
      stopped = true;
      try {
        await iterator.return?.();
      } catch {
        // How the producer takes that is its own business.
      }
    },
  };
}

/**
 * An iterator over values that somebody receives. Unlike an async generator, it
 * can be left while it waits: `return()` does not stand behind `next()`.
 */
export class ValueIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #receive: () => Promise<T | undefined>;
  readonly #close: () => void | Promise<void>;
  #over = false;
  /** Calls of `next()` that wait, and the latest of them. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Makes an iterator.
   *
   * @param receive the next value, undefined at the end
   * @param close called once, at the end, after an error, or on leaving
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
    await this.#leave();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    try {
      const value = this.#over ? undefined : await this.#receive();
      if (value !== undefined && !this.#over) return { done: false, value };
    } catch (error) {
      // Who has left wants to hear no more of it.
      if (!this.#over) {
        await this.#leave();
        throw error;
      }
    } finally {
      this.#waiting--;
    }
    await this.#leave();
    return { done: true, value: undefined };
  }

  async #leave(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#close();
  }
}

/**
 * Streams of values that a program gives to be sent.
 *
 * @module
 */

/** What is sent as many values, one after the other. */
export type ValueStream<T = unknown> = AsyncIterable<T> | ReadableStream<T>;

/** Whether a value is sent as many values. */
export function isValueStream(value: unknown): value is ValueStream {
  if (typeof value !== "object" || value === null) return false;
  const { [Symbol.asyncIterator]: iterate, getReader } = value as Partial<
    AsyncIterable<unknown> & ReadableStream<unknown>
  >;
  return iterate !== undefined || getReader !== undefined;
}

/** A stream of values that is being sent. */
export interface ValueSource {
  /** The next value. */
  next(): Promise<IteratorResult<unknown>>;
  /** Ends the producer, because no more values are needed. Never throws. */
  stop(reason: unknown): void;
}

/**
 * Starts to take the values of a stream.
 *
 * @param values the stream
 * @param onStopError called with what the producer throws when it is stopped
 * @throws {TypeError} if the stream is locked
 */
export function openSource(
  values: ValueStream,
  onStopError: (error: unknown) => void = () => {},
): ValueSource {
  return values instanceof ReadableStream
    ? streamSource(values, onStopError)
    : iteratorSource(values, onStopError);
}

/**
 * Streams are read by a reader. It can be cancelled while it waits, whereas the
 * stream's iterator would wait for its next value first.
 */
function streamSource(
  stream: ReadableStream<unknown>,
  onStopError: (error: unknown) => void,
): ValueSource {
  const reader = stream.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    stop(reason) {
      reader.cancel(reason).catch(onStopError);
    },
  };
}

function iteratorSource(
  values: AsyncIterable<unknown>,
  onStopError: (error: unknown) => void,
): ValueSource {
  const iterator = values[Symbol.asyncIterator]();
  let stopped = false;
  return {
    next: () => iterator.next(),
    async stop() {
      if (stopped) return;
      stopped = true;
      try {
        await iterator.return?.();
      } catch (error) {
        // The producer has ended either way.
        onStopError(error);
      }
    },
  };
}

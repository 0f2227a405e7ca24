/**
 * Streams of values that a program gives to be sent.
 *
 * @module
 */
import type { Codec } from "../../codec/internal.ts";

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
  /**
   * The next value. What takes it calls {@linkcode checkResult}: done here, that would
   * take a turn of the microtask queue, and a generator's first error would come too
   * late to be an error response.
   */
  next(): Promise<IteratorResult<unknown>>;
  /** Ends the producer, because no more values are needed. Never throws. */
  stop(reason: unknown): void;
}

/**
 * A stream that is the only argument of a method. Its values are sent in place of
 * the argument, and its method may still take it for an argument.
 */
export class SoleArgument implements AsyncIterable<unknown> {
  readonly stream: ValueStream;

  /** Marks the stream. */
  constructor(stream: ValueStream) {
    this.stream = stream;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return iteratorOf(openSource(this.stream));
  }
}

/**
 * What is left of a stream of which a value has been taken. It is a stream of
 * bytes, and lent in place of the argument that it was.
 */
export class RestOfStream implements AsyncIterable<unknown> {
  readonly #first: unknown;
  readonly #rest: ValueSource;

  /** Puts a value back in front of those of `rest`. */
  constructor(first: unknown, rest: ValueSource) {
    this.#first = first;
    this.#rest = rest;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const iterator = iteratorOf(this.#rest);
    let isFirst = true;
    return {
      ...iterator,
      next: () => {
        if (!isFirst) return iterator.next();
        isFirst = false;
        return Promise.resolve({ done: false, value: this.#first });
      },
    };
  }
}

function iteratorOf(source: ValueSource): AsyncIterator<unknown> {
  return {
    next: () => source.next(),
    return(value) {
      source.stop(undefined);
      return Promise.resolve({ done: true, value });
    },
  };
}

/** The largest piece of a stream of bytes: a peer may refuse larger values. */
const MAX_PIECE = 64 * 1024;

/** Whether a codec decodes bytes to bytes. */
export function carriesBytes(codec: Codec): boolean {
  return codec.decode(codec.encode(new Uint8Array(1))) instanceof Uint8Array;
}

/**
 * Starts to take the values of a stream.
 *
 * @param values the stream
 * @param onStopError called with what the producer throws when it is stopped
 * @param divides whether large chunks of bytes of a `ReadableStream` are divided,
 * since chunks have no meaning there. Those of a stream that is the only argument
 * always are. Default: they are not
 * @throws {TypeError} if the stream is locked
 */
export function openSource(
  values: ValueStream,
  onStopError: (error: unknown) => void = () => {},
  divides = false,
): ValueSource {
  if (values instanceof SoleArgument) {
    return openSource(values.stream, onStopError, true);
  }
  return values instanceof ReadableStream
    ? streamSource(values, onStopError, divides)
    : iteratorSource(values, onStopError);
}

/**
 * Streams are read by a reader. It can be cancelled while it waits, whereas the
 * stream's iterator would wait for its next value first.
 */
function streamSource(
  stream: ReadableStream<unknown>,
  onStopError: (error: unknown) => void,
  divides: boolean,
): ValueSource {
  const reader = stream.getReader();
  let rest: Uint8Array | undefined;
  const pieceOf = (bytes: Uint8Array): IteratorResult<unknown> => {
    rest = bytes.length > MAX_PIECE ? bytes.subarray(MAX_PIECE) : undefined;
    return { done: false, value: bytes.subarray(0, MAX_PIECE) };
  };
  const read = () => reader.read() as Promise<IteratorResult<unknown>>;
  return {
    next: !divides ? read : async () => {
      if (rest !== undefined) return pieceOf(rest);
      const result = await read();
      return result.value instanceof Uint8Array
        ? pieceOf(result.value)
        : result;
    },
    stop(reason) {
      reader.cancel(reason).catch((error) => {
        // A stream that has failed is stopped because of that error.
        if (error !== reason) onStopError(error);
      });
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
    // A result that is not a promise is one for `for await`, too.
    next: () => Promise.resolve(iterator.next()),
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

/**
 * Returns what an iterator has given. Without this check, a number would stand for
 * endless values of `undefined`, since it has no member `done`.
 *
 * @throws {TypeError} if it is no object, as in a `for await` loop
 */
export function checkResult<R extends IteratorResult<unknown>>(result: R): R {
  if (Object(result) === result) return result;
  throw new TypeError(`Iterator result ${String(result)} is not an object`);
}

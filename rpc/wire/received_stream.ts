/**
 * Received values as a stream for a program. Nothing of it is needed to make calls:
 * what is given streams, or sent them, loads it.
 *
 * @module
 */
import { ValueIterator } from "./value_iterator.ts";

/** What a received stream is read from. */
export interface ReceivedValues {
  /** The next value; undefined at the end. */
  next(): Promise<unknown>;
  /** Called once: at the end, after an error, or when the stream is cancelled. */
  close(): void;
}

/**
 * Makes a stream that takes a value when it is read, and none ahead.
 *
 * @param bytes whether all values are bytes
 */
export function receivedStream(
  values: ReceivedValues,
  bytes: boolean,
): ReadableStream<unknown> {
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    values.close();
  };
  const next = async () => {
    try {
      for (;;) {
        const value = await values.next();
        if (!bytes || value === undefined) return value;
        const chunk = ownBytes(value);
        if (chunk.length > 0) return chunk;
      }
    } catch (error) {
      close();
      throw error;
    }
  };
  const source = {
    async pull(controller: Controller) {
      const value = await next();
      if (closed) return;
      if (value !== undefined) {
        controller.enqueue(value as Uint8Array<ArrayBuffer>);
        return;
      }
      close();
      controller.close();
      if ("byobRequest" in controller) controller.byobRequest?.respond(0);
    },
    cancel: close,
  };
  // Safari has no byte streams yet; there, BYOB readers are not available.
  const type = bytes && typeof ReadableByteStreamController === "function"
    ? "bytes"
    : undefined;
  const stream = new ReadableStream(
    { ...source, type } as UnderlyingSource<unknown>,
    { highWaterMark: 0 },
  );
  return iterable(stream);
}

type Controller =
  | ReadableStreamDefaultController<unknown>
  | ReadableByteStreamController;

/** Bytes that are alone in their buffer: a byte stream takes the whole buffer. */
function ownBytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(
      "Cannot read stream of bytes: a value is not a Uint8Array",
    );
  }
  return value.length === value.buffer.byteLength
    ? value
    : new Uint8Array(value);
}

/** Adds the iterator that streams of some browsers do not have. */
export function iterable(
  stream: ReadableStream<unknown>,
): ReadableStream<unknown> {
  if (!(Symbol.asyncIterator in stream)) {
    Object.defineProperty(stream, Symbol.asyncIterator, {
      value(this: ReadableStream<unknown>) {
        const reader = this.getReader();
        return new ValueIterator(
          async () => (await reader.read()).value,
          () => reader.cancel(),
        );
      },
    });
  }
  return stream;
}

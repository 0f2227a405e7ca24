/**
 * The argument of a call as a stream, however it was sent.
 *
 * @module
 */
import { printableText } from "../../printable_text.ts";
import { isWholeArgument } from "../callback/remote_function.ts";
import { CallError } from "../errors.ts";
import type { ServerCall } from "../server/server_call.ts";
import { receivedStream } from "../wire/received_stream.ts";
import { ValueIterator } from "../wire/value_receiver.ts";
import { isValueStream, type ValueStream } from "../wire/value_source.ts";

/**
 * The values for a function that wants a stream: those that the caller streams,
 * those of a stream that is the only argument, or the one value that was sent.
 */
export function argumentValues(call: ServerCall): AsyncIterable<unknown> {
  // The wire does not say what others have sent: they may send more, or an end.
  return call.request.extended ? iterate(call) : call.stream();
}

/** What the caller streams, as the only argument of a function. */
export function streamedArgument(call: ServerCall): ReadableStream<unknown> {
  const values = iterate(call);
  return receivedStream({
    next: async () => (await values.next()).value,
    // What the caller still has stays unread, and ends with the call.
    close: () => void values.return!(),
  }, false);
}

function iterate(call: ServerCall): AsyncIterableIterator<unknown> {
  let inner: AsyncIterator<unknown> | undefined;
  let isFirst = true;
  let isOver = false;
  const useInner = (stream: ValueStream) => {
    inner = (stream as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  };
  const receiveFirst = async (): Promise<unknown> => {
    isFirst = false;
    const first = await streamed.next();
    if (first.done) return undefined;
    const { value } = first;
    const { stream } = call.request;
    if (stream === true) {
      if (!isWholeArgument(value)) return value;
      return await receiveFrom(value);
    }
    const isList = Array.isArray(value) || value === null;
    // An older version does not say that it streams.
    if (stream === undefined && !isList) return value;
    isOver = true;
    const args = isList ? value ?? [] : [value];
    if (args.length > 1) {
      throw new CallError(
        `Cannot call "${
          printableText(call.selector)
        }": expected 1 stream, got ${args.length} arguments`,
        { code: "bad-arguments" },
      );
    }
    return isValueStream(args[0]) ? await receiveFrom(args[0]) : args[0];
  };
  const receiveFrom = async (stream: ValueStream): Promise<unknown> => {
    useInner(stream);
    return await receive();
  };
  const receive = async (): Promise<unknown> => {
    if (isFirst) return await receiveFirst();
    if (inner !== undefined) return (await inner.next()).value;
    return isOver ? undefined : (await streamed.next()).value;
  };
  const streamed = call.stream()[Symbol.asyncIterator]();
  return new ValueIterator(receive, () => void inner?.return?.());
}

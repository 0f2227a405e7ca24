/**
 * Calls functions that answer calls: with the arguments of an array, or with a
 * stream.
 *
 * @module
 */
import { CallError } from "../errors.ts";
import { printableText } from "../../printable_text.ts";
import type { Call, Responder } from "../types.ts";
import { receivedStream } from "../wire/received_stream.ts";
import { absent } from "../wire/value_receiver.ts";
import { ValueIterator } from "../wire/value_iterator.ts";
import { isServerCall } from "./invoke.ts";
import { respondWith } from "./respond_with.ts";
import { isWholeArgument } from "../callback/pointers.ts";
import type { FunctionToCall, ServerCall } from "../server/server_call.ts";
import { isValueStream, type ValueStream } from "../wire/value_source.ts";

/** The most arguments of a function: more could overflow the stack. */
const MAX_PARAMS = 32_768;

/** Answers a call with what a function returns. */
export function callFunction(
  called: FunctionToCall,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  if (called.wants === "stream") return callWithStream(called, call, respond);
  if (!isServerCall(call)) {
    return call.receive().then((args) => callWith(args, called, call, respond));
  }
  if (call.request.stream) {
    return callWith([streamedArgument(call)], called, call, respond);
  }
  const args = call.receiveNow();
  return args === absent
    ? call.receive().then((args) => callWith(args, called, call, respond))
    : callWith(args, called, call, respond);
}

function callWith(
  args: unknown,
  { fn, owner, wants, expected }: FunctionToCall,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  const params = args ?? [];
  if (!Array.isArray(params)) throw notAnArray(params, call);
  // A function does not say which of its parameters are optional. Callers of
  // this package have types for that, so what they leave out is `undefined`.
  if (params.length < expected && !isExtended(call)) {
    throw badArguments(
      `fn: expected ${expected} params, got ${params.length}`,
    );
  }
  if (params.length > MAX_PARAMS) throw tooMany(params.length, call);
  const result = wants === undefined
    ? fn.apply(owner, params as never[])
    : fn.apply(owner, [call, ...params] as never[]);
  return respondWith(result, call, respond);
}

/** The error for a caller that sent other arguments than the function takes. */
function badArguments(text: string): CallError {
  return new CallError(text, { code: "bad-arguments" });
}

/** Whether the caller is known to be extended. */
function isExtended(call: Call): boolean {
  return isServerCall(call) && call.request.extended;
}

function notAnArray(args: unknown, call: Call): CallError {
  return badArguments(
    isExtended(call)
      ? `Cannot call ${
        quoted(call)
      }: expected an array of arguments, got ${typeof args}`
      : `fn: args: expected an array, got ${typeof args}`,
  );
}

function tooMany(count: number, call: Call): CallError {
  return badArguments(
    isExtended(call)
      ? `Cannot call ${
        quoted(call)
      }: expected at most ${MAX_PARAMS} arguments, got ${count}`
      : `fn: expected at most ${MAX_PARAMS} params, got ${count}`,
  );
}

function quoted({ selector }: Call): string {
  return `"${printableText(selector)}"`;
}

function callWithStream(
  { fn, owner }: FunctionToCall,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  const values = isServerCall(call) ? argumentValues(call) : call;
  const result = fn.apply(owner, [values, call] as never[]);
  return respondWith(result, call, respond);
}

// The argument of a call as a stream, however it was sent.

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

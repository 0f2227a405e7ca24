/**
 * Handlers made of single functions.
 *
 * @module
 */
import { CallError } from "../errors.ts";
import { printableText } from "../../printable_text.ts";
import type { AnyFunction } from "../remote/types.ts";
import type { Call, HandlerFunction, Responder } from "../types.ts";
import { kindOf } from "../wire/selector.ts";
import {
  absent,
  receivedStream,
  ValueIterator,
} from "../wire/value_receiver.ts";
import { isServerCall, special } from "./invoke.ts";
import { respondWith } from "./respond_with.ts";
import { isWholeArgument } from "../callback/pointers.ts";
import type { ServerCall } from "../server/server_call.ts";
import { isValueStream, type ValueStream } from "../wire/value_source.ts";

/** The most arguments of a function: more could overflow the stack. */
const MAX_PARAMS = 32_768;

/** How to call a marked function. */
export interface Special {
  /** What the function wants in addition: it comes before or after its arguments. */
  readonly wants: "call" | "stream";
  /** The function. */
  readonly fn: AnyFunction;
}

/**
 * Passes the call to a function as its first parameter, which gives the function
 * the selector, the signal, the caller to call back and the peer. Annotate the
 * parameter with `Call<Context>` if `onPeer` of the listener returns a context; the
 * compiler cannot compare the two types. Callers do not send this parameter: it
 * does not count as an argument, and it is not part of the type of the returned
 * function. (Declare the type of a parameter with a default value, because
 * TypeScript does not infer it here.)
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair, withCall } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("", handlerFrom({
 *   whoami: withCall((call, name: string) => `${name} at ${call.selector}`),
 * }));
 * assertEquals(await client.call("whoami", ["Ann"]), "Ann at /whoami");
 * ```
 *
 * @param fn the function that gets the call
 * @throws {TypeError} if `fn` is not a function
 */
export function withCall<Args extends unknown[], Result, Context = unknown>(
  fn: (call: Call<Context>, ...args: Args) => Result,
): (...args: Args) => Result {
  return mark<(...args: Args) => Result>("withCall", { wants: "call", fn });
}

/**
 * Passes the values that the caller streams, and the call, to a function. If the
 * function leaves the loop over the values early, no more values are read: the
 * caller waits, and its producer is stopped once the function has answered.
 *
 * If the caller does not stream, the function gets a stream of one value, the
 * argument, or an empty stream if there is no argument. Several arguments are an
 * error.
 *
 * The loop ends when the caller ends its values. If the caller fails or cancels
 * the call, the loop throws. A Go caller that streams a channel of arguments
 * does not send their end while it waits for the response, so a function that it
 * calls must know how many values to expect and leave the loop after them.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair, withStream } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = {
 *   sum: withStream(async (numbers: AsyncIterable<number>) => {
 *     let sum = 0;
 *     for await (const n of numbers) sum += n;
 *     return sum;
 *   }),
 *   doubled: withStream(async function* (numbers: AsyncIterable<number>) {
 *     for await (const n of numbers) yield 2 * n;
 *   }),
 * };
 *
 * const [client] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 * const api = client.remote<typeof service>();
 *
 * async function* numbers() {
 *   yield* [1, 2, 3];
 * }
 * assertEquals(await api.sum(numbers()), 6);
 * assertEquals(await Array.fromAsync(api.doubled(numbers())), [2, 4, 6]);
 * ```
 *
 * @param fn the function that gets the values
 * @throws {TypeError} if `fn` is not a function
 */
export function withStream<T, Result, Context = unknown>(
  fn: (values: AsyncIterable<T>, call: Call<Context>) => Result,
): (values: AsyncIterable<T>) => Result {
  return mark<(values: AsyncIterable<T>) => Result>("withStream", {
    wants: "stream",
    fn,
  });
}

function mark<F extends AnyFunction>(maker: string, how: Special): F {
  if (typeof how.fn !== "function") {
    throw new TypeError(
      `Cannot use ${maker}(): its argument must be a function, and is ${
        kindOf(how.fn)
      }`,
    );
  }
  const marked = () => {
    throw new TypeError(
      `Cannot call function directly: ${maker}() made it for handlerFrom()`,
    );
  };
  return Object.assign(marked, { [special]: how }) as unknown as F;
}

/** How to call a function that `withCall()` or `withStream()` has made. */
export function specialOf(fn: AnyFunction): Special | undefined {
  return (fn as { [special]?: Special })[special];
}

/** Makes a handler of a function, which is called with `owner` as its `this`. */
export function functionHandler(
  fn: AnyFunction,
  owner: unknown,
): HandlerFunction {
  const how = specialOf(fn);
  if (how?.wants === "stream") return streamHandler(how.fn, owner);
  const inner = how?.fn;
  const expected = inner === undefined
    ? fn.length
    : Math.max(0, inner.length - 1);

  function run(
    args: unknown,
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
    const result = inner === undefined
      ? fn.apply(owner, params as never[])
      : inner.apply(owner, [call, ...params] as never[]);
    return respondWith(result, call, respond);
  }

  return (call, respond) => {
    if (isServerCall(call) && call.request.stream) {
      return run([streamedArgument(call)], call, respond);
    }
    const args = isServerCall(call) ? call.receiveNow() : absent;
    return args === absent
      ? call.receive().then((args) => run(args, call, respond))
      : run(args, call, respond);
  };
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

function streamHandler(fn: AnyFunction, owner: unknown): HandlerFunction {
  return (call, respond) => {
    const values = isServerCall(call) ? argumentValues(call) : call;
    const result = fn.apply(owner, [values, call] as never[]);
    return respondWith(result, call, respond);
  };
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

/**
 * Handlers made of single functions.
 *
 * @module
 */
import { loadPart } from "../errors.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Answering, FunctionToCall } from "../server/server_call.ts";
import type { Call, HandlerFunction } from "../types.ts";
import { checkFunction } from "../../check_option.ts";
import { special } from "./invoke.ts";

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
  checkFunction(`argument of ${maker}()`, how.fn);
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
  const called: FunctionToCall = how === undefined
    ? { fn, owner, wants: undefined, expected: fn.length }
    : { ...how, owner, expected: Math.max(0, how.fn.length - 1) };
  needAnswering();
  // Here, because most calls come this way: they need no function of their own.
  return (call, respond) =>
    answering === undefined
      ? answerBy(({ callFunction }) => callFunction(called, call, respond))
      : answering.callFunction(called, call, respond);
}

/** How handlers answer that call functions, once it is loaded. */
let answering: Answering | undefined;
/** Whether the program has such handlers, so that a server may need it. */
let isNeeded = false;

/** What the server loads from now on includes how handlers of functions answer. */
export function needAnswering(): void {
  isNeeded = true;
}

/** Loads that for a server, if the program needs it. */
export function loadAnsweringIfNeeded(): Promise<unknown> | undefined {
  return isNeeded && answering === undefined ? loadAnswering() : undefined;
}

async function loadAnswering(): Promise<Answering> {
  return answering = (await import("./answering.ts")).answering;
}

/**
 * Answers a call, at once if that is loaded. It is not if the first such handler was
 * made after the server was loaded, or if a program calls the handler itself.
 *
 * @throws {RpcError} `load-failed`
 */
export function answerBy(
  answer: (by: Answering) => void | Promise<void>,
): void | Promise<void> {
  return answering === undefined
    ? loadPart("answer call", loadAnswering()).then(answer)
    : answer(answering);
}

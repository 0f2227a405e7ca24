/**
 * Handlers from single functions: what they are given, and what becomes of what
 * they return.
 *
 * @module
 */
import { IncomingCall } from "../server/incoming_call.ts";
import { respondWith } from "./respond_with.ts";
import { absent } from "../wire/value_receiver.ts";
import type { Call, HandlerFunction, Responder } from "../types.ts";

/** Any function; what it takes and gives is the caller's business. */
// deno-lint-ignore no-explicit-any -- only `any` accepts every parameter list
export type AnyFunction = (...args: any[]) => unknown;

/** Marks a function that is to be called otherwise than with the arguments. */
const special: unique symbol = Symbol("qtalk.special");

/** How a marked function is to be called. */
interface Special {
  readonly wants: "call" | "stream";
  readonly fn: AnyFunction;
}

/**
 * Gives a function the call as its first parameter: its selector, its signal
 * and the caller to call back. That parameter is not sent, not counted, and not
 * part of the resulting type. (Write the type of a parameter that has a default:
 * in this place, TypeScript does not infer it.)
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
 * @param fn the function to give the call to
 */
export function withCall<Args extends unknown[], Result>(
  fn: (call: Call, ...args: Args) => Result,
): (...args: Args) => Result {
  return mark<(...args: Args) => Result>("withCall", { wants: "call", fn });
}

/**
 * Gives a function the values that its caller streams, and the call behind
 * them. Leaving the loop over the values leaves the caller waiting with the
 * next ones; its producer is let go when the function has answered.
 *
 * The values end where the caller ends them. If it fails before, or gives the
 * call up, the loop throws. A caller in Go that streams a channel of arguments
 * sends no end while it waits for the response: a function that it calls must
 * know how many there are, and leave the loop.
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
 * @param fn the function to give the values to
 */
export function withStream<T, Result>(
  fn: (values: AsyncIterable<T>, call: Call) => Result,
): (values: AsyncIterable<T>) => Result {
  return mark<(values: AsyncIterable<T>) => Result>("withStream", {
    wants: "stream",
    fn,
  });
}

function mark<F extends AnyFunction>(maker: string, how: Special): F {
  const marked = () => {
    throw new TypeError(
      `Cannot call function directly: ${maker}() made it for handlerFrom()`,
    );
  };
  return Object.assign(marked, { [special]: how }) as unknown as F;
}

/** Makes a handler of a function, which has `owner` for its `this`. */
export function functionHandler(
  fn: AnyFunction,
  owner: unknown,
): HandlerFunction {
  const how = (fn as { [special]?: Special })[special];
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
    if (!Array.isArray(params)) {
      throw new TypeError(
        `fn: args: expected an array, got ${typeof params}`,
      );
    }
    if (params.length < expected) {
      throw new TypeError(
        `fn: expected ${expected} params, got ${params.length}`,
      );
    }
    const result = inner === undefined
      ? fn.apply(owner, params)
      : inner.call(owner, call, ...params);
    return respondWith(result, call, respond);
  }

  return (call, respond) => {
    const args = call instanceof IncomingCall ? call.receiveNow() : absent;
    return args === absent
      ? call.receive().then((args) => run(args, call, respond))
      : run(args, call, respond);
  };
}

function streamHandler(fn: AnyFunction, owner: unknown): HandlerFunction {
  return (call, respond) => {
    const values = call instanceof IncomingCall ? call.stream() : call;
    return respondWith(fn.call(owner, values, call), call, respond);
  };
}

/**
 * Code around handlers: it sees each call before its handler does, and what the
 * handler answers before the caller does.
 *
 * @module
 */
import type { Call, Handler, HandlerFunction, Responder } from "../types.ts";
import { cleanSelector } from "../wire/selector.ts";
import { checkFunction, wrongKind } from "../../check_option.ts";
import { answerBy, needAnswering } from "./function_handler.ts";
import { checkHandler, surround, surrounded, wrapped } from "./invoke.ts";

/**
 * Code around a handler. It gets the call and `next()`, which lets the handler
 * answer, or the middleware after it, and resolves to the result: a value, `null`
 * if there is none, or a stream as it is, of values or of bytes. It rejects with what
 * the handler throws, or with the `Error` that it answers with.
 *
 * What the middleware returns is the answer; `undefined` leaves the answer as it is.
 * It can answer without calling `next()`, and what it throws is treated like what a
 * handler throws. `next()` can be called once.
 *
 * The arguments are unread: they belong to the handler. A handler that continues
 * its call with `respond.continue()`, or forwards it, answers the caller before
 * `next()` resolves to `undefined`, and its answer cannot be replaced. Several
 * values of a complete response are an `RpcResponse`.
 *
 * @typeParam Context what it expects of `call.peer.context`
 */
export type Middleware<Context = unknown> = (
  call: Call<Context>,
  next: () => Promise<unknown>,
) => unknown;

/**
 * Puts middleware around one handler, the outermost first. `use()` of a peer or of
 * a router does the same for many.
 *
 * @example
 * ```ts
 * import { CallError, handlerFrom, memoryPair, withMiddleware } from "@qtalk/qtalk";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const service = { stop: () => "stopped" };
 * const [client] = memoryPair({}, {
 *   handler: withMiddleware(handlerFrom(service), (call, next) => {
 *     if (call.meta.token === "secret") return next();
 *     throw new CallError("Who are you?", { code: "unauthenticated" });
 *   }),
 * });
 * await using _ = client;
 *
 * await assertRejects(() => client.call("stop"));
 * const api = client.remote<typeof service>({ meta: { token: "secret" } });
 * assertEquals(await api.stop(), "stopped");
 * ```
 *
 * @param handler the handler
 * @param middleware functions around the handler, the outermost first
 * @throws {TypeError} if `handler` is not a handler, or a middleware is not a
 * function
 */
export function withMiddleware<Context = unknown>(
  handler: Handler<Context>,
  ...middleware: Middleware<Context>[]
): HandlerFunction {
  checkHandler(handler, "add middleware");
  for (const one of middleware) checkFunction("middleware", one);
  needAnswering();
  const around = (handler: Handler): HandlerFunction => (call, respond) =>
    run(middleware as Middleware[], handler, call, respond);
  return Object.assign(around(handler as Handler), {
    [wrapped]: handler,
    [surround]: (inner: Handler, selector: string) =>
      around(surrounded(handler as Handler, inner, selector)),
  });
}

/** Middleware with the selectors that it is for. */
interface Entry {
  /** In canonical form; a prefix if it ends in `/`. */
  readonly pattern: string;
  readonly middleware: Middleware;
}

/** What a peer or a router has around its handlers. */
export class MiddlewareList {
  #entries: readonly Entry[] = [];

  /**
   * Adds middleware, after what is there.
   *
   * @param args the middleware, or a pattern before it
   * @returns removes it
   * @throws {TypeError} if `middleware` is not a function
   */
  add(args: readonly [...pattern: unknown[], middleware: unknown]): Disposable {
    const [pattern, middleware] = args.length === 1 ? ["/", args[0]] : args;
    if (typeof pattern !== "string") {
      const expected = 'a string; write use("name", middleware)';
      throw wrongKind("pattern", pattern, expected);
    }
    checkFunction("middleware", middleware);
    needAnswering();
    const entry = {
      pattern: cleanSelector(pattern),
      middleware: middleware as Middleware,
    };
    this.#entries = [...this.#entries, entry];
    return {
      [Symbol.dispose]: () => {
        this.#entries = this.#entries.filter((one) => one !== entry);
      },
    };
  }

  /**
   * A handler for calls of `selector`, with the middleware for them around it.
   *
   * @param selector in canonical form
   */
  around(handler: Handler, selector: string): Handler {
    const matching = this.#entries.filter(({ pattern }) =>
      pattern.endsWith("/")
        ? selector.startsWith(pattern)
        : selector === pattern
    );
    if (matching.length === 0) return handler;
    const list = matching.map(({ middleware }) => middleware);
    return (call, respond) => run(list, handler, call, respond);
  }
}

/** Answers a call by a handler with middleware around it. */
function run(
  list: readonly Middleware[],
  handler: Handler,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  return answerBy((by) => by.runMiddleware(list, handler, call, respond));
}

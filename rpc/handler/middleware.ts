/**
 * Code around handlers: it sees each call before its handler does, and what the
 * handler answers before the caller does.
 *
 * @module
 */
import type { Channel, WaitOptions } from "../../mux/internal.ts";
import { RpcResponse } from "../client/response.ts";
import { RpcError } from "../errors.ts";
import type { ServerResponder } from "../server/server_call.ts";
import type { Call, Handler, HandlerFunction, Responder } from "../types.ts";
import { cleanSelector, kindOf } from "../wire/selector.ts";
import {
  capture,
  checkHandler,
  invoke,
  isServerCall,
  surround,
  surrounded,
  unanswered,
  wrapped,
} from "./invoke.ts";
import { respondWith } from "./respond_with.ts";

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
  for (const one of middleware) checkMiddleware(one);
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
      throw new TypeError(
        `Cannot use middleware: the pattern must be a string, and is ${
          kindOf(pattern)
        }; write use("name", middleware)`,
      );
    }
    checkMiddleware(middleware);
    const entry = { pattern: cleanSelector(pattern), middleware };
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

function checkMiddleware(value: unknown): asserts value is Middleware {
  if (typeof value === "function") return;
  throw new TypeError(
    `Cannot use middleware: it must be a function, and is ${kindOf(value)}`,
  );
}

/** Answers a call by a handler with middleware around it. */
async function run(
  list: readonly Middleware[],
  handler: Handler,
  call: Call,
  respond: Responder,
): Promise<void> {
  const inner = new InnerResponder(call, respond as ServerResponder);
  const from = (index: number): Promise<unknown> => {
    const middleware = list[index];
    return middleware === undefined
      ? inner.run(handler)
      : step(middleware, call, () => from(index + 1));
  };
  try {
    const result = await from(0);
    if (!inner.passedOn) await respondWith(result, call, respond);
  } catch (error) {
    inner.failed(error);
    // As without middleware, it is an answer and not a bug.
    if (error === inner.returned) return await respond.return(error);
    throw error;
  }
  await inner.answered();
}

async function step(
  middleware: Middleware,
  call: Call,
  goOn: () => Promise<unknown>,
): Promise<unknown> {
  let rest: Promise<unknown> | undefined;
  const result = await middleware(call, () => {
    if (rest !== undefined) {
      const why = "Cannot call next() again: the handler has got the call";
      return Promise.reject(new RpcError("invalid-state", why));
    }
    rest = goOn();
    // The middleware may have no interest in it.
    rest.catch(() => {});
    return rest;
  });
  return result === undefined ? await rest : result;
}

/** What a handler with middleware around it answers to. */
class InnerResponder implements ServerResponder {
  /** The error that the handler has answered with. */
  returned: Error | undefined;
  /** Whether the handler has answered the caller by itself. */
  passedOn = false;
  readonly #call: Call;
  readonly #outer: ServerResponder;
  readonly #result = Promise.withResolvers<unknown>();
  /** Settles when the caller has been answered. */
  readonly #sent = Promise.withResolvers<void>();
  #hasResult = false;
  #finished: Promise<void> | undefined;

  constructor(call: Call, outer: ServerResponder) {
    this.#call = call;
    this.#outer = outer;
  }

  /** Lets the handler answer; settles as soon as it has. */
  run(handler: Handler): Promise<unknown> {
    this.#finished = this.#invoke(handler);
    this.#finished.catch(this.#result.reject);
    return this.#result.promise;
  }

  async #invoke(handler: Handler): Promise<void> {
    try {
      const value: unknown = await invoke(handler, this.#call, this);
      if (this.#hasResult) return;
      if (!this.passedOn && value !== undefined) throw unanswered(this.#call);
      this.#result.resolve(this.passedOn ? undefined : null);
    } catch (error) {
      if (this.#hasResult || this.passedOn) throw error;
      // It is up to the middleware what becomes of it.
      this.#hasResult = true;
      this.#result.reject(error);
    }
  }

  /** The caller has been answered: waits for the rest of the handler. */
  async answered(): Promise<void> {
    this.#sent.resolve();
    await this.#finished;
  }

  /** The call fails: what else the handler throws is reported. */
  failed(failure: unknown): void {
    this.#sent.resolve();
    const call = this.#call;
    this.#finished?.catch((error) => {
      if (error !== failure && isServerCall(call)) call.report(error, false);
    });
  }

  return(...values: unknown[]): Promise<void> {
    return this.returnAll(values);
  }

  returnAll(values: readonly unknown[]): Promise<void> {
    const [value = null] = values;
    if (values.length > 1) return this[capture](new RpcResponse(values));
    if (!(value instanceof Error)) return this[capture](value);
    this.#begin();
    this.returned = value;
    this.#result.reject(value);
    return this.#sent.promise;
  }

  /** Takes a result, which may be a stream, for the middleware. */
  [capture](result: unknown): Promise<void> {
    this.#begin();
    this.#result.resolve(result);
    return this.#sent.promise;
  }

  #begin(): void {
    if (this.#hasResult || this.passedOn) {
      throw new RpcError(
        "invalid-state",
        `Cannot respond to call "${this.#call.selector}": it is answered already`,
      );
    }
    this.#hasResult = true;
  }

  async continue(...values: unknown[]): Promise<Channel> {
    const channel = await this.#outer.continue(...values);
    this.passedOn = true;
    return channel;
  }

  send(value: unknown, options?: WaitOptions): Promise<void> {
    return this.#outer.send(value, options);
  }

  sendNow(value: unknown): Promise<void> | undefined {
    return this.#outer.sendNow(value);
  }

  async continueWithStream(): Promise<void> {
    await this.#outer.continueWithStream();
    this.passedOn = true;
  }

  async continueWithBytes(): Promise<Channel> {
    const channel = await this.#outer.continueWithBytes();
    this.passedOn = true;
    return channel;
  }

  end(): void {
    this.#outer.end();
  }

  fail(reason: unknown): boolean {
    return this.#outer.fail(reason);
  }

  handOver(): void {
    this.#outer.handOver();
    this.passedOn = true;
  }
}

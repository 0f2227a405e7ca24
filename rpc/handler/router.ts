import type { Call, Handler, HandlerObject, Responder } from "../types.ts";
import { cleanSelector, hasEmptySegment } from "../wire/selector.ts";
import { wrongKind } from "../../check_option.ts";
import {
  checkHandler,
  invoke,
  notFound,
  routes,
  surround,
  surrounded,
} from "./invoke.ts";
import { type Middleware, MiddlewareList } from "./middleware.ts";

/**
 * Finds the handler for a selector, as qtalk-go's `RespondMux` does: an exact
 * match first, otherwise the longest pattern that ends in `/` (or `.`) and is a
 * prefix of the selector.
 *
 * A router that is registered under a pattern matches the rest of the selector.
 * If it finds no handler, there is none: the outer router does not try others.
 *
 * @example
 * ```ts
 * import { Router } from "@qtalk/qtalk/rpc";
 * import { assertEquals } from "@std/assert";
 *
 * const router = new Router();
 * using _ = router.handle("math.", (_call, respond) => respond.return("math"));
 * router.handle("math.pi", (_call, respond) => respond.return(Math.PI));
 *
 * assertEquals(router.match("math/e")?.pattern, "/math/");
 * assertEquals(router.match("/math/pi")?.pattern, "/math/pi");
 * assertEquals(router.match("physics"), undefined);
 * ```
 */
export class Router implements HandlerObject {
  readonly #handlers = new Map<string, Handler>();
  /** No pattern that ends in `/` is longer. */
  #maxPrefix = 0;
  #middleware: MiddlewareList | undefined;
  /** The selector that was answered last, which is in canonical form. */
  #lastSelector: string | undefined;

  /**
   * Registers a handler for one selector, or, if `pattern` ends in `/` or `.`,
   * for all selectors that begin with it. A `Router` is always registered for a
   * prefix.
   *
   * @returns disposing of it removes the handler
   * @throws {TypeError} if `handler` is not a handler, or the pattern has one
   * already, or an empty segment, as in `a..b`
   */
  handle(pattern: string, handler: Handler): Disposable {
    if (typeof pattern !== "string") {
      const expected = 'a string; write handle("name", handler)';
      throw wrongKind("pattern", pattern, expected);
    }
    let clean = cleanSelector(pattern);
    if (handler instanceof Router && !clean.endsWith("/")) clean += "/";
    checkHandler(handler, `handle "${clean}"`);
    if (hasEmptySegment(clean)) {
      throw new TypeError(`Cannot handle "${clean}": it has an empty segment`);
    }
    if (this.#handlers.has(clean)) {
      throw new TypeError(`Cannot handle "${clean}": it already has a handler`);
    }
    this.#handlers.set(clean, handler);
    if (clean.endsWith("/") && clean.length > this.#maxPrefix) {
      this.#maxPrefix = clean.length;
    }
    let registered = true;
    return {
      [Symbol.dispose]: () => {
        if (!registered) return;
        registered = false;
        this.#handlers.delete(clean);
      },
    };
  }

  /**
   * Puts middleware around the handlers of this router, inside the middleware that
   * was added before. It also runs for calls without a handler. With a pattern, it
   * runs for the selectors that match, as for {@linkcode handle}. Within another
   * router, the middleware of that one comes first.
   *
   * @returns disposing of it removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(middleware: Middleware<Context>): Disposable;
  /**
   * As above, around the calls that match a pattern.
   *
   * @returns disposing of it removes the middleware
   * @throws {TypeError} if `middleware` is not a function
   */
  use<Context = unknown>(
    pattern: string,
    middleware: Middleware<Context>,
  ): Disposable;
  use(...args: [unknown] | [unknown, unknown]): Disposable {
    return (this.#middleware ??= new MiddlewareList()).add(args);
  }

  /** How many patterns have a handler. */
  get size(): number {
    return this.#handlers.size;
  }

  /**
   * The handler for `selector`, and the pattern that matched. A selector with an
   * empty segment, as in `a..b`, matches nothing.
   */
  match(selector: string): { handler: Handler; pattern: string } | undefined {
    const clean = cleanSelector(selector);
    if (hasEmptySegment(clean)) return undefined;
    const found = this.#find(clean);
    return this.#middleware === undefined || found === undefined
      ? found
      : { ...found, handler: this.#middleware.around(found.handler, clean) };
  }

  /** What answers a selector that is for this router, and no other. */
  #answerer(clean: string): Handler {
    const handler = this.#find(clean)?.handler ?? notFound;
    return this.#middleware?.around(handler, clean) ?? handler;
  }

  /** Does the same for a selector in its canonical form. */
  #find(clean: string): { handler: Handler; pattern: string } | undefined {
    const exact = this.#handlers.get(clean);
    if (exact !== undefined) return { handler: exact, pattern: clean };
    const pattern = this.#longestPrefix(clean);
    if (pattern !== undefined) {
      const handler = this.#handlers.get(pattern)!;
      if (!(handler instanceof Router)) return { handler, pattern };
      // A miss in a sub-router is final.
      const rest = clean.slice(pattern.length - 1);
      if (handler.#middleware !== undefined) {
        return { handler: handler.#answerer(rest), pattern };
      }
      return handler.#find(rest) ?? { handler: notFound, pattern };
    }
    return undefined;
  }

  /** Answers a call with the handler that matches, or with `not found: ...`. */
  respond(call: Call, respond: Responder): void | Promise<void> {
    let { selector } = call;
    // Many calls in a row have the same one, as one string: this looks at it once.
    if (selector !== this.#lastSelector) {
      selector = cleanSelector(selector);
      if (hasEmptySegment(selector)) return invoke(notFound, call, respond);
      this.#lastSelector = selector;
    }
    return invoke(this.#answerer(selector), call, respond);
  }

  /** @ignore */
  get [routes](): ReadonlyMap<string, Handler> {
    return this.#handlers;
  }

  /** @ignore */
  [surround](inner: Handler, selector: string): Handler {
    const pattern = this.#handlers.has(selector)
      ? selector
      : this.#longestPrefix(selector);
    let handler = inner;
    if (pattern !== undefined) {
      const outer = this.#handlers.get(pattern)!;
      const rest = outer instanceof Router
        ? selector.slice(pattern.length - 1)
        : selector;
      handler = surrounded(outer, inner, rest);
    }
    return this.#middleware?.around(handler, selector) ?? handler;
  }

  /**
   * The longest pattern that ends in `/` and that the selector begins with. It looks
   * at the segments of the selector, so the number of patterns does not matter.
   */
  #longestPrefix(clean: string): string | undefined {
    const handlers = this.#handlers;
    let at = this.#maxPrefix;
    while (at > 0) {
      at = clean.lastIndexOf("/", at - 1);
      if (at < 0) return undefined;
      const prefix = clean.slice(0, at + 1);
      if (handlers.has(prefix)) return prefix;
    }
    return undefined;
  }
}

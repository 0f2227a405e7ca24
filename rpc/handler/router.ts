import { cleanSelector } from "../wire/selector.ts";
import type { Call, Handler, HandlerObject, Responder } from "../types.ts";

/**
 * Finds the handler for a selector, as the reference's RespondMux does: an
 * exact match first, else the longest pattern that ends in `/` (or `.`) and
 * begins the selector.
 *
 * A router under a pattern is a sub-router: it matches the rest of the
 * selector, and its answer stands, found or not.
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
  /** The patterns that end in `/`, the longest first. */
  #prefixes: string[] = [];

  /**
   * Registers `handler` for a selector, or for all that begin with a pattern
   * that ends in `/` or `.`; a router's pattern always does.
   *
   * @returns what removes it again, with `using` or `[Symbol.dispose]()`
   * @throws {TypeError} if there is no handler, or the pattern has one already
   */
  handle(pattern: string, handler: Handler): Disposable {
    let clean = cleanSelector(pattern);
    if (handler instanceof Router && !clean.endsWith("/")) clean += "/";
    if (
      typeof handler !== "function" && typeof handler?.respond !== "function"
    ) {
      throw new TypeError(`Cannot handle "${clean}": there is no handler`);
    }
    if (this.#handlers.has(clean)) {
      throw new TypeError(`Cannot handle "${clean}": it has a handler already`);
    }
    this.#handlers.set(clean, handler);
    this.#indexPrefixes();
    let registered = true;
    return {
      [Symbol.dispose]: () => {
        if (!registered) return;
        registered = false;
        this.#handlers.delete(clean);
        this.#indexPrefixes();
      },
    };
  }

  /** How many patterns have a handler. */
  get size(): number {
    return this.#handlers.size;
  }

  /** The handler for `selector` and the pattern that it was found under. */
  match(selector: string): { handler: Handler; pattern: string } | undefined {
    const clean = cleanSelector(selector);
    const exact = this.#handlers.get(clean);
    if (exact !== undefined) return { handler: exact, pattern: clean };
    for (const pattern of this.#prefixes) {
      if (!clean.startsWith(pattern)) continue;
      const handler = this.#handlers.get(pattern)!;
      if (!(handler instanceof Router)) return { handler, pattern };
      // Its answer stands, even if that is that it has no handler.
      return handler.match(clean.slice(pattern.length)) ??
        { handler: notFound, pattern };
    }
    return undefined;
  }

  /** Answers a call by the handler that matches, or with `not found: …`. */
  respond(call: Call, respond: Responder): void | Promise<void> {
    const handler = this.match(call.selector)?.handler ?? notFound;
    return invoke(handler, call, respond);
  }

  #indexPrefixes(): void {
    this.#prefixes = [...this.#handlers.keys()]
      .filter((pattern) => pattern.endsWith("/"))
      .sort((a, b) => b.length - a.length);
  }
}

/** Answers `not found: /the/selector`, in the reference's words. */
export function notFound(call: Call, respond: Responder): Promise<void> {
  return respond.return(new Error(`not found: ${call.selector}`));
}

/** Has a handler of either form answer a call. */
export function invoke(
  handler: Handler,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  return typeof handler === "function"
    ? handler(call, respond)
    : handler.respond(call, respond);
}

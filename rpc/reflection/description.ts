import {
  checkHandler,
  description,
  routes,
  source,
  special,
  wrapped,
} from "../handler/invoke.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Handler } from "../types.ts";
import type { DescribedMethod, ServiceDescription } from "./types.ts";

/** The descriptions that parts of this package attach to their handlers. */
interface Describable {
  readonly [description]?: () => ServiceDescription;
  readonly [wrapped]?: Handler;
  readonly [routes]?: ReadonlyMap<string, Handler>;
  readonly [source]?: MarkedFunction;
}

/** A function of a service, which `withCall()` or `withStream()` may have made. */
type MarkedFunction = AnyFunction & {
  readonly [special]?: { readonly wants: "call" | "stream"; fn: AnyFunction };
};

/**
 * Describes what a handler answers, as far as that is known: the methods of objects
 * and contracts, the patterns of routers, and a handler's own {@linkcode
 * description}.
 *
 * @example
 * ```ts
 * import { describeHandler } from "@qtalk/qtalk/reflection";
 * import { handlerFrom } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = {
 *   add: (a: number, b: number) => a + b,
 *   async *count(to: number) {
 *     for (let n = 1; n <= to; n++) yield n;
 *   },
 * };
 * assertEquals(describeHandler(handlerFrom(service)), {
 *   methods: [
 *     { selector: "add", params: 2 },
 *     { selector: "count", kind: "stream", params: 1 },
 *   ],
 * });
 * ```
 *
 * @param handler the handler to describe
 * @throws {TypeError} if it is not a handler
 */
export function describeHandler(handler: Handler): ServiceDescription {
  checkHandler(handler, "describe handler");
  return described(handler, new Set()) ??
    { methods: [{ selector: "", prefix: true }] };
}

/**
 * @param outer the routers that it is in
 * @returns undefined if nothing is known about it
 */
function described(
  handler: Handler,
  outer: ReadonlySet<Handler>,
): ServiceDescription | undefined {
  const known = handler as Describable;
  if (known[description] !== undefined) return known[description]();
  if (known[wrapped] !== undefined) return described(known[wrapped], outer);
  if (known[source] !== undefined) {
    return { methods: [describeFunction(known[source])] };
  }
  if (known[routes] === undefined) return undefined;
  if (outer.has(handler)) return { methods: [] };
  return describeRouter(known[routes], new Set(outer).add(handler));
}

function describeFunction(fn: MarkedFunction): DescribedMethod {
  const how = fn[special];
  const inner = how?.fn ?? fn;
  // Its prefix is that of the pattern that it is registered for.
  const method: DescribedMethod = { selector: "", prefix: true };
  // Other functions may return anything.
  if (isAsyncGenerator(inner)) method.kind = "stream";
  if (how?.wants === "stream") method.args = [{ stream: true }];
  else method.params = Math.max(0, inner.length - (how === undefined ? 0 : 1));
  return method;
}

function isAsyncGenerator(fn: object): boolean {
  return Object.prototype.toString.call(fn) ===
    "[object AsyncGeneratorFunction]";
}

function describeRouter(
  handlers: ReadonlyMap<string, Handler>,
  outer: ReadonlySet<Handler>,
): ServiceDescription {
  const methods: DescribedMethod[] = [];
  let whole: ServiceDescription | undefined;
  for (const [pattern, handler] of handlers) {
    const inner = described(handler, outer);
    if (pattern === "/" && inner !== undefined) whole = inner;
    const isPrefix = pattern.endsWith("/");
    for (const method of inner?.methods ?? [ANYTHING]) {
      const { selector, prefix, ...rest } = method;
      const path = `${pattern}${selector.replaceAll(".", "/")}`;
      // Selectors that a more specific pattern answers never reach it.
      if (patternFor(path, handlers) !== pattern) continue;
      methods.push({
        selector: path.slice(1).replaceAll("/", "."),
        ...(prefix && isPrefix && { prefix }),
        ...rest,
      });
    }
  }
  const { methods: _, ...about } = whole ?? { methods };
  return { ...about, methods };
}

/** The pattern that matches a selector: itself, or the longest prefix. */
function patternFor(
  selector: string,
  handlers: ReadonlyMap<string, Handler>,
): string | undefined {
  if (handlers.has(selector)) return selector;
  let longest: string | undefined;
  for (const pattern of handlers.keys()) {
    if (!pattern.endsWith("/") || !selector.startsWith(pattern)) continue;
    if (pattern.length > (longest?.length ?? 0)) longest = pattern;
  }
  return longest;
}

/** A handler of which nothing is known. */
const ANYTHING: DescribedMethod = Object.freeze({ selector: "", prefix: true });

/**
 * Whether a selector calls a method, or one of a group of methods.
 *
 * @param method what is described
 * @param group a selector, in any form; that of a group may end in a dot
 */
export function isWithin(
  { selector, prefix }: DescribedMethod,
  group: string,
): boolean {
  const wanted = dotted(group);
  if (wanted === "" || selector === wanted) return true;
  if (prefix && wanted.startsWith(selector)) return true;
  return selector.startsWith(wanted.endsWith(".") ? wanted : `${wanted}.`);
}

/** A selector as descriptions write it: `math.add` for `/math/add`. */
function dotted(selector: string): string {
  return selector.replace(/^[/.]/, "").replaceAll("/", ".");
}

/**
 * Handlers from plain functions and objects.
 *
 * @module
 */
import { type AnyFunction, functionHandler } from "./function_handler.ts";
import { Router } from "./router.ts";
import type { Handler, HandlerObject } from "../types.ts";

/**
 * The key of the handler, in an object for {@linkcode handlerFrom}, that answers
 * every selector for which the object has no method.
 *
 * @example
 * ```ts
 * import { catchAll, handlerFrom, type HandlerFunction, memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * class Store {
 *   #values = new Map([["color", "red"]]);
 *   count() {
 *     return this.#values.size;
 *   }
 *   [catchAll]: HandlerFunction = (call, respond) =>
 *     respond.return(this.#values.get(call.selector.slice(1)));
 * }
 *
 * const [client] = memoryPair({}, { handler: handlerFrom(new Store()) });
 * await using _ = client;
 * assertEquals(await client.call("count"), 1);
 * assertEquals(await client.call("color"), "red");
 * ```
 */
export const catchAll: unique symbol = Symbol("qtalk.catchAll");

/** Choices for {@linkcode handlerFrom}. */
export interface HandlerFromOptions {
  /** The names of the methods, and nested objects, to offer. Default: all. */
  methods?: readonly string[];
}

/**
 * Makes a handler from a function, or from the methods of an object.
 *
 * The caller sends an array of arguments, or `null` for none. Fewer than
 * `fn.length` are an error; more are ignored, since `length` sees neither rest
 * parameters nor those with a default. What the function returns, or resolves
 * to, is the one reply value: `undefined` is `null`, an array is one value, an
 * `Error` is an error response, as is whatever it throws: its message, never its
 * stack.
 *
 * It may also return a stream. An async iterable, such as an async generator
 * makes, or a `ReadableStream` sends its values as they come, the next when the
 * caller has room; what it throws before it first waits or yields is an error
 * response, later the caller's loop throws it. A pair of byte streams, as in
 * {@linkcode ByteStream}, becomes the call's. The response to a request is
 * passed on as it is.
 *
 * Of an object it takes own methods and those of its classes, up to the first
 * built-in prototype; neither getters, nor statics, nor the constructor.
 * TypeScript's `private` is public at run time: use `#names`, or `methods`. Of
 * an object literal it also takes the objects and routers in it, under their
 * names: an instance of a class there is offered, one in a field of a class is
 * not.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * class Counter {
 *   #n = 0;
 *   add(by = 1) {
 *     return this.#n += by;
 *   }
 * }
 *
 * const [client, server] = memoryPair(
 *   undefined,
 *   { handler: handlerFrom(new Counter()) },
 * );
 * await using _ = client;
 * assertEquals(await client.call("add", [2]), 2);
 * assertEquals(await client.call("add"), 3);
 * ```
 *
 * @example Nested objects, and streams
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = {
 *   hello: (name: string) => `Hello, ${name}`,
 *   count: {
 *     async *to(end: number) {
 *       for (let n = 1; n <= end; n++) yield n;
 *     },
 *   },
 * };
 * const [client] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 *
 * const api = client.remote<typeof service>();
 * assertEquals(await api.hello("Ann"), "Hello, Ann");
 * const seen: number[] = [];
 * for await (const n of api.count.to(1_000_000)) {
 *   seen.push(n);
 *   if (n === 3) break; // ends the generator, too
 * }
 * assertEquals(seen, [1, 2, 3]);
 * ```
 *
 * @param target a function, or an object with methods
 * @param options which methods
 * @throws {TypeError} if it is neither, or a method named does not exist
 */
export function handlerFrom(
  target: object,
  options: HandlerFromOptions = {},
): Handler {
  if (typeof target === "function") {
    return functionHandler(target as AnyFunction, undefined);
  }
  if (typeof target !== "object" || target === null) {
    throw new TypeError(
      `Cannot make handler: ${target} is neither function nor object`,
    );
  }
  return routerOf(target, new Set(), options.methods) satisfies HandlerObject;
}

/**
 * A router for what an object offers.
 *
 * @param outer the objects that it is nested in
 * @param names the members to offer, if not all
 */
function routerOf(
  target: object,
  outer: ReadonlySet<object>,
  names?: readonly string[],
): Router {
  const members = membersOf(target, new Set(outer).add(target));
  const router = new Router();
  for (const name of names ?? members.keys()) {
    const member = members.get(name);
    if (member === undefined) {
      throw new TypeError(`Cannot make handler: there is no method "${name}"`);
    }
    router.handle(name, member);
  }
  const dynamic = (target as { [catchAll]?: Handler })[catchAll];
  // With a list of names, it would offer what is not in it.
  if (dynamic !== undefined && names === undefined) {
    router.handle("/", boundTo(target, dynamic));
  }
  return router;
}

function boundTo(target: object, handler: Handler): Handler {
  return typeof handler === "function"
    ? (call, respond) => handler.call(target, call, respond)
    : handler;
}

/** The prototypes at which the search for methods ends. */
function isBuiltIn(prototype: object): boolean {
  const constructor: unknown = Object.getOwnPropertyDescriptor(
    prototype,
    "constructor",
  )?.value;
  return typeof constructor === "function" &&
    /\{\s*\[native code\]\s*\}$/.test(
      Function.prototype.toString.call(constructor),
    );
}

function isPlain(prototype: object | null): boolean {
  return prototype === null || prototype === Object.prototype;
}

/** What an object offers, by name. */
function membersOf(
  target: object,
  outer: ReadonlySet<object>,
): Map<string, Handler> {
  const members = new Map<string, Handler>();
  const plain = isPlain(Object.getPrototypeOf(target));
  const seen = new Set(["constructor"]);
  for (
    let owner: object | null = target;
    owner !== null && (owner === target || !isBuiltIn(owner));
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    const descriptors = Object.getOwnPropertyDescriptors(owner);
    for (const [name, { value }] of Object.entries(descriptors)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const member = typeof value === "function"
        ? functionHandler(value as AnyFunction, target)
        : plain
        ? nested(value, outer)
        : undefined;
      if (member !== undefined) members.set(name, member);
    }
  }
  return members;
}

/** A router for an object in an object, if it offers anything. */
function nested(
  value: unknown,
  outer: ReadonlySet<object>,
): Router | undefined {
  if (typeof value !== "object" || value === null || outer.has(value)) {
    return undefined;
  }
  if (value instanceof Router) return value;
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== null && !isPlain(prototype) && isBuiltIn(prototype)) {
    return undefined;
  }
  const router = routerOf(value, outer);
  return router.size === 0 ? undefined : router;
}

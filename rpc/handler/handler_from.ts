import { isPlainObject } from "../../codec/internal.ts";
import { channelPool } from "../client/pool_key.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Handler, HandlerObject } from "../types.ts";
import { checkList, checkObject, kindOf } from "../../check_option.ts";
import { isBuiltInPrototype, isMixedIn } from "./built_in/classes.ts";
import {
  isIn,
  isLibrary,
  isLibraryFunction,
  librariesIn,
} from "./built_in/libraries.ts";
import { isBuiltInNamespace } from "./built_in/namespaces.ts";
import { functionHandler } from "./function_handler.ts";
import { isClass, source } from "./invoke.ts";
import { Router } from "./router.ts";

/**
 * The key, in an object for {@linkcode handlerFrom}, of the handler for all
 * selectors without a method.
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

/** Options for {@linkcode handlerFrom}. */
export interface HandlerFromOptions {
  /** Names of the methods and nested objects to offer. Default: all. */
  methods?: readonly string[] | undefined;
}

/**
 * Makes a handler of a function, or of the methods of an object.
 *
 * The caller sends an array of arguments, or `null` for none. If a caller streams
 * its arguments, the function gets one argument, a `ReadableStream`. Arguments that
 * a peer of this package leaves out are `undefined`; from other peers, fewer than
 * `fn.length` arguments are an error. Additional arguments are passed to the
 * function, because `length` counts neither rest parameters nor parameters with a
 * default value. What the function returns, or what its promise resolves to, is the
 * reply: `undefined` is sent as `null`, and an array is one value. An `Error` that
 * is returned, and anything that is thrown, becomes an error response with its
 * message and `code`, but without its stack. A thrown error that is not a
 * {@linkcode CallError} is treated as a bug, and is also reported to `onError`.
 *
 * A function can also return a stream. The values of an async iterable (such as the
 * result of an async generator) or of a `ReadableStream` are sent as they are
 * produced, as fast as the caller reads. An error before the first `await` or
 * `yield` becomes an error response; a later one is thrown in the caller's loop. A
 * pair of byte streams, such as a {@linkcode ByteStream}, becomes the stream of
 * bytes of the call. The `RpcResponse` of another call is passed on unchanged.
 *
 * An object offers its own methods and those of its classes, up to the first
 * built-in class, but no getters, static methods or constructors. Code of the
 * runtime and of Node's modules is not offered: neither what a class inherits from
 * `EventEmitter` or `EventTarget`, nor a `Headers` or `console` among the objects.
 * TypeScript's `private` methods are offered, since they are public at run time:
 * use `#names`, or the option `methods`. An object literal also offers the objects
 * and routers that it contains, under their names; a class instance does not offer
 * the objects in its fields.
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
 *   if (n === 3) break; // This ends the generator, too.
 * }
 * assertEquals(seen, [1, 2, 3]);
 * ```
 *
 * @param target a function, or an object with methods
 * @param options which methods to offer
 * @throws {TypeError} if `target` is neither, if it offers nothing, if it is a
 * class or already a handler, if one of `methods` does not exist, or if a method has
 * an empty name, or one that ends in `.` or `/`
 */
export function handlerFrom(
  target: object,
  options: HandlerFromOptions = {},
): Handler {
  checkObject("options of handlerFrom()", options);
  checkList("methods", options.methods);
  const problem = problemOf(target);
  if (problem !== undefined) {
    throw new TypeError(`Cannot make handler: ${problem}`);
  }
  if (typeof target === "function") {
    return describable(target as AnyFunction, undefined);
  }
  const router = routerOf(target, new Set(), options.methods);
  // An empty list of methods says that there are none.
  if (router.size === 0 && options.methods === undefined) {
    throw new TypeError(
      "Cannot make handler: the object offers no methods; write handlerFrom({ name: (\u2026) => \u2026 }), or handlerFrom(new TheClass())",
    );
  }
  return router satisfies HandlerObject;
}

/** Why no handler can be made of what a program gives; undefined if one can. */
function problemOf(target: unknown): string | undefined {
  if (typeof target === "function") {
    if (isLibraryFunction(target)) {
      return "it is a module of Node; write handlerFrom({ name: (\u2026) => \u2026 })";
    }
    if (!isClass(target)) return undefined;
    const name = target.name || "TheClass";
    return `${name} is a class; write handlerFrom(new ${name}())`;
  }
  if (typeof target !== "object" || target === null) {
    return `${kindOf(target)} is neither function nor object`;
  }
  // An object that the program has written may offer a method of that name.
  if (
    typeof (target as { then?: unknown }).then === "function" &&
    !Object.hasOwn(target, "then")
  ) {
    return "it is a promise; await it";
  }
  if (target instanceof Router) {
    return "a Router is a handler already; use it as it is";
  }
  return isCaller(target)
    ? "it is a peer, which makes calls; write forward(peer) to answer calls with it"
    : undefined;
}

/** Whether an object is what a class of the runtime gives its instances. */
function isBuiltInClassPrototype(value: object): boolean {
  return Object.hasOwn(value, "constructor") && isBuiltInPrototype(value);
}

/** Whether an object is a peer, or another caller of this package. */
function isCaller(value: object): boolean {
  return channelPool in value;
}

/**
 * Makes a router for the members of an object.
 *
 * @param outer the objects that it is nested in
 * @param names the members to offer; default: all
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
    if (/^$|[./]$/.test(name)) {
      throw new TypeError(
        `Cannot make handler: "${name}" is not a name but a pattern, which many selectors match; use [catchAll], or Router.handle("${name}", \u2026)`,
      );
    }
    router.handle(name, member);
  }
  const dynamic = (target as { [catchAll]?: Handler })[catchAll];
  // It would offer names that are not in the list.
  if (dynamic !== undefined && names === undefined) {
    router.handle("/", boundTo(target, dynamic));
  }
  return router;
}

/** Makes a handler of a function, which says what it was made of. */
function describable(fn: AnyFunction, owner: object | undefined): Handler {
  return Object.assign(functionHandler(fn, owner), { [source]: fn });
}

function boundTo(target: object, handler: Handler): Handler {
  return typeof handler === "function"
    ? (call, respond) => handler.call(target, call, respond)
    : handler;
}

/** The members that an object offers, by name. */
function membersOf(
  target: object,
  outer: ReadonlySet<object>,
): Map<string, Handler> {
  const members = new Map<string, Handler>();
  if (isBuiltInNamespace(target) || isBuiltInClassPrototype(target)) {
    return members;
  }
  const plain = isPlainObject(target);
  const seen = new Set(["constructor"]);
  for (
    let owner: object | null = target;
    owner !== null && (owner === target || !isBuiltInPrototype(owner));
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    const descriptors = Object.getOwnPropertyDescriptors(owner);
    const libraries = librariesIn(owner);
    if (isLibrary(owner, libraries)) return members;
    for (const [name, { value }] of Object.entries(descriptors)) {
      if (seen.has(name)) continue;
      seen.add(name);
      if (isIn(libraries, name, value)) continue;
      const member = typeof value === "function"
        ? isClass(value) || isMixedIn(owner, name, value) ||
            isLibraryFunction(value)
          ? undefined
          : describable(value as AnyFunction, target)
        : plain
        ? nested(value, outer)
        : undefined;
      if (member !== undefined) members.set(name, member);
    }
  }
  return members;
}

/** A router for an object within an object, if it offers anything. */
function nested(
  value: unknown,
  outer: ReadonlySet<object>,
): Router | undefined {
  if (typeof value !== "object" || value === null || outer.has(value)) {
    return undefined;
  }
  if (value instanceof Router) return value;
  if (isCaller(value) || isBuiltInClassPrototype(value)) return undefined;
  if (
    !isPlainObject(value) && isBuiltInPrototype(Object.getPrototypeOf(value))
  ) {
    return undefined;
  }
  const router = routerOf(value, outer);
  return router.size === 0 ? undefined : router;
}

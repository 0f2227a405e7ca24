/**
 * Handlers from plain functions and objects.
 *
 * @module
 */
import { absent, IncomingCall } from "./call.ts";
import { Router } from "./router.ts";
import type {
  Call,
  Handler,
  HandlerFunction,
  HandlerObject,
  Responder,
} from "./types.ts";

/** Any function; what it takes and gives is the caller's business. */
// deno-lint-ignore no-explicit-any -- only `any` accepts every parameter list
type AnyFunction = (...args: any[]) => unknown;

/** Marks a function whose first parameter is the call. */
const wantsCall: unique symbol = Symbol("qtalk.withCall");

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
  const marked = (..._args: Args): Result => {
    throw new TypeError(
      "Cannot call function directly: withCall() made it for handlerFrom()",
    );
  };
  return Object.assign(marked, { [wantsCall]: fn as AnyFunction });
}

/** Choices for {@linkcode handlerFrom}. */
export interface HandlerFromOptions {
  /** The names of the methods to offer. Default: all. */
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
 * Of an object it takes own methods and those of its classes, up to the first
 * built-in prototype; neither getters, nor statics, nor the constructor.
 * TypeScript's `private` is public at run time: use `#names`, or `methods`.
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
  const methods = methodsOf(target);
  const router = new Router();
  for (const name of options.methods ?? methods.keys()) {
    const method = methods.get(name);
    if (method === undefined) {
      throw new TypeError(`Cannot make handler: there is no method "${name}"`);
    }
    router.handle(name, functionHandler(method, target));
  }
  return router satisfies HandlerObject;
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

function methodsOf(target: object): Map<string, AnyFunction> {
  const methods = new Map<string, AnyFunction>();
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
      if (typeof value === "function") methods.set(name, value);
    }
  }
  return methods;
}

function functionHandler(fn: AnyFunction, owner: unknown): HandlerFunction {
  const inner = (fn as { [wantsCall]?: AnyFunction })[wantsCall];
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
    if (typeof (result as PromiseLike<unknown> | null)?.then === "function") {
      // Not every thenable returns a promise from its then().
      return Promise.resolve(result).then((value) => {
        void respond.return(value);
      });
    }
    void respond.return(result);
  }

  return (call, respond) => {
    const args = call instanceof IncomingCall ? call.receiveNow() : absent;
    return args === absent
      ? call.receive().then((args) => run(args, call, respond))
      : run(args, call, respond);
  };
}

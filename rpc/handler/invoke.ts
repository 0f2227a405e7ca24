/**
 * Where the server and handlers meet: how a handler is called, and how it knows
 * that a call comes straight from the server.
 *
 * @module
 */
import { printableText } from "../../printable_text.ts";
import { CallError } from "../errors.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Call, Handler, Responder } from "../types.ts";
import { kindOf } from "../../check_option.ts";

/** Lets a handler of either form answer a call. */
export function invoke(
  handler: Handler,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  return typeof handler === "function"
    ? handler(call, respond)
    : handler.respond(call, respond);
}

/** A handler that answers `not found: /the/selector`, as the reference does. */
export function notFound(call: Call, respond: Responder): Promise<void> {
  return respond.return(
    new CallError(`not found: ${printableText(call.selector)}`, {
      code: "not-found",
    }),
  );
}

/**
 * The key of a handler's method that describes it: a method without parameters that
 * returns a {@linkcode ServiceDescription}. Handlers from `handlerFrom()`, routers
 * and contracts do not need one; other handlers can have one.
 */
export const description: unique symbol = Symbol("qtalk.description");

/** The key of the function that a handler was made of. */
export const source: unique symbol = Symbol("qtalk.source");

/** The key of the handlers of a router, by pattern. */
export const routes: unique symbol = Symbol("qtalk.routes");

/** The key of the handler that a handler has something around. */
export const wrapped: unique symbol = Symbol("qtalk.wrapped");

/**
 * The key of a method of handlers that have middleware in them: it puts around
 * another handler what is around those that answer a selector.
 */
export const surround: unique symbol = Symbol("qtalk.surround");

/** A handler that has such a method. */
interface Surrounding {
  /** Returns a handler for calls of `selector`, which is in canonical form. */
  [surround](inner: Handler, selector: string): Handler;
}

/** Puts around a handler what `outer` has around those that answer a selector. */
export function surrounded(
  outer: Handler,
  inner: Handler,
  selector: string,
): Handler {
  return surround in outer
    ? (outer as unknown as Surrounding)[surround](inner, selector)
    : inner;
}

/** Marks a function that only `handlerFrom()` can call. */
export const special: unique symbol = Symbol("qtalk.special");

/**
 * Checks what a program gives for a handler.
 *
 * @param handler what it gives
 * @param what what is done with it, for the error text
 * @throws {TypeError} if it is not a handler, or cannot be meant to be one
 */
export function checkHandler(handler: unknown, what: string): void {
  const problem = typeof handler === "function"
    ? functionProblem(handler)
    : objectProblem(handler);
  if (problem !== undefined) {
    throw new TypeError(`Cannot ${what}: the handler ${problem}`);
  }
}

function functionProblem(fn: object): string | undefined {
  const { name, length } = fn as { name: string; length: number };
  if (isClass(fn)) {
    const called = name || "TheClass";
    return `is the class ${called}; write handlerFrom(new ${called}())`;
  }
  if (special in fn) {
    return "was made by withCall() or withStream(); write handlerFrom(fn)";
  }
  return length > 2
    ? `has ${length} parameters and not (call, respond); write handlerFrom(fn) for a function that gets the arguments`
    : undefined;
}

function objectProblem(value: unknown): string | undefined {
  const { respond, then } = (value ?? {}) as Record<string, unknown>;
  if (typeof value === "object" && typeof respond === "function") {
    return undefined;
  }
  if (typeof then === "function") return "is a promise; await it";
  return `is neither a function nor an object with respond(), but ${
    kindOf(value)
  }${
    typeof value === "object" && value !== null
      ? "; write handlerFrom(object) for an object with methods"
      : ""
  }`;
}

/** Whether a function is a class, of a program or of the runtime. */
export function isClass(fn: object): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(fn, "prototype");
  if (descriptor === undefined) return false;
  if (descriptor.writable === false) return true;
  // Classes in older JavaScript are functions whose prototype has methods.
  const prototype: unknown = descriptor.value;
  return typeof prototype === "object" && prototype !== null &&
    Object.hasOwn(prototype, "constructor") &&
    Object.getOwnPropertyNames(prototype).length > 1;
}

/** Whether a call is the server's own, and not a wrapper. */
export function isServerCall(call: Call): call is ServerCall {
  return "receiveNow" in call;
}

/** Whether a responder is the server's own, and not a wrapper. */
export function isServerResponder(
  respond: Responder,
): respond is ServerResponder {
  return "sendNow" in respond;
}

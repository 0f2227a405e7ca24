import { isPlainObject } from "../../codec/internal.ts";
import { specialOf } from "../handler/function_handler.ts";
import { handlerFrom } from "../handler/handler_from.ts";
import { description } from "../handler/invoke.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Handler } from "../types.ts";
import { checkFunctions, checkObject, kindOf } from "../../check_option.ts";
import {
  checkContract,
  type Contract,
  type ContractMethods,
  isMethod,
  membersIn,
} from "./contract.ts";
import {
  type ContractDescription,
  describe,
  type JsonSchemaConverter,
} from "./describe.ts";
import { Implemented, takesStream } from "./implemented.ts";
import { Side } from "./side.ts";
import type { Implementation } from "./types.ts";

/** Options for {@linkcode implement}. */
export interface ImplementOptions {
  /**
   * Whether results, streamed values and the details of declared errors are
   * validated before they are sent. Default: yes.
   */
  validateResults?: boolean | undefined;
  /**
   * Makes the JSON Schemas with which the handler describes itself, for
   * `withReflection()`. Default: the schemas make them, by Standard JSON Schema.
   */
  toJsonSchema?: JsonSchemaConverter | undefined;
}

/** The key, in a handler, of the contract that it implements. */
const implemented: unique symbol = Symbol("qtalk.implemented");

/**
 * Makes a handler of a contract and the functions for its methods. It can be used
 * wherever a handler from `handlerFrom()` can.
 *
 * The metadata and the arguments of a call are validated first. If they are
 * invalid, the function is not called, and the caller gets an error with the code
 * `invalid-argument`, whose `details` are the issues, each with `path` and
 * `message`: at most 32, shortened to about 4,096 characters. Otherwise the
 * function gets the output of the schemas. A value of a streamed argument is
 * validated when the function reads it: an invalid one is thrown in its loop as a
 * `CallError`.
 *
 * The return value is validated as well, and the output of the schema is sent. An
 * invalid return value is a bug in the function: the call fails with the code
 * `invalid-result`, and the {@linkcode ValidationError} goes to `onError`. The same
 * is true of the details of errors that the method declares.
 *
 * Calls of functions in arguments and results that the contract describes are
 * validated in the same way: the calls that the peer makes, and what the peer
 * returns. If that is invalid, the call rejects with a `CallError` whose code is
 * `invalid-result`.
 *
 * Functions get the call through `withCall()`, or through `withStream()` if their
 * only argument is a stream. `this` is the object that contains them, which may be
 * an instance of a class.
 *
 * @example
 * ```ts
 * import { clientOf, contract, implement, method } from "@qtalk/qtalk/contract";
 * import { memoryPair, RemoteError, withCall } from "@qtalk/qtalk";
 * import { assertEquals, assertRejects } from "@std/assert";
 * import * as v from "npm:valibot@^1";
 *
 * const api = contract({
 *   name: "greeter",
 *   methods: { greet: method({ args: [v.string()], result: v.string() }) },
 * });
 * const handler = implement(api, {
 *   greet: withCall((call, name) => `${name} called ${call.selector}`),
 * });
 *
 * const [peer] = memoryPair({}, { handler });
 * await using _ = peer;
 * assertEquals(await clientOf(api, peer).greet("Ann"), "Ann called /greet");
 *
 * const error = await assertRejects(() => peer.call("greet", [7]), RemoteError);
 * assertEquals(error.code, "invalid-argument");
 * assertEquals(error.details, [
 *   { path: [0], message: "Invalid type: Expected string but received 7" },
 * ]);
 * ```
 *
 * @param contract what is implemented
 * @param functions a function for each method, under its name
 * @param options whether results are validated
 * @throws {TypeError} if a function is missing, or an object literal has something
 * that is not in the contract
 */
export function implement<Methods extends ContractMethods>(
  contract: Contract<Methods>,
  functions: Implementation<Methods>,
  options: ImplementOptions = {},
): Handler {
  checkContract(contract);
  checkObject("options of implement()", options);
  checkFunctions(options, "toJsonSchema");
  const { validateResults = true } = options;
  const service = membersOf(
    contract.methods,
    functions,
    "",
    (path, problem) => {
      const what = path === "" ? "what implements it" : `"${path}"`;
      throw new TypeError(
        `Cannot implement contract "${contract.name}": ${what} ${problem}`,
      );
    },
    new Side("implements", validateResults),
  );
  let known: ContractDescription | undefined;
  return Object.assign(handlerFrom(service), {
    [implemented]: contract,
    // Schemas are converted once, on first use.
    [description]: () => known ??= describe(contract, options),
  });
}

/**
 * Returns the contract of a handler that {@linkcode implement} has made, and
 * undefined for other handlers.
 */
export function contractOf(handler: Handler): Contract | undefined {
  return (handler as { [implemented]?: Contract } | undefined)?.[implemented];
}

/** Functions for `handlerFrom()`, and objects with more of them. */
interface Service {
  [name: string]: AnyFunction | Service;
}

/** Wraps the functions for the methods of a contract. */
function membersOf(
  methods: ContractMethods,
  functions: unknown,
  path: string,
  fail: (path: string, problem: string) => never,
  side: Side,
): Service {
  if (typeof functions !== "object" || functions === null) {
    return fail(path, `is ${kindOf(functions)} and not an object`);
  }
  const at = (name: string) => path === "" ? name : `${path}.${name}`;
  if (isPlainObject(functions)) {
    for (const name of Reflect.ownKeys(functions)) {
      // The namespace object of a module has a symbol that is not enumerable.
      const isOffered = Object.prototype.propertyIsEnumerable.call(
        functions,
        name,
      );
      if (
        isOffered && (typeof name === "symbol" || !Object.hasOwn(methods, name))
      ) fail(at(String(name)), "is not in it");
    }
  }
  const service: Service = {};
  for (const [name, member] of membersIn(methods)) {
    const given = (functions as Record<string, unknown>)[name];
    if (!isMethod(member)) {
      service[name] = membersOf(member, given, at(name), fail, side);
      continue;
    }
    if (typeof given !== "function") {
      fail(at(name), `is ${kindOf(given)} and not a function`);
    }
    const fn = given as AnyFunction;
    if (specialOf(fn)?.wants === "stream" && !takesStream(member)) {
      fail(
        at(name),
        "was made by withStream(), but its method does not have a stream as its only argument",
      );
    }
    service[name] = new Implemented(member, fn, functions, side)
      .toFunction();
  }
  return service;
}

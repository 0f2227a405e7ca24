import { isPlainObject } from "../../codec/internal.ts";
import { printableText } from "../../printable_text.ts";
import { RpcResponse } from "../client/response.ts";
import { CallError } from "../errors.ts";
import {
  specialOf,
  withCall,
  withStream,
} from "../handler/function_handler.ts";
import { handlerFrom } from "../handler/handler_from.ts";
import { description } from "../handler/invoke.ts";
import {
  failedAtOnce,
  isBytePair,
  sourceFor,
} from "../handler/respond_with.ts";
import type { AnyFunction } from "../remote/types.ts";
import type { Call, Handler } from "../types.ts";
import { kindOf } from "../wire/selector.ts";
import {
  isValueStream,
  openSource,
  type ValueStream,
} from "../wire/value_source.ts";
import {
  type Contract,
  type ContractMethod,
  type ContractMethods,
  isBytes,
  isMethod,
  isStreamOf,
  membersIn,
  type StreamOf,
} from "./contract.ts";
import {
  type ContractDescription,
  describe,
  type JsonSchemaConverter,
} from "./describe.ts";
import type { StandardSchema } from "./standard_schema.ts";
import type { Implementation } from "./types.ts";
import {
  type Eventual,
  isThenable,
  validate,
  validateArguments,
  validateMeta,
  whenever,
} from "./validate.ts";
import {
  iterableFrom,
  streamFrom,
  ValidatedSource,
} from "./validated_stream.ts";
import { keepMeta } from "./call_meta.ts";
import {
  described,
  ValidationError,
  type ValidationIssue,
} from "./validation_error.ts";

/** Options for {@linkcode implement}. */
export interface ImplementOptions {
  /**
   * Whether results, streamed values and the details of declared errors are
   * validated before they are sent. Default: yes.
   */
  validateResults?: boolean | undefined;
  /**
   * Makes the JSON Schemas with which the handler describes itself, for
   * `withReflection()`. Default: those that the schemas give themselves, by Standard
   * JSON Schema.
   */
  toJsonSchema?: JsonSchemaConverter | undefined;
}

/** The key, in a handler, of the contract that it implements. */
const implemented: unique symbol = Symbol("qtalk.implemented");

/**
 * Makes a handler of a contract and the functions for its methods. It can be used
 * wherever a handler of `handlerFrom()` can.
 *
 * The metadata and the arguments of a call are validated first. If they are invalid,
 * the function is not called, and the caller gets an error with the code
 * `invalid-argument`, whose `details` are the issues, each with `path` and
 * `message`: at most 32, shortened to about 4,096 characters. Otherwise the function
 * gets what the schemas have made of them. A value of a streamed argument is
 * validated when the function reads it: an invalid one is thrown in its loop as a
 * `CallError`.
 *
 * What the function returns is validated as well, and what the schema makes of that
 * is sent. If it is invalid, that is a bug of the function: the call fails with the
 * code `invalid-result`, and the {@linkcode ValidationError} goes to `onError`. The
 * same holds for the details of the errors that the method declares.
 *
 * Functions get the call by `withCall()`, or by `withStream()` if their only
 * argument is a stream. `this` is the object that contains them, which may be an
 * instance of a class.
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
    validateResults,
  );
  let known: ContractDescription | undefined;
  return Object.assign(handlerFrom(service), {
    [implemented]: contract,
    // Schemas are converted once, for those who ask.
    [description]: () => known ??= describe(contract, options),
  });
}

/** The contract of a handler that {@linkcode implement} has made; else undefined. */
export function contractOf(handler: Handler): Contract | undefined {
  return (handler as { [implemented]?: Contract })[implemented];
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
  checksResults: boolean,
): Service {
  if (typeof functions !== "object" || functions === null) {
    return fail(path, `is ${kindOf(functions)} and not an object`);
  }
  const at = (name: string) => path === "" ? name : `${path}.${name}`;
  if (isPlainObject(functions)) {
    for (const name of Reflect.ownKeys(functions)) {
      // The namespace of a module has a symbol, which cannot be enumerated.
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
      service[name] = membersOf(member, given, at(name), fail, checksResults);
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
    service[name] = new Implemented(member, fn, functions, checksResults)
      .toFunction();
  }
  return service;
}

/** Whether a method has a stream as its only argument. */
function takesStream({ args, rest }: ContractMethod): boolean {
  return args.length === 1 && isStreamOf(args[0]) && rest === undefined;
}

/** A method and the function that implements it. */
class Implemented {
  readonly #method: ContractMethod;
  readonly #fn: AnyFunction;
  readonly #owner: object;
  readonly #checksResults: boolean;

  constructor(
    method: ContractMethod,
    fn: AnyFunction,
    owner: object,
    checksResults: boolean,
  ) {
    this.#method = method;
    this.#fn = fn;
    this.#owner = owner;
    this.#checksResults = checksResults;
  }

  /** The function for `handlerFrom()`. */
  toFunction(): AnyFunction {
    const method = this.#method;
    if (takesStream(method)) {
      const [spec] = method.args as [StreamOf];
      return withStream((values, call) =>
        this.#afterMeta(call, () =>
          this.#answer(call, [
            streamedArgument(values, spec.values, [0], call),
          ]))
      );
    }
    return withCall((call, ...args: unknown[]) =>
      this.#afterMeta(call, () => this.#validateAndAnswer(call, args))
    );
  }

  /** Continues if the metadata of a call is valid. */
  #afterMeta(
    call: Call,
    then: () => Eventual<unknown>,
  ): Eventual<unknown> {
    if (this.#method.meta === undefined) return then();
    return whenever(validateMeta(this.#method, call.meta), (result) => {
      if (result.issues !== undefined) {
        throw invalidArgument(call, result.issues);
      }
      keepMeta(call, this.#method, result.value);
      return then();
    });
  }

  #validateAndAnswer(call: Call, args: unknown[]): Eventual<unknown> {
    const validated = validateArguments(
      this.#method,
      args,
      (value, schema, path) =>
        isValueStream(value)
          ? { value: streamedArgument(value, schema, path, call) }
          : { issues: [{ path, message: "Expected a stream" }] },
    );
    return whenever(validated, (result) => {
      if (result.issues !== undefined) {
        throw invalidArgument(call, result.issues);
      }
      return this.#answer(call, result.value);
    });
  }

  /** Calls the function, and checks what comes of it. */
  #answer(call: Call, args: readonly unknown[]): Eventual<unknown> {
    const finish = (result: unknown) => this.#finish(result, call);
    const fail = (error: unknown) => this.#fail(error, call);
    let result: unknown;
    try {
      result = this.#call(call, args);
    } catch (error) {
      return fail(error);
    }
    return isThenable(result)
      ? Promise.resolve(result).then(finish, fail)
      : finish(result);
  }

  #call(call: Call, args: readonly unknown[]): unknown {
    const how = specialOf(this.#fn);
    if (how === undefined) return this.#fn.apply(this.#owner, args as never[]);
    const params = how.wants === "call" ? [call, ...args] : [args[0], call];
    return how.fn.apply(this.#owner, params as never[]);
  }

  /** What is answered in place of what the function has returned. */
  #finish(result: unknown, call: Call): Eventual<unknown> {
    if (result instanceof Error) return this.#checkedError(result, call);
    const spec = this.#method.result;
    if (spec === undefined) return undefined;
    if (isBytes(spec)) {
      if (isByteStream(result)) return result;
      throw wrongKind(call, "a pair of byte streams", result);
    }
    if (isStreamOf(spec)) {
      if (!isValueStream(result)) throw wrongKind(call, "a stream", result);
      return this.#checksResults
        ? this.#checkedStream(result, spec.values, call)
        : result;
    }
    if (!this.#checksResults) return result;
    return whenever(validate(spec, result), (validated) => {
      if (validated.issues === undefined) return validated.value;
      throw invalidResult(call, "result", validated.issues);
    });
  }

  /** A stream that a function has returned, with its values checked. */
  async #checkedStream(
    values: ValueStream,
    schema: StandardSchema,
    call: Call,
  ): Promise<AsyncIterable<unknown>> {
    const source = sourceFor(values, call);
    const first = source.next();
    // Such an error is sent as an error response, which every peer understands.
    const failed = await failedAtOnce(first);
    if (failed !== undefined) return await this.#fail(failed.error, call);
    const checked = new ValidatedSource(source, {
      schema,
      path: [],
      error: (issues) => invalidResult(call, "result", issues),
      failure: (error) => this.#checkedError(error, call),
    }, first);
    return iterableFrom(() => checked, call.signal);
  }

  /** Throws in place of what the function has thrown. */
  #fail(error: unknown, call: Call): Eventual<never> {
    return whenever(this.#checkedError(error, call), (checked) => {
      throw checked;
    });
  }

  /** An error; if the method declares it, with its details checked. */
  #checkedError(error: unknown, call: Call): Eventual<unknown> {
    const { errors } = this.#method;
    if (
      !this.#checksResults || !(error instanceof CallError) ||
      error.code === undefined || !Object.hasOwn(errors, error.code)
    ) return error;
    return whenever(
      validate(errors[error.code]!, error.details),
      (validated) => {
        if (validated.issues !== undefined) {
          throw invalidResult(call, "details", validated.issues);
        }
        return validated.value === error.details
          ? error
          : withDetails(error, validated.value);
      },
    );
  }
}

/** An argument that the caller streams, with its values checked. */
function streamedArgument(
  values: ValueStream,
  schema: StandardSchema,
  path: readonly number[],
  call: Call,
): ReadableStream<unknown> {
  const error = (issues: readonly ValidationIssue[]) =>
    invalidArgument(call, issues);
  return streamFrom(
    new ValidatedSource(openSource(values), { schema, path, error }),
  );
}

function isByteStream(value: unknown): boolean {
  return value instanceof RpcResponse ||
    typeof value === "object" && value !== null && isBytePair(value);
}

/** The same error with other details. */
function withDetails(error: CallError, details: unknown): CallError {
  const { message, code, cause, stack } = error;
  const copy = new CallError(message, {
    code,
    details,
    ...(cause !== undefined && { cause }),
  });
  return Object.assign(copy, { name: error.name, stack });
}

/** The error for a caller whose arguments are invalid. */
function invalidArgument(
  call: Call,
  issues: readonly ValidationIssue[],
): CallError {
  return new CallError(
    `Cannot call "${printableText(call.selector)}": ${
      described(issues, "args")
    }`,
    { code: "invalid-argument", details: issues },
  );
}

/** The error of a function that does not do what its contract says. */
function invalidResult(
  call: Call,
  what: string,
  issues: readonly ValidationIssue[],
): ValidationError {
  return new ValidationError(
    "invalid-result",
    `Cannot answer "${printableText(call.selector)}": ${
      described(issues, what)
    }`,
    issues,
  );
}

function wrongKind(call: Call, expected: string, result: unknown): TypeError {
  return new TypeError(
    `Cannot answer "${
      printableText(call.selector)
    }": expected ${expected}, got ${kindOf(result)}`,
  );
}

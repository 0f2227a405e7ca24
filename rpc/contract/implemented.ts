import { printableText } from "../../printable_text.ts";
import { RpcResponse } from "../client/response.ts";
import { CallError } from "../errors.ts";
import {
  specialOf,
  withCall,
  withStream,
} from "../handler/function_handler.ts";
import {
  failedAtOnce,
  isBytePair,
  sourceFor,
} from "../handler/respond_with.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Call } from "../types.ts";
import { kindOf } from "../../check_option.ts";
import { isValueStream, type ValueStream } from "../wire/value_source.ts";
import { keepMeta } from "./call_meta.ts";
import {
  type ContractMethod,
  isBytes,
  isSchema,
  isStreamOf,
  type ValueSpec,
} from "./contract.ts";
import {
  type Checks,
  type Eventual,
  isThenable,
  type Place,
  validate,
  validateArguments,
  validateMeta,
  whenever,
} from "./validation/validate.ts";
import {
  iterableFrom,
  ValidatedSource,
} from "./validation/validated_stream.ts";
import {
  described,
  ValidationError,
  type ValidationIssue,
} from "./validation/validation_error.ts";

/** A method and the function that implements it. */
export class Implemented {
  readonly #method: ContractMethod;
  readonly #fn: AnyFunction;
  readonly #owner: object | undefined;
  readonly #side: Checks;
  readonly #name: string | undefined;

  /**
   * Puts them together.
   *
   * @param owner what the function gets as `this`
   * @param name what errors call it. Default: its selector
   */
  constructor(
    method: ContractMethod,
    fn: AnyFunction,
    owner: object | undefined,
    side: Checks,
    name?: string,
  ) {
    this.#method = method;
    this.#fn = fn;
    this.#owner = owner;
    this.#side = side;
    this.#name = name;
  }

  #nameOf(call: Call): string {
    return this.#name ?? `"${printableText(call.selector)}"`;
  }

  /** The function for `handlerFrom()`. */
  toFunction(): AnyFunction {
    const method = this.#method;
    if (takesStream(method)) {
      return withStream((values, call) =>
        this.#afterMeta(call, () => this.#validateAndAnswer(call, [values]))
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
        throw invalidArgument(this.#nameOf(call), result.issues);
      }
      keepMeta(call, this.#method, result.value);
      return then();
    });
  }

  #validateAndAnswer(call: Call, args: unknown[]): Eventual<unknown> {
    const name = this.#nameOf(call);
    const place: Place = {
      name,
      what: "args",
      error: (issues) => invalidArgument(name, issues),
    };
    const validated = validateArguments(
      this.#method,
      args,
      (spec, value, path) => this.#side.received(spec, value, path, place),
    );
    return whenever(validated, (result) => {
      if (result.issues !== undefined) {
        throw invalidArgument(this.#nameOf(call), result.issues);
      }
      return this.#answer(call, result.value);
    });
  }

  /** Calls the function, and checks its result. */
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

  /** Returns the answer to send for the result of the function. */
  #finish(result: unknown, call: Call): Eventual<unknown> {
    if (result instanceof Error) return this.#checkedError(result, call);
    const spec = this.#method.result;
    const name = this.#nameOf(call);
    if (spec === undefined) return undefined;
    if (isBytes(spec)) {
      if (isByteStream(result)) return result;
      throw wrongKind(name, "a pair of byte streams", result);
    }
    if (isStreamOf(spec)) {
      if (!isValueStream(result)) throw wrongKind(name, "a stream", result);
      return this.#side.checksSent || !isSchema(spec.values)
        ? this.#checkedStream(result, spec.values, call)
        : result;
    }
    const place = resultOf(name);
    return whenever(this.#side.sent(spec, result, [], place), (validated) => {
      if (validated.issues === undefined) return validated.value;
      throw place.error(validated.issues);
    });
  }

  /** A stream that a function has returned, with its values checked. */
  async #checkedStream(
    values: ValueStream,
    spec: ValueSpec,
    call: Call,
  ): Promise<AsyncIterable<unknown>> {
    const source = sourceFor(values, call);
    const first = source.next();
    // Such an error is sent as an error response, which every peer understands.
    const failed = await failedAtOnce(first);
    if (failed !== undefined) return await this.#fail(failed.error, call);
    const place = resultOf(this.#nameOf(call));
    const checked = new ValidatedSource(source, {
      check: (value, i) => this.#side.sent(spec, value, [i], place),
      error: place.error,
      failure: (error) => this.#checkedError(error, call),
    }, first);
    return iterableFrom(() => checked, call.signal);
  }

  /** Throws the error to send for the error of the function. */
  #fail(error: unknown, call: Call): Eventual<never> {
    return whenever(this.#checkedError(error, call), (checked) => {
      throw checked;
    });
  }

  /** An error; if the method declares it, with its details checked. */
  #checkedError(error: unknown, call: Call): Eventual<unknown> {
    const { errors } = this.#method;
    if (
      !this.#side.checksSent || !(error instanceof CallError) ||
      error.code === undefined || !Object.hasOwn(errors, error.code)
    ) return error;
    return whenever(
      validate(errors[error.code]!, error.details),
      (validated) => {
        if (validated.issues !== undefined) {
          throw invalidResult(this.#nameOf(call), "details", validated.issues);
        }
        return validated.value === error.details
          ? error
          : withDetails(error, validated.value);
      },
    );
  }
}

/** Where the result of a call is. */
function resultOf(name: string): Place {
  return {
    name,
    what: "result",
    error: (issues) => invalidResult(name, "result", issues),
  };
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
  name: string,
  issues: readonly ValidationIssue[],
): CallError {
  return new CallError(`Cannot call ${name}: ${described(issues, "args")}`, {
    code: "invalid-argument",
    details: issues,
  });
}

/** The error of a function that violates its contract. */
function invalidResult(
  name: string,
  what: string,
  issues: readonly ValidationIssue[],
): ValidationError {
  return new ValidationError(
    "invalid-result",
    `Cannot answer ${name}: ${described(issues, what)}`,
    issues,
  );
}

function wrongKind(name: string, expected: string, result: unknown): TypeError {
  return new TypeError(
    `Cannot answer ${name}: expected ${expected}, got ${kindOf(result)}`,
  );
}

/** Whether a method has a stream as its only argument. */
export function takesStream({ args, rest }: ContractMethod): boolean {
  return args.length === 1 && isStreamOf(args[0]) && rest === undefined;
}

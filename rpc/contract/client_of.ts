import { checkTimeout } from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { RpcResponse } from "../client/response.ts";
import { callArguments, RemoteCall } from "../remote/remote_call.ts";
import type { Caller, CallOptions } from "../types.ts";
import { NO_META } from "../wire/metadata.ts";
import { checkSelector, cleanSelector } from "../wire/selector.ts";
import { isValueStream, openSource } from "../wire/value_source.ts";
import {
  type Contract,
  type ContractMethod,
  type ContractMethods,
  isBytes,
  isMethod,
  isStreamOf,
  membersIn,
} from "./contract.ts";
import type { StandardSchema } from "./standard_schema.ts";
import type { ContractClient, ValidatingClient } from "./types.ts";
import {
  type Eventual,
  validate,
  validateArguments,
  type Validated,
  validateMeta,
  whenever,
} from "./validate.ts";
import { iterableFrom, ValidatedSource } from "./validated_stream.ts";
import {
  described,
  ValidationError,
  type ValidationIssue,
} from "./validation_error.ts";

/** Options for {@linkcode clientOf}. */
export interface ClientOfOptions extends CallOptions {
  /**
   * Whether arguments are validated before a call is made, and results when they
   * arrive. Default: no.
   */
  validate?: boolean | undefined;
  /**
   * The selector that the peer has registered the service under, such as `"math"`
   * after `handle("math", implement(…))`. Default: none.
   */
  prefix?: string | undefined;
}

/**
 * The service of a contract as an object of methods, which call the peer: as
 * `remote()`, with the types of the contract.
 *
 * With `validate`, arguments are validated before they are sent (as they are: the
 * peer applies the schemas, so their transformations and defaults apply once), and
 * results when they arrive: calls return what the schemas make of them. Calls with
 * invalid arguments or results reject with a {@linkcode ValidationError}. Because
 * the side that answers has applied the schema of a result before, that schema must
 * accept its own output; methods of which the types say otherwise do not compile.
 *
 * @example
 * ```ts
 * import { clientOf, contract, method, ValidationError } from "@qtalk/qtalk/contract";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals, assertRejects } from "@std/assert";
 * import { type } from "npm:arktype@^2";
 *
 * const api = contract({
 *   name: "numbers",
 *   methods: { half: method({ args: [type("number")], result: type("number") }) },
 * });
 * const [peer, other] = memoryPair();
 * await using _ = peer;
 * other.handle("half", (_call, respond) => respond.return("one")); // No number.
 *
 * const numbers = clientOf(api, peer, { validate: true });
 * const error = await assertRejects(() => numbers.half(2), ValidationError);
 * assertEquals(error.code, "invalid-result");
 * ```
 *
 * @param contract what the peer implements
 * @param caller makes the calls: a peer, or `call.caller`
 * @param options whether values are validated; signal and timeout of each call
 * @throws {RangeError} if `timeout` is out of range
 * @throws {TypeError} if `prefix` is not a string
 */
export function clientOf<
  Methods extends ContractMethods,
  C extends Carried = Carried,
>(
  contract: Contract<Methods>,
  caller: Caller<C> & { readonly carries?: C | undefined },
  options: ClientOfOptions & { validate: true },
): ValidatingClient<Methods, C>;
/** Does so without validation, unless `options` says otherwise. */
export function clientOf<
  Methods extends ContractMethods,
  C extends Carried = Carried,
>(
  contract: Contract<Methods>,
  caller: Caller<C> & { readonly carries?: C | undefined },
  options?: ClientOfOptions,
): ContractClient<Methods, C>;
export function clientOf(
  contract: Contract,
  caller: Caller,
  options: ClientOfOptions = {},
): object {
  const { validate = false, prefix = "", ...callOptions } = options;
  checkTimeout(callOptions.timeout);
  checkSelector(prefix);
  const path = cleanSelector(prefix).slice(1).replace(/\/$/, "");
  return membersOf(
    contract.methods,
    path === "" ? "" : `${path}/`,
    caller,
    callOptions,
    validate ? validatedRequest : request,
  );
}

/** Makes the call of a method. */
type Request = (
  method: ContractMethod,
  selector: string,
  args: unknown[],
  caller: Caller,
  options: CallOptions,
) => Promise<RpcResponse>;

/** The methods of a contract as functions that call them. */
function membersOf(
  methods: ContractMethods,
  path: string,
  caller: Caller,
  options: CallOptions,
  request: Request,
): object {
  const members = membersIn(methods).map(([name, member]) => {
    const selector = `${path}${name}`;
    return [
      name,
      isMethod(member)
        ? (...args: unknown[]) =>
          new RemoteCall(
            request(member, selector, args, caller, options),
            selector,
            options.signal,
          )
        : membersOf(member, `${selector}/`, caller, options, request),
    ];
  });
  return Object.freeze(Object.fromEntries(members));
}

function request(
  _method: ContractMethod,
  selector: string,
  args: unknown[],
  caller: Caller,
  options: CallOptions,
): Promise<RpcResponse> {
  return caller.request(selector, callArguments(args), options);
}

/** Makes a call whose arguments are valid, and checks its response. */
function validatedRequest(
  method: ContractMethod,
  selector: string,
  args: unknown[],
  caller: Caller,
  options: CallOptions,
): Promise<RpcResponse> {
  const streamed = (
    value: unknown,
    schema: StandardSchema,
    path: readonly number[],
  ): Validated =>
    isValueStream(value)
      ? {
        value: iterableFrom(() =>
          new ValidatedSource(openSource(value), {
            schema,
            path,
            error: (issues) => invalidArgument(selector, issues),
            unchanged: true,
          })
        ),
      }
      : { issues: [{ path, message: "Expected a stream" }] };
  try {
    const validated = whenever(
      validateMeta(method, options.meta ?? NO_META),
      (meta): Eventual<Validated<unknown[]>> =>
        meta.issues !== undefined
          ? meta
          : validateArguments(method, args, streamed),
    );
    const response = whenever(validated, (result) => {
      if (result.issues !== undefined) {
        throw invalidArgument(selector, result.issues);
      }
      const sent = args.map((arg, i) =>
        isStreamOf(method.args[i]) ? result.value[i] : arg
      );
      return caller.request(selector, callArguments(sent), options);
    });
    return Promise.resolve(response).then((response) =>
      checkedResponse(response, method, selector)
    );
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A response with the schema of the result applied to what it carries. */
async function checkedResponse(
  response: RpcResponse,
  { result: spec }: ContractMethod,
  selector: string,
): Promise<RpcResponse> {
  if (isBytes(spec)) return response;
  if (isStreamOf(spec)) {
    return response.continued
      ? checkedStream(response, spec.values, selector)
      : response;
  }
  if (response.continued) {
    await response.close();
    throw invalidResult(selector, [
      { path: [], message: "Expected a value, got a stream" },
    ]);
  }
  if (spec === undefined) return new RpcResponse([]);
  const validated = await validate(spec, response.value);
  if (validated.issues !== undefined) {
    throw invalidResult(selector, validated.issues);
  }
  return new RpcResponse([validated.value]);
}

/** Has the values of a continued response checked as they are received. */
function checkedStream(
  response: RpcResponse,
  schema: StandardSchema,
  selector: string,
): RpcResponse {
  const receive = response.receive.bind(response);
  let count = 0;
  // Its loop receives by this, too.
  response.receive = async (options) => {
    const value = await receive(options);
    if (value === undefined) return undefined;
    const validated = await validate(schema, value, [count++]);
    if (validated.issues !== undefined) {
      throw invalidResult(selector, validated.issues);
    }
    // What is undefined would be the end.
    return validated.value ?? null;
  };
  return response;
}

function invalidArgument(
  selector: string,
  issues: readonly ValidationIssue[],
): ValidationError {
  return new ValidationError(
    "invalid-argument",
    `Cannot call "${selector}": ${described(issues, "args")}`,
    issues,
  );
}

function invalidResult(
  selector: string,
  issues: readonly ValidationIssue[],
): ValidationError {
  return new ValidationError(
    "invalid-result",
    `Cannot receive response to "${selector}": ${described(issues, "result")}`,
    issues,
  );
}

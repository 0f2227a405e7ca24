import { RpcResponse } from "../client/response.ts";
import { borrowedFrom } from "../callback/pointers.ts";
import { RemoteCall } from "../remote/remote.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import { type ContractMethod, isBytes, isStreamOf } from "./contract.ts";
import {
  type Checks,
  type Eventual,
  type Place,
  validateArguments,
  type Validated,
  whenever,
} from "./validation/validate.ts";
import {
  described,
  ValidationError,
  type ValidationIssue,
} from "./validation/validation_error.ts";

/**
 * Makes a call whose arguments are valid, and checks its response.
 *
 * @param name what errors call what is called
 * @param make makes the call with what is to be sent
 * @param before checks something else first
 */
export function checkedCall(
  method: ContractMethod,
  name: string,
  args: unknown[],
  side: Checks,
  make: (args: unknown[]) => Promise<RpcResponse>,
  before: Eventual<Validated> = { value: undefined },
): Promise<RpcResponse> {
  const invalid = (issues: readonly ValidationIssue[]) =>
    new ValidationError(
      "invalid-argument",
      `Cannot call ${name}: ${described(issues, "args")}`,
      issues,
    );
  let streamError: ValidationError | undefined;
  const place: Place = {
    name,
    what: "args",
    error: (issues) => streamError ??= invalid(issues),
  };
  try {
    const validated = whenever(
      before,
      (result): Eventual<Validated<unknown[]>> =>
        result.issues !== undefined ? result : validateArguments(
          method,
          args,
          (spec, value, path) => side.sent(spec, value, path, place),
        ),
    );
    const response = whenever(validated, (result) => {
      if (result.issues !== undefined) throw invalid(result.issues);
      return make(result.value);
    });
    return Promise.resolve(response).then(
      (response) => checkedResponse(response, method, name, side),
      (error) => {
        // The error that the peer reports for a stream that failed here says less.
        throw streamError ?? error;
      },
    );
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * A function that calls one of the peer, and checks its arguments and its result.
 */
export function callOf(
  spec: ContractMethod,
  fn: AnyFunction,
  name: string,
  side: Checks,
): (...args: unknown[]) => RemoteCall {
  return (...args) => {
    const response = checkedCall(
      spec,
      name,
      args,
      side,
      async (args) => {
        const result: unknown = await fn(...args as never[]);
        return result instanceof RpcResponse
          ? result
          : new RpcResponse([result]);
      },
    );
    return new RemoteCall(response, name, undefined, borrowedFrom(fn)?.report);
  };
}

/** A response whose values the schema of the result has been applied to. */
async function checkedResponse(
  response: RpcResponse,
  { result: spec }: ContractMethod,
  name: string,
  side: Checks,
): Promise<RpcResponse> {
  const invalid = (issues: readonly ValidationIssue[]) =>
    side.invalidResponse(
      `Cannot receive response to ${name}: ${described(issues, "result")}`,
      issues,
    );
  const place: Place = { name, what: "result", error: invalid };
  if (isBytes(spec)) return response;
  if (isStreamOf(spec)) {
    if (!response.continued) return response;
    const { values } = spec;
    const check = (value: unknown, i: number) =>
      side.received(values, value, [i], place);
    return checkedStream(response, check, invalid);
  }
  if (response.continued) {
    await response.close();
    throw invalid([{ path: [], message: "Expected a value, got a stream" }]);
  }
  if (spec === undefined) return new RpcResponse([]);
  const validated = await side.received(spec, response.value, [], place);
  if (validated.issues !== undefined) throw invalid(validated.issues);
  return new RpcResponse([validated.value]);
}

/** Checks the values of a continued response as they are received. */
function checkedStream(
  response: RpcResponse,
  check: (value: unknown, i: number) => Eventual<Validated>,
  invalid: (issues: readonly ValidationIssue[]) => Error,
): RpcResponse {
  const receive = response.receive.bind(response);
  let count = 0;
  // Loops over the response use this method, too.
  response.receive = async (options) => {
    const value = await receive(options);
    if (value === undefined) return undefined;
    const validated = await check(value, count++);
    if (validated.issues !== undefined) throw invalid(validated.issues);
    // A value that is `undefined` would mean the end.
    return validated.value ?? null;
  };
  return response;
}

import { checkMethods, checkObject } from "../../check_option.ts";
import { checkCallLimits } from "../client/call_limits.ts";
import type { Carried } from "../../codec/internal.ts";
import type { RpcResponse } from "../client/response.ts";
import { callArguments, RemoteCall } from "../remote/remote.ts";
import type { Caller, CallOptions } from "../types.ts";
import { NO_META } from "../wire/metadata.ts";
import { checkSelector, cleanSelector } from "../wire/selector.ts";
import { checkedCall } from "./checked_call.ts";
import {
  checkContract,
  type Contract,
  type ContractMethod,
  type ContractMethods,
  isMethod,
  membersIn,
} from "./contract.ts";
import { Side } from "./side.ts";
import type { ContractClient, ValidatingClient } from "./types.ts";
import { validateMeta } from "./validation/validate.ts";

/** Options for {@linkcode clientOf}. */
export interface ClientOfOptions extends CallOptions {
  /**
   * Whether arguments are validated before a call is made, and results when they
   * arrive, including those of callbacks in both directions. Default: no.
   */
  validate?: boolean | undefined;
  /**
   * The selector that the peer has registered the service under, such as `"math"`
   * after `handle("math", implement(…))`. Default: none.
   */
  prefix?: string | undefined;
}

/**
 * Returns the service of a contract as an object whose methods call the peer: like
 * `remote()`, with the types of the contract.
 *
 * With `validate`, arguments are validated before they are sent, but are sent
 * unchanged: the peer applies the schemas, so their transformations and defaults
 * apply once. Results are validated when they arrive, and calls return the output
 * of the schemas. Calls with invalid arguments or results reject with a {@linkcode
 * ValidationError}. Because the responder has already applied the schema of a
 * result, that schema must accept its own output; otherwise calls of the method do
 * not compile.
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
 * @throws {TypeError} if `prefix` is not a string, or `signal` is not a signal
 */
export function clientOf<
  Methods extends ContractMethods,
  C extends Carried = Carried,
>(
  contract: Contract<Methods>,
  caller: Caller<C> & { readonly carries?: C | undefined },
  options: ClientOfOptions & { validate: true },
): ValidatingClient<Methods, C>;
/** Like the other form, without validation unless `options` says otherwise. */
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
  checkContract(contract);
  checkMethods("caller", caller, "a peer or another caller", "request");
  checkObject("options of clientOf()", options);
  const { validate = false, prefix = "", ...callOptions } = options;
  checkCallLimits(callOptions);
  checkSelector(prefix);
  const path = cleanSelector(prefix).slice(1).replace(/\/$/, "");
  return membersOf(
    contract.methods,
    path === "" ? "" : `${path}/`,
    caller,
    callOptions,
    validate ? validatedRequest(new Side("calls", true)) : request,
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

/** Makes requests with valid arguments, and checks their responses. */
function validatedRequest(side: Side): Request {
  return (method, selector, args, caller, options) =>
    checkedCall(
      method,
      `"${selector}"`,
      args,
      side,
      (args) => caller.request(selector, callArguments(args), options),
      validateMeta(method, options.meta ?? NO_META),
    );
}

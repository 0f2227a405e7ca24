import { checkTimeout } from "../../check_option.ts";
import type { Caller, CallOptions } from "../types.ts";
import { callArguments, RemoteCall } from "./remote_call.ts";
import type { Remote } from "./types.ts";
import { UNSENT_NAMES } from "../wire/selector.ts";

const UNSENT: ReadonlySet<string> = new Set(UNSENT_NAMES);

/** Names that each remote object caches; most services have fewer. */
const MAX_MEMBERS = 256;

/**
 * The peer's service as an object of methods.
 *
 * @param caller makes the calls
 * @param options the signal and timeout of each call
 * @throws {RangeError} if `timeout` is out of range
 */
export function remoteOf<S extends object>(
  caller: Caller,
  options?: CallOptions,
): Remote<S> {
  checkTimeout(options?.timeout);
  return node(caller, options, "") as unknown as Remote<S>;
}

/** One name in a service: a method, or an object with more names. */
function node(
  caller: Caller,
  options: CallOptions | undefined,
  selector: string,
): object {
  const members = new Map<string, object>();
  // Which names exist is known to the types, but not at run time.
  return new Proxy(() => {}, {
    apply(_target, _this, args: unknown[]) {
      const response = caller.request(selector, callArguments(args), options);
      return new RemoteCall(response, selector, options?.signal);
    },
    get(_target, name) {
      if (typeof name === "symbol" || UNSENT.has(name)) {
        return name === "toString" || name === Symbol.toPrimitive
          ? () => `remote "${selector}"`
          : undefined;
      }
      let member = members.get(name);
      if (member === undefined) {
        const path = selector === "" ? name : `${selector}/${name}`;
        member = node(caller, options, path);
        if (members.size < MAX_MEMBERS) members.set(name, member);
      }
      return member;
    },
    has: () => false,
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
  });
}

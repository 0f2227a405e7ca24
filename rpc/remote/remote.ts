import { checkTimeout } from "../../check_option.ts";
import type { Caller, CallOptions } from "../types.ts";
import { callArguments, RemoteCall } from "./remote_call.ts";
import type { Remote } from "./types.ts";
import { UNSENT_NAMES, UNSENT_PREFIXES } from "../wire/selector.ts";
import type { Carried } from "../../codec/internal.ts";

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
export function remoteOf<S extends object, C extends Carried = Carried>(
  caller: Caller,
  options?: CallOptions,
): Remote<S, C> {
  checkTimeout(options?.timeout);
  return node(caller, options, "") as unknown as Remote<S, C>;
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
      if (typeof name === "symbol") return local(name, selector);
      let member = members.get(name);
      if (member === undefined) {
        if (isUnsent(name)) return local(name, selector);
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

function isUnsent(name: string): boolean {
  return UNSENT.has(name) ||
    UNSENT_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** What a name that is never sent means on a remote object. */
function local(name: string | symbol, selector: string): unknown {
  switch (name) {
    case "toString":
    case "toLocaleString":
    case Symbol.toPrimitive:
      return () => `remote "${selector}"`;
    case "name":
      return selector.slice(selector.lastIndexOf("/") + 1);
    case "length":
      return 0;
    // They work on the proxy as on any function, and call it.
    case "apply":
    case "bind":
    case "call":
      return Function.prototype[name];
    case "hasOwnProperty":
    case "isPrototypeOf":
    case "propertyIsEnumerable":
    case "valueOf":
      return Object.prototype[name];
  }
  return undefined;
}

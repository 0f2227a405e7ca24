import { callArguments } from "../callback/callback.ts";
import { RemoteCall } from "./remote_call.ts";
import type { Remote } from "./types.ts";
import type { Caller, CallOptions } from "../types.ts";

/**
 * Names that JavaScript, its runtimes and their consoles ask objects for by
 * themselves. A method of that name is called by `call()`.
 */
const UNSENT: ReadonlySet<string> = new Set([
  "then",
  "toJSON",
  "toString",
  "toLocaleString",
  "valueOf",
  "inspect",
  "constructor",
  "prototype",
  "__proto__",
]);

/** Names that an object of methods remembers; most services have fewer. */
const MAX_MEMBERS = 256;

/**
 * The service at the other end of `caller`, as an object of methods.
 *
 * @param caller makes the calls
 * @param options signal and timeout of each of them
 */
export function remoteOf<S extends object>(
  caller: Caller,
  options?: CallOptions,
): Remote<S> {
  return node(caller, options, "") as unknown as Remote<S>;
}

/** One name in a service: called, or the way to what is nested in it. */
function node(
  caller: Caller,
  options: CallOptions | undefined,
  selector: string,
): object {
  const members = new Map<string, object>();
  // Types know which names there are; this side does not.
  return new Proxy(() => {}, {
    apply(_target, _this, args: unknown[]) {
      const response = caller.request(selector, callArguments(args), options);
      return new RemoteCall(response, selector);
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

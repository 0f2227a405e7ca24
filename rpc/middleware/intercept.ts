import {
  checkFunction,
  checkMethods,
  checkObject,
} from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { channelPool } from "../client/pool_key.ts";
import { firstValue, type RpcResponse } from "../client/response.ts";
import { remoteOf } from "../remote/remote.ts";
import type { Remote } from "../remote/types.ts";
import type { Caller, CallOptions } from "../types.ts";

/** A call that is about to be made. */
export interface OutgoingCall {
  /** What is called, as the program wrote it. */
  readonly selector: string;
  /**
   * The argument value, as the program gave it: not encoded yet, and a stream
   * unread.
   */
  readonly args: unknown;
  /** Signal, time limit and metadata. */
  readonly options: CallOptions;
  /** What makes the call: the peer. */
  readonly caller: Caller;
}

/**
 * Code around calls of this side. `next()` makes the call, through the interceptors
 * after this one, and resolves to the response: complete, or continued and still
 * streaming. It rejects if the call fails. The argument of `next()` changes the
 * call.
 *
 * `next()` can be called more than once, and makes a call each time, but a stream
 * among the arguments can be read only once.
 */
export type Interceptor = (
  call: OutgoingCall,
  next: (
    changes?: Partial<Pick<OutgoingCall, "selector" | "args" | "options">>,
  ) => Promise<RpcResponse>,
) => Promise<RpcResponse>;

/**
 * Makes a caller whose calls go through interceptors, the outermost first: those of
 * `call()`, of `request()` and of the objects that its `remote()` makes. Calls of
 * callbacks do not go through them, and neither do calls that are made with
 * `caller` itself.
 *
 * @example A token in every call
 * ```ts
 * import { type Call, handlerFrom, memoryPair, withCall } from "@qtalk/qtalk";
 * import { intercept } from "@qtalk/qtalk/middleware";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { whoami: withCall((call: Call) => call.meta.token) };
 * const [client] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 *
 * let token = "first";
 * const caller = intercept(client, ({ options }, next) =>
 *   next({ options: { ...options, meta: { ...options.meta, token } } }));
 * const api = caller.remote<typeof service>();
 * assertEquals(await api.whoami(), "first");
 * token = "second";
 * assertEquals(await api.whoami(), "second");
 * ```
 *
 * @param caller a peer, a reconnecting peer, or the `caller` of a call
 * @param interceptors functions that the calls go through, the outermost first
 * @throws {TypeError} if `caller` makes no calls, or an interceptor is not a function
 */
export function intercept<C extends Carried = Carried>(
  caller: Caller<C>,
  ...interceptors: Interceptor[]
): Caller<C> {
  checkMethods("caller", caller, "a peer or another caller", "request");
  for (const one of interceptors) checkFunction("interceptor", one);
  return new InterceptedCaller<C>(caller, interceptors);
}

class InterceptedCaller<C extends Carried> implements Caller<C> {
  /** There is none: what is forwarded would not go through the interceptors. */
  readonly [channelPool] = undefined;
  readonly #caller: Caller<C>;
  readonly #interceptors: readonly Interceptor[];

  constructor(caller: Caller<C>, interceptors: readonly Interceptor[]) {
    this.#caller = caller;
    this.#interceptors = interceptors;
  }

  async call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    const response = await this.request(selector, args, options);
    return response[firstValue](selector);
  }

  async request(
    selector: string,
    args: unknown = null,
    options: CallOptions = {},
  ): Promise<RpcResponse> {
    // An interceptor may spread them, and a number would look like no options.
    checkObject("options of call", options);
    const call = { selector, args, options, caller: this.#caller };
    return await this.#from(0, call);
  }

  remote<S extends object, D extends Carried = C>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  async #from(index: number, call: OutgoingCall): Promise<RpcResponse> {
    const interceptor = this.#interceptors[index];
    if (interceptor === undefined) {
      const { selector, args, options } = call;
      return await this.#caller.request(selector, args, options);
    }
    return await interceptor(
      call,
      (changes) => this.#from(index + 1, { ...call, ...changes }),
    );
  }
}

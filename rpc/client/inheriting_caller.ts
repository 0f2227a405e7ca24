import { kindOf } from "../../check_option.ts";
import type { Carried } from "../../codec/internal.ts";
import { remoteOf } from "../remote/remote.ts";
import type { Remote } from "../remote/types.ts";
import type { Call, Caller, CallOptions } from "../types.ts";
import { type ChannelPool, type PooledCaller, poolOf } from "./channel_pool.ts";
import { channelPool } from "./pool_key.ts";
import type { RpcResponse } from "./response.ts";

/** Makes calls that have no more time than the call that they are made for. */
export class InheritingCaller implements PooledCaller {
  readonly [channelPool]: ChannelPool;
  readonly #caller: Caller;
  readonly #call: Call;

  /** Makes a caller for the handler of a call that has a deadline. */
  constructor(caller: Caller, call: Call) {
    this[channelPool] = poolOf(caller)!;
    this.#caller = caller;
    this.#call = call;
  }

  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    return this.#caller.call(selector, args, this.#inherited(options));
  }

  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse> {
    return this.#caller.request(selector, args, this.#inherited(options));
  }

  remote<S extends object, D extends Carried = Carried>(
    options?: CallOptions,
  ): Remote<S, D> {
    return remoteOf<S, D>(this, options);
  }

  #inherited(options: CallOptions = {}): CallOptions {
    // Spread, a number would look like no options.
    return kindOf(options) === "an object"
      ? { parent: this.#call, ...options }
      : options;
  }
}

import type { Caller } from "../types.ts";
import type { ChannelPool } from "./channel_pool.ts";

/** The key of a caller's channel pool. */
export const channelPool: unique symbol = Symbol("qtalk.channelPool");

/**
 * A caller that makes its calls on the channels of a pool. `forward()` takes
 * channels from the same pool, to send calls on without decoding them.
 */
export interface PooledCaller extends Caller {
  /** The channels for calls. */
  readonly [channelPool]: ChannelPool;
}

/** The channel pool of a caller, if it has one. */
export function poolOf(caller: Caller): ChannelPool | undefined {
  return (caller as Partial<PooledCaller>)[channelPool];
}

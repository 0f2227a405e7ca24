import type { RawChannel } from "../../mux/internal.ts";
import type { ChannelPool, ChannelRequest } from "../client/channel_pool.ts";
import { markUnsent } from "../errors.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { cancelled, passedOn, tooLate } from "./errors.ts";
import { forwardedHeader } from "./request_header.ts";

/** Where a call is forwarded to. */
export interface Target {
  /** Calls the peer. */
  readonly caller: Caller;
  /** The channels to it. */
  readonly pool: ChannelPool;
  /** Whether the call takes a channel of those for nested calls. */
  readonly nested: boolean;
  /**
   * How many functions of the peer all clients together may hold; undefined if the peer
   * itself is a client, which lends any number.
   */
  readonly maxCallbacks: number | undefined;
}

/**
 * A channel to the target.
 *
 * @param mayRepeat whether the call can go to another peer if there is none
 */
export async function channelFor(
  call: ServerCall,
  { pool, nested }: Target,
  mayRepeat: boolean,
): Promise<RawChannel> {
  let channel: RawChannel;
  try {
    channel = await takeChannel(pool, call, nested);
  } catch (error) {
    const passed = passedOn(error, call);
    if (mayRepeat) markUnsent(passed);
    throw passed;
  }
  if (isLate(call)) {
    pool.giveBack(channel);
    throw tooLate(call);
  }
  return channel;
}

/** A channel of the pool, for which the call waits as long as its caller does. */
function takeChannel(
  pool: ChannelPool,
  { channel, selector }: ServerCall,
  nested: boolean,
): RawChannel | Promise<RawChannel> {
  return pool.take(nested) ?? new Promise((resolve, reject) => {
    const giveUp = () => opening.cancel(cancelled(selector));
    const opening: ChannelRequest = pool.open(
      (taken) => {
        channel.cancelWhenClosed(giveUp);
        resolve(taken);
      },
      (error) => {
        channel.cancelWhenClosed(giveUp);
        reject(error);
      },
      0,
      nested,
    );
    channel.whenClosed(giveUp);
  });
}

function isLate({ deadline }: ServerCall): boolean {
  return deadline !== undefined && deadline <= performance.now();
}

/** Sends the header of the call, or gives the channel back if there is none. */
export function sendHeader(
  call: ServerCall,
  channel: RawChannel,
  pool: ChannelPool,
): void {
  let header: Uint8Array;
  try {
    header = forwardedHeader(call, pool.session);
  } catch (error) {
    pool.giveBack(channel);
    throw passedOn(error, call);
  }
  // The target may wait until both sides have closed it. An earlier call may have let
  // the answer to its CLOSE wait.
  channel.deferClose(false);
  try {
    // If this fails, the response fails too.
    channel.send(header)?.catch(() => {});
  } catch {
    // As above.
  }
}

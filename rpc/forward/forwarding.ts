/**
 * What `forward()` loads with the first call that it forwards.
 *
 * @module
 */
import "../internal.ts"; // Keeps bundles in few chunks.
import { timeLimit } from "../../time_limit.ts";
import type { ChannelPool } from "../client/channel_pool.ts";
import type { ForwardTargets } from "./forward_targets.ts";
import {
  isServerCall,
  isServerResponder,
  notFound,
} from "../handler/invoke.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Caller, HandlerFunction } from "../types.ts";
import { busy, cancelled, replaced } from "./errors.ts";
import { forwardToSome } from "./failover.ts";
import { FairShares, Place } from "./fair_shares.ts";
import { forwardCall } from "./forwarded_call.ts";
import { isLender, releaserIn } from "./loans/lent_functions.ts";
import { plainLoans } from "./loans/plain_loans.ts";
import { isOfCallback, isRelease, passRelease } from "./loans/release.ts";

/** Milliseconds that a call waits for its turn. */
const MAX_WAIT = 10_000;

/** What all clients together may have of a target. */
export interface ForwardLimits {
  readonly maxConcurrentCalls: number;
  readonly maxCallbacks: number;
}

/** Forwards one call, whose turn it is. */
type Forwarding = (call: ServerCall, respond: ServerResponder) => Promise<void>;

/**
 * Makes the handler of `forward()` with one session as the target.
 *
 * @param pool the channels to the target
 */
export function forwardingTo(
  target: Caller,
  pool: ChannelPool,
  { maxConcurrentCalls, maxCallbacks }: ForwardLimits,
): HandlerFunction {
  return inTurn(
    new FairShares(() => Math.min(maxConcurrentCalls, pool.capacity)),
    async (call, respond) => {
      const { session } = pool;
      if (isRelease(call) && isOfCallback(call.selector) && session) {
        // Those of extended clients have a way back.
        if (plainLoans(call.session, session) !== undefined) {
          const { codec } = call.request.context;
          const lender = releaserIn(codec, { caller: target, pool });
          return await passRelease(call, session, lender);
        }
        // One that was lent nothing has the ID from elsewhere.
        if (isLender(session)) return await notFound(call, respond);
      }
      const { nested } = call.request;
      const to = { caller: target, pool, nested, maxCallbacks };
      await forwardCall(call, respond, to);
    },
  );
}

/**
 * Makes the handler of `forward()` with several peers as the target, or changing
 * ones.
 *
 * @param limits what each of them can have
 */
export function forwardingToSome(
  targets: ForwardTargets,
  { maxConcurrentCalls, maxCallbacks }: ForwardLimits,
): HandlerFunction {
  return inTurn(
    new FairShares(
      () => targets.capacity(maxConcurrentCalls),
      targets.hasFewPlaces,
    ),
    (call, respond) => forwardToSome(call, respond, targets, maxCallbacks),
    targets,
  );
}

/** Lets calls wait for their turn. */
function inTurn(
  shares: FairShares,
  forward: Forwarding,
  targets?: ForwardTargets,
): HandlerFunction {
  return async (call, respond) => {
    if (!isServerCall(call) || !isServerResponder(respond)) {
      throw replaced();
    }
    // Nested calls have slots of their own, and others may wait for them.
    if (call.request.nested) return await forward(call, respond);
    const place = new Place(call.session);
    if (!shares.join(place)) await turnOf(place, call, shares, targets);
    try {
      await forward(call, respond);
    } finally {
      shares.leave(place);
    }
  };
}

/** Waits for the call's turn, as long as the caller does. */
function turnOf(
  place: Place,
  { channel, selector }: ServerCall,
  shares: FairShares,
  targets: ForwardTargets | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () => {
    cancelLimit();
    cancelConnected?.();
    channel.cancelWhenClosed(giveUp);
  };
  const giveUp = () => {
    end();
    shares.leave(place);
    reject(cancelled(selector));
  };
  const cancelLimit = timeLimit(MAX_WAIT, () => {
    end();
    shares.leave(place);
    reject(busy(selector));
  });
  place.onTurn = () => {
    end();
    resolve();
  };
  const cancelConnected = targets?.onConnected(() => shares.recheck());
  channel.whenClosed(giveUp);
  return promise;
}

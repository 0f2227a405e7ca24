import { poolOf } from "../client/channel_pool.ts";
import type { ForwardTargets } from "./forward_targets.ts";
import { CallError, type RemoteError } from "../errors.ts";
import { notFound } from "../handler/invoke.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { callbackIdIn } from "../wire/selector.ts";
import { noTarget, passedOn } from "./errors.ts";
import { type Attempts, callLender, forwardCall } from "./forwarded_call.ts";
import { KeptRequest } from "./kept_request.ts";
import { plainLenderOf } from "./loans/plain_loans.ts";
import { isOfCallback } from "./loans/release.ts";

/** An answer that refuses a call. */
interface Refusal {
  readonly error: RemoteError;
  /** Decides whether the caller gets it. */
  readonly passOn: (passOn: boolean) => void;
  /** Settles when it was passed on. */
  readonly answered: Promise<void>;
}

/**
 * Forwards a call to one of several peers, and to another one if the first has
 * refused it.
 */
export async function forwardToSome(
  call: ServerCall,
  respond: ServerResponder,
  targets: ForwardTargets,
  maxCallbacks: number,
): Promise<void> {
  const { selector, request: { nested } } = call;
  if (isOfCallback(selector)) {
    // What a session that was lost had lent is not at any other one.
    const from = plainLenderOf(call.session, callbackIdIn(selector));
    if (from === undefined) return await notFound(call, respond);
    const { source, lender } = from;
    return await callLender(call, respond, source, lender, maxCallbacks);
  }
  const request = targets.failsOver ? new KeptRequest(call) : undefined;
  /** The latest answer that refuses the call. */
  let refusal: Refusal | undefined;
  const options = {
    parent: call,
    // Made only if the call has to wait, or fails.
    get signal() {
      return call.signal;
    },
  };
  const send = async (peer: Caller): Promise<void> => {
    refusal?.passOn(false);
    refusal = undefined;
    const pool = poolOf(peer);
    if (pool === undefined) throw noTarget();
    const target = { caller: peer, pool, nested, maxCallbacks };
    if (request === undefined) {
      return await forwardCall(call, respond, target);
    }
    const refused = Promise.withResolvers<never>();
    const attempts: Attempts = {
      request,
      refused: (error) => {
        const { promise, resolve: passOn } = Promise.withResolvers<boolean>();
        refusal = { error, passOn, answered };
        refused.reject(error);
        return promise;
      },
    };
    const answered = forwardCall(call, respond, target, attempts);
    await Promise.race([answered, refused.promise]);
  };
  try {
    await targets.forward({ selector, options, send });
  } catch (error) {
    const latest = refusal as Refusal | undefined;
    if (latest !== undefined && latest.error === error) {
      latest.passOn(true);
      return await latest.answered;
    }
    latest?.passOn(false);
    // Errors of an attempt say already that the call was forwarded.
    throw error instanceof CallError ? error : passedOn(error, call);
  } finally {
    request?.forget();
    request?.lent?.end();
  }
}

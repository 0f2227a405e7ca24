import { checkObject, checkOption } from "../../check_option.ts";
import { DEFAULT_MAX_CALLBACKS } from "../callback/callback_table.ts";
import { poolOf } from "../client/channel_pool.ts";
import { forwardTargetsOf } from "./forward_targets.ts";
import { loadPart } from "../errors.ts";
import type { Caller, HandlerFunction } from "../types.ts";

/** Options of {@linkcode forward}. */
export interface ForwardOptions {
  /**
   * How many calls of all clients together may be in progress at the target, or at
   * each connected member if it is a pool. Use the `maxConcurrentCalls` of the
   * target. An integer of at least 1, or `Infinity`. Default: 1,024.
   */
  maxConcurrentCalls?: number | undefined;
  /**
   * How many functions and streams of the target all clients together may hold, or of
   * each member if it is a pool. Use the `maxCallbacks` of the target. What a client in
   * Go was lent counts until it leaves, since it releases nothing; only the
   * client knows what of it is still used. An integer of at least 1, or `Infinity`.
   * Default: 4,096.
   */
  maxCallbacks?: number | undefined;
}

/** The default of {@linkcode ForwardOptions.maxConcurrentCalls}. */
export const DEFAULT_MAX_FORWARDED_CALLS = 1_024;

/**
 * Makes a handler that forwards every call to another peer, or to a pool of them, as
 * qtalk-go's `ProxyHandler` does. All kinds of calls can be forwarded.
 *
 * Only the call header is decoded. It is encoded again, with the canonical form of
 * its selector and the extension field `Q` of extended peers. The bytes that follow
 * it are piped in both directions, with half-close, cancellation and backpressure.
 * Both sessions must therefore use the same codec.
 *
 * Functions and streams in the arguments of a call and in its response, streamed or
 * not, work if both ends are of this package. For functions of other peers, for
 * those that a caller passes to `send()` of a response, and for calls that the
 * target makes on its own initiative, give `target` a handler that forwards in the
 * other direction.
 *
 * The clients share the target. One eighth of `maxConcurrentCalls` is reserved, so that
 * a call of another client can begin at once. A client alone can use the rest. While
 * others wait, a client that has an equal share or more begins no further call, except
 * that it may take any free place while it has fewer calls in progress than there are
 * free places. Its further calls wait, unread, for up to 10 s at each forwarding peer,
 * and then fail with `busy: ...`. A client holds no more functions and
 * streams of the target than could still be lent to others: a response that has more is
 * replaced by an error whose code is `limit-exceeded`, or cut off if the client has got
 * the beginning of it, as a stream of values is. When a caller has closed its call, and
 * the target takes none of the remaining bytes for 10 s (250 ms if the caller has
 * aborted the call), the call is closed at the target as well.
 *
 * A pool chooses a member for each call, as for calls of its own: its `balance`,
 * `maxFailovers`, `maxWaitingCalls` and `maxCallsPerMember` apply, and a call counts
 * as in flight until its response has ended. With `maxCallsPerMember`, a client may take
 * all places for which no other one waits. A call that a member has refused with
 * `busy` or `unavailable` goes to another one, unless there is a stream among its
 * arguments, or more than 256 KiB of them were sent. If all refuse it, the caller
 * gets the latest refusal. A stream stays with its member, and is cut off if that is
 * lost. A function as `balance` gets no `args`, since they are not decoded.
 *
 * Calls to a reconnecting peer go to its current connection, or wait for the next.
 *
 * @example
 * ```ts
 * import { forward, handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { upper: (s: string) => s.toUpperCase() };
 * const [middle, backend] = memoryPair({}, { handler: handlerFrom(service) });
 * const [client, front] = memoryPair({}, { handler: forward(middle) });
 * await using _ = client, __ = backend;
 *
 * assertEquals(await client.call("upper", ["forwarded"]), "FORWARDED");
 * front.handle("lower", handlerFrom((s: string) => s.toLowerCase()));
 * assertEquals(await client.call("lower", ["HERE"]), "here");
 * ```
 *
 * @param target a peer, a reconnecting peer, a pool, or the `caller` of a call
 * @param options limits
 * @throws {TypeError} if `target` is none of these
 * @throws {RangeError} if an option is out of range
 */
export function forward(
  target: Caller,
  options: ForwardOptions = {},
): HandlerFunction {
  checkObject("options of forward()", options);
  const pool = poolOf(target);
  const targets = forwardTargetsOf(target);
  if (pool === undefined && targets === undefined) {
    throw new TypeError(
      "Cannot forward: target is neither peer nor pool nor caller",
    );
  }
  const {
    maxConcurrentCalls = DEFAULT_MAX_FORWARDED_CALLS,
    maxCallbacks = DEFAULT_MAX_CALLBACKS,
  } = options;
  const limits = { maxConcurrentCalls, maxCallbacks };
  for (const [name, limit] of Object.entries(limits)) {
    checkOption(name, limit, { min: 1, max: Infinity });
  }
  let forwarding: HandlerFunction | undefined;
  return (call, respond) => {
    if (forwarding !== undefined) return forwarding(call, respond);
    // Loaded on first use: few programs forward.
    const loading = loadPart("forward call", import("./forwarding.ts"));
    return loading.then((module) => {
      forwarding ??= pool === undefined
        ? module.forwardingToSome(targets!, limits)
        : module.forwardingTo(target, pool, limits);
      return forwarding(call, respond);
    });
  };
}

import {
  checkFunctions,
  checkObject,
  checkOption,
} from "../../check_option.ts";
import { printableText } from "../../printable_text.ts";
import { CallError } from "../errors.ts";
import { isServerCall } from "../handler/invoke.ts";
import type { Middleware } from "../handler/middleware.ts";
import type { Call } from "../types.ts";

/** Options of {@linkcode rateLimit}. */
export interface RateLimitOptions {
  /** Calls in an interval. An integer of at least 1. Default: no limit. */
  calls?: number | undefined;
  /**
   * Channels that the peer opens in an interval. A call takes a new one or one that
   * an earlier call has left, and peers of this package open a few ahead of need. To
   * limit calls, use `calls`. An integer of at least 1. Default: no limit.
   */
  opens?: number | undefined;
  /**
   * Bytes that arrive from the peer in an interval, including those that do not
   * belong to calls. An integer of at least 1. Default: no limit.
   */
  bytes?: number | undefined;
  /** The interval, in milliseconds. A number from 1 to 2^31 - 1. Default: 1,000. */
  interval?: number | undefined;
  /**
   * Calls for which it returns the same object count together. If it returns no
   * object, the call fails with a `TypeError`. Default: `call.peer`, so each
   * connection has a limit of its own.
   */
  by?: ((call: Call) => object) | undefined;
}

/** The defaults of {@linkcode RateLimitOptions} that are numbers. */
export const DEFAULT_RATE_LIMIT_OPTIONS: Readonly<{ interval: number }> = Object
  .freeze({ interval: 1_000 });

/** What is limited. */
type Kind = "calls" | "opens" | "bytes";

/** How much of each kind has arrived. */
type Amounts = Record<Kind, number>;

/** What is left of each kind, at one time. */
interface Bucket {
  readonly left: Amounts;
  time: number;
}

/**
 * Makes middleware that limits how much a peer may do in an interval. Further calls
 * are answered with `busy`, and `details.retryAfter` is the number of milliseconds
 * after which a call is possible again; `retry()` waits for that long.
 *
 * A peer may use the allowance of one interval at once, and then gets it back
 * gradually. Refused calls do not count. Bytes and opened channels count when they
 * have arrived, so a call whose own bytes exceed the limit is begun, and later ones
 * are refused until there is room again.
 *
 * @param options the limits
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `by` is not a function
 */
export function rateLimit(options: RateLimitOptions): Middleware {
  return rateLimitAt(options, () => performance.now());
}

/** As {@linkcode rateLimit}, with another clock. */
export function rateLimitAt(
  options: RateLimitOptions,
  now: () => number,
): Middleware {
  checkObject("options of rateLimit()", options);
  checkFunctions(options, "by");
  const {
    calls = Infinity,
    opens = Infinity,
    bytes = Infinity,
    interval = DEFAULT_RATE_LIMIT_OPTIONS.interval,
    by = (call: Call) => call.peer,
  } = options;
  const limits: Amounts = { calls, opens, bytes };
  for (const [name, limit] of Object.entries(limits)) {
    checkOption(name, limit, { min: 1, max: Infinity });
  }
  const range = { min: 1, max: 2 ** 31 - 1, fraction: true };
  checkOption("interval", interval, range);
  const buckets = new WeakMap<object, Bucket>();
  /** The counts of each connection. */
  const counted = new WeakMap<object, Amounts>();

  return (call, next) => {
    const key = by(call);
    const time = now();
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      bucket = { left: { ...limits }, time };
      buckets.set(key, bucket);
    }
    const { left } = bucket;
    refill(bucket, limits, (time - bucket.time) / interval);
    bucket.time = time;
    const amounts = amountsOf(call);
    const before = counted.get(call.peer) ?? amounts;
    counted.set(call.peer, amounts);
    left.opens -= amounts.opens - before.opens;
    // A call that is larger than the limit could never pass otherwise.
    const mayPass = left.bytes >= 0;
    left.bytes -= amounts.bytes - before.bytes;
    for (const [kind, limit] of Object.entries(limits) as [Kind, number][]) {
      const missing = (kind === "calls" ? 1 : 0) - left[kind];
      if (missing <= 0 || (kind === "bytes" && mayPass)) continue;
      const retryAfter = Math.ceil(missing / limit * interval);
      throw busy(
        call,
        `more than ${limit} ${kind} in ${interval} ms`,
        retryAfter,
      );
    }
    left.calls--;
    return next();
  };
}

function refill({ left }: Bucket, limits: Amounts, intervals: number): void {
  for (const [kind, limit] of Object.entries(limits) as [Kind, number][]) {
    // Without a limit, the allowance is infinite.
    left[kind] = limit === Infinity
      ? Infinity
      : Math.min(limit, left[kind] + intervals * limit);
  }
}

/** The current counts of the connection of a call. */
function amountsOf(call: Call): Amounts {
  const traffic = isServerCall(call) ? call.session.traffic : undefined;
  return {
    calls: 0,
    opens: traffic?.channels.openedByPeer ?? 0,
    bytes: traffic?.received ?? 0,
  };
}

function busy({ selector }: Call, why: string, retryAfter: number): CallError {
  return new CallError(
    `busy: ${why}; cannot call "${printableText(selector)}"`,
    { code: "busy", details: { retryAfter } },
  );
}

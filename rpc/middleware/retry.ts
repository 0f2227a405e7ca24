import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import {
  checkFunctions,
  checkObject,
  checkOption,
} from "../../check_option.ts";
import { MuxError } from "../../mux/internal.ts";
import { MAX_DELAY, timeLimit } from "../../time_limit.ts";
import { isNotBegun, isUsedUp, RemoteError, RpcError } from "../errors.ts";
import type { RpcResponse } from "../client/response.ts";
import type { Interceptor, OutgoingCall } from "./intercept.ts";

/** Options of {@linkcode retry}. */
export interface RetryOptions {
  /**
   * How often a call is made at most, including the first time. An integer of at
   * least 1, or `Infinity`. Default: 4.
   */
  maxAttempts?: number | undefined;
  /**
   * The delay before the second attempt, in milliseconds. A number from 0 to
   * 2^31 - 1. Default: 100.
   */
  minDelay?: number | undefined;
  /**
   * The longest delay, in milliseconds: each delay is twice the one before, up to
   * this. A call is not made again if the peer asks for a longer delay. A number
   * from `minDelay` to 2^31 - 1. Default: 5,000.
   */
  maxDelay?: number | undefined;
  /**
   * The largest part of a delay that is randomly left out, so that many callers do
   * not come back at the same time. A delay that the peer asks for is not
   * shortened. A number from 0 to 1. Default: 0.5.
   */
  jitter?: number | undefined;
  /**
   * How many retries may be made in a row, by all calls together. Each retry takes
   * one from what is left, and each call that succeeds gives back a tenth of one, so
   * that retries are at most a tenth of the calls while a server is overloaded. A
   * number of at least 0, or `Infinity`. Default: 10.
   */
  budget?: number | undefined;
  /**
   * Returns whether a call may be repeated even if it may have run: because it has
   * no effect, or the same effect each time. Default: none.
   */
  idempotent?: ((call: OutgoingCall) => boolean) | undefined;
}

/** The defaults of {@linkcode RetryOptions}. */
export const DEFAULT_RETRY_OPTIONS: Readonly<
  Record<Exclude<keyof RetryOptions, "idempotent">, number>
> = Object.freeze({
  maxAttempts: 4,
  minDelay: 100,
  maxDelay: 5_000,
  jitter: 0.5,
  budget: 10,
});

/** What a successful call gives back to the budget. */
const GIVEN_BACK = 0.1;

/** The clock and chance; tests bring their own. */
export interface RetryEnvironment {
  /** Resolves after `ms` milliseconds; rejects with the reason of the signal. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<void>;
  /** As `performance.now()`. */
  now(): number;
  /** A random number from 0 (inclusive) to 1 (exclusive). */
  random(): number;
}

/**
 * Makes an interceptor that repeats calls that were not begun: the peer answered
 * with `busy` or `unavailable`, refused a channel, or the connection was lost
 * before the call was sent. Calls that may have run are repeated only if
 * `idempotent` allows it; then they are also repeated if the connection is lost
 * later, or the call is closed without an answer.
 *
 * The delay doubles with each attempt. A peer can ask for a longer delay in
 * `details.retryAfter` of its error, in milliseconds, as `rateLimit()` does. The
 * `timeout` of a call covers all attempts together, and a call whose deadline or
 * timeout would pass during the delay fails at once with the latest error. So does
 * a call with a stream inside its arguments, which ends with the call, and a call
 * whose argument is a stream that may have been read.
 *
 * When a peer that does not reconnect is closed or has lost its connection, no
 * attempt can succeed: use `retry()` with a reconnecting peer.
 *
 * @param options how often, and which calls
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `idempotent` is not a function
 */
export function retry(options: RetryOptions = {}): Interceptor {
  return retryIn(options, {
    wait,
    now: () => performance.now(),
    random: Math.random,
  });
}

/** As {@linkcode retry}, with another clock. */
export function retryIn(
  options: RetryOptions,
  environment: RetryEnvironment,
): Interceptor {
  checkObject("options of retry()", options);
  checkFunctions(options, "idempotent");
  const limits = resolve(options);
  const { maxAttempts, budget } = limits;
  const { idempotent = () => false } = options;
  let left = budget;
  return async (call, next) => {
    const { timeout, signal } = call.options;
    const end = Math.min(
      timeout === undefined ? Infinity : environment.now() + timeout,
      call.options.parent?.deadline ?? Infinity,
    );
    for (let attempt = 1;; attempt++) {
      try {
        const response = await makeCall(call, next, attempt, end, environment);
        left = Math.min(budget, left + GIVEN_BACK);
        return response;
      } catch (error) {
        if (attempt >= maxAttempts || left < 1) throw error;
        if (!mayRepeat(error, call, idempotent)) throw error;
        const delay = delayAfter(error, attempt, limits, environment);
        const time = environment.now() + delay;
        if (delay > limits.maxDelay || time >= end) throw error;
        left--;
        await environment.wait(delay, signal);
      }
    }
  };
}

function makeCall(
  { options }: OutgoingCall,
  next: Parameters<Interceptor>[1],
  attempt: number,
  end: number,
  { now }: RetryEnvironment,
): Promise<RpcResponse> {
  if (attempt === 1 || options.timeout === undefined) return next();
  const timeout = Math.max(0, end - now());
  return next({ options: { ...options, timeout } });
}

function resolve(
  options: RetryOptions,
): Record<keyof typeof DEFAULT_RETRY_OPTIONS, number> {
  const {
    maxAttempts = DEFAULT_RETRY_OPTIONS.maxAttempts,
    minDelay = DEFAULT_RETRY_OPTIONS.minDelay,
    jitter = DEFAULT_RETRY_OPTIONS.jitter,
    budget = DEFAULT_RETRY_OPTIONS.budget,
  } = options;
  checkOption("maxAttempts", maxAttempts, { min: 1, max: Infinity });
  const delay = { max: MAX_DELAY, fraction: true };
  checkOption("minDelay", minDelay, { min: 0, ...delay });
  const { maxDelay = Math.max(minDelay, DEFAULT_RETRY_OPTIONS.maxDelay) } =
    options;
  checkOption("maxDelay", maxDelay, { min: minDelay, ...delay });
  checkOption("jitter", jitter, { min: 0, max: 1, fraction: true });
  checkOption("budget", budget, { min: 0, max: Infinity, fraction: true });
  return { maxAttempts, minDelay, maxDelay, jitter, budget };
}

function mayRepeat(
  error: unknown,
  call: OutgoingCall,
  idempotent: (call: OutgoingCall) => boolean,
): boolean {
  if (isUsedUp(error, call.args)) return false;
  if (isNotBegun(error)) return isTemporary(error);
  const isLost =
    error instanceof MuxError && error.code === "connection-lost" ||
    error instanceof RpcError && error.code === "no-response";
  return isLost && idempotent(call);
}

/** Whether something that was not begun may succeed later. */
function isTemporary(error: unknown): boolean {
  return !(error instanceof MuxError && error.code === "session-closed");
}

function delayAfter(
  error: unknown,
  attempt: number,
  { minDelay, maxDelay, jitter }: ReturnType<typeof resolve>,
  { random }: RetryEnvironment,
): number {
  const doubled = Math.min(maxDelay, minDelay * 2 ** (attempt - 1));
  const own = doubled * (1 - jitter * random());
  const details = error instanceof RemoteError ? error.details : undefined;
  const wanted = (details as { retryAfter?: unknown } | undefined)?.retryAfter;
  return typeof wanted === "number" && wanted > own ? wanted : own;
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(reasonOf(signal));
    const giveUp = () => {
      cancel();
      reject(reasonOf(signal!));
    };
    const cancel = timeLimit(ms, () => {
      if (signal !== undefined) offAbort(signal, giveUp);
      resolve();
    });
    if (signal !== undefined) onAbort(signal, giveUp);
  });
}

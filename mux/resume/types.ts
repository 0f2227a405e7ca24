/**
 * The options of sessions that survive their connection, and their defaults.
 *
 * @module
 */
import { checkObject, checkOption, checkTime } from "../../check_option.ts";
import { MAX_DELAY } from "../../time_limit.ts";

/** Options of either end of a session that survives its connection. */
export interface ResumeLimits {
  /**
   * How long a session without a connection may wait for the next one, in
   * milliseconds. After that, it ends with `connection-lost`. A number of at least 0;
   * above 2^31 - 1 there is no limit. Default: 60,000.
   */
  timeout?: number | undefined;
  /**
   * How many bytes may be sent without being acknowledged by the other end. They are
   * kept in the memory of the session, to be sent again. Beyond that, writes wait. An
   * integer from 65,536 to 2^30. Default: 4,194,304 (4 MiB).
   */
  maxUnacknowledged?: number | undefined;
}

/** What a session that survives its connection is doing. */
export type ResumeState =
  /** It has a connection; `resumed` counts those after the first. */
  | { readonly name: "connected"; readonly resumed: number }
  /** It has lost its connection, because of `error`, and waits for the next one. */
  | { readonly name: "detached"; readonly error: unknown }
  /** It was closed, or was given up because of `error`. */
  | { readonly name: "closed"; readonly error?: unknown };

/** Options of `listen()` for sessions that survive their connection. */
export interface ListenResumeOptions extends ResumeLimits {
  /**
   * Sessions that may be without a connection at the same time. Beyond that, the
   * session that lost its connection first ends with `connection-lost`. These
   * sessions also count towards `maxSessions`. An integer from 0 to 2^30. Default:
   * 256.
   */
  maxDetached?: number | undefined;
}

/**
 * The defaults of {@linkcode ListenResumeOptions}, and of the options that `dial()`
 * shares.
 */
export const DEFAULT_RESUME_OPTIONS: Readonly<
  Record<keyof ListenResumeOptions, number>
> = Object.freeze({
  // Long enough for a train in a tunnel, or a laptop that changes networks.
  timeout: 60_000,
  // Enough to fill a link of 300 Mbit/s with a round trip of 100 ms.
  maxUnacknowledged: 4 * 1024 * 1024,
  // With the least memory that each has, and 4 MiB for a few of them.
  maxDetached: 256,
});

/** The limits with their defaults. */
export type ResolvedResumeLimits = Readonly<Record<keyof ResumeLimits, number>>;

/**
 * Checks the limits and fills in their defaults.
 *
 * @throws {RangeError} if one is out of range
 */
export function resolveResumeLimits(
  options: ResumeLimits,
): ResolvedResumeLimits {
  checkObject("options of resume", options);
  const {
    timeout = DEFAULT_RESUME_OPTIONS.timeout,
    maxUnacknowledged = DEFAULT_RESUME_OPTIONS.maxUnacknowledged,
  } = options;
  checkTime("timeout", timeout);
  checkOption("maxUnacknowledged", maxUnacknowledged, {
    min: 64 * 1024,
    max: 2 ** 30,
  });
  return { timeout, maxUnacknowledged };
}

/** The options of a listener with their defaults. */
export type ResolvedListenResume = Readonly<
  Record<keyof ListenResumeOptions, number>
>;

/**
 * Checks the options of a listener and fills in their defaults.
 *
 * @throws {RangeError} if one is out of range
 */
export function resolveListenResume(
  options: ListenResumeOptions,
): ResolvedListenResume {
  const limits = resolveResumeLimits(options);
  const { maxDetached = DEFAULT_RESUME_OPTIONS.maxDetached } = options;
  checkOption("maxDetached", maxDetached, { min: 0, max: 2 ** 30 });
  return { ...limits, maxDetached };
}

/** Whether there is a limit in milliseconds at all. */
export function isLimited(timeout: number): boolean {
  return timeout <= MAX_DELAY;
}

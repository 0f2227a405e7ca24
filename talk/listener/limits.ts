import {
  checkObject,
  checkOption,
  checkTime,
  TIME_RANGE,
} from "../../check_option.ts";
import {
  DEFAULT_MEMORY_POOL_OPTIONS,
  type HandshakeLimit,
  type MemoryPool,
  memoryPool,
  resolveOptions,
  type SessionOptions,
} from "../../mux/internal.ts";
import { reporter, TalkError } from "../errors.ts";
import type { ListenerOptions } from "./types.ts";

/** Limits of all sessions of a listener together. */
export interface SharedLimits {
  /**
   * Sessions that may be open at once, including connections that `accept` has not
   * decided about. `whenFull` says which connection is closed beyond that number.
   * Default: that of the pool, 1,024. Range: 1 to 2^30.
   */
  maxSessions?: number | undefined;
  /**
   * Which connection is closed when `maxSessions` are open: the new one
   * (`"refuse"`), or the open one that has been silent longest (`"evict"`). A
   * connection is silent as long as there has been no call on it in either
   * direction, or no channel if it is one of `listenSession()`. Connections that
   * have been used are never evicted; if all have been used, the new one is closed.
   * With `"evict"`, silent connections are also closed when the process has no file
   * descriptor left for a new one. Default: `"refuse"`.
   */
  whenFull?: "refuse" | "evict" | undefined;
  /**
   * Milliseconds that a connection may take for the handshake of its transport,
   * which is that of TLS or the request of a WebSocket, then for `accept`, and then
   * for `onPeer`. After that it is closed, and `onError` is called with `timeout`.
   * There is no limit on the time until the first call. (`serveWebSocket()` does
   * not limit the handshake, which the HTTP server performs.) A number of at least
   * 0; above 2^31 - 1 there is no limit. Default: 30,000.
   */
  handshakeTimeout?: number | undefined;
  /**
   * Milliseconds without a call in either direction, or without a channel for
   * `listenSession()`, after which a session is closed; closing may take up to half
   * as long again. A session is in use while a call is in progress; spare channels
   * do not count. A number of at least 1; above 2^31 - 1 there is no limit.
   * Default: no limit.
   */
  sessionIdleTimeout?: number | undefined;
  /**
   * The memory that the sessions share. Pass the same pool to several listeners
   * to bound them together. Default: a pool of 256 MiB for this listener.
   */
  memoryPool?: MemoryPool | undefined;
  /**
   * Limits of each session. Default: those of `qmux()`, with the `memoryPool` of
   * the listener.
   */
  session?: SessionOptions | undefined;
}

/** The limits of a listener, with their defaults. */
export interface ResolvedSharedLimits {
  readonly maxSessions: number;
  readonly whenFull: "refuse" | "evict";
  readonly handshakeTimeout: number;
  readonly sessionIdleTimeout: number;
  readonly memoryPool: MemoryPool;
  readonly session: SessionOptions;
}

/** Milliseconds that a connection may take until it is ready. */
export const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;

/**
 * Returns the limits of a listener, with their defaults.
 *
 * @throws {RangeError} if one of them is out of range
 * @throws {TypeError} if `memoryPool` was not made by `memoryPool()`
 */
export function resolveSharedLimits(
  options: SharedLimits,
): ResolvedSharedLimits {
  checkObject("options of listener", options);
  const { session = {} } = options;
  checkObject('option "session"', session);
  const { memoryPool: given = session.memoryPool } = options;
  const {
    maxSessions = given?.maxSessions ?? DEFAULT_MEMORY_POOL_OPTIONS.maxSessions,
    whenFull = "refuse",
    handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT,
    sessionIdleTimeout = Infinity,
  } = options;
  checkOption("maxSessions", maxSessions, { min: 1, max: 2 ** 30 });
  checkTime("handshakeTimeout", handshakeTimeout);
  checkOption("sessionIdleTimeout", sessionIdleTimeout, {
    ...TIME_RANGE,
    min: 1,
  });
  if (whenFull !== "refuse" && whenFull !== "evict") {
    throw new RangeError(
      `Cannot use option "whenFull": ${
        String(whenFull)
      } is not "refuse" or "evict"`,
    );
  }
  // Checked now, and not when the first connection is accepted.
  resolveOptions({ ...session, memoryPool: given });
  const pool = given ?? memoryPool({ maxSessions });
  return {
    maxSessions: Math.min(maxSessions, pool.maxSessions),
    whenFull,
    handshakeTimeout,
    sessionIdleTimeout,
    memoryPool: pool,
    session: { ...session, memoryPool: pool },
  };
}

/** How a transport limits its handshakes, and reports those that take too long. */
export function handshakeLimit(
  { handshakeTimeout: timeout }: ResolvedSharedLimits,
  onError: ListenerOptions["onError"],
): HandshakeLimit {
  const report = reporter(onError);
  return {
    timeout,
    onTimeout(remoteAddr) {
      const what = `accept connection from "${remoteAddr}"`;
      report(tookTooLong(what, "its handshake", timeout));
    },
    onFailure(cause, remoteAddr) {
      const message =
        `Cannot accept connection from "${remoteAddr}": ${cause.message}`;
      report(new TalkError("handshake-failed", message, { cause }));
    },
  };
}

/**
 * The error of a connection that is not ready in time.
 *
 * @param what what was attempted
 * @param subject what took too long
 * @param ms the limit
 */
export function tookTooLong(
  what: string,
  subject: string,
  ms: number,
): TalkError {
  return new TalkError(
    "timeout",
    `Cannot ${what}: ${subject} took longer than ${ms} ms (option "handshakeTimeout")`,
  );
}

/**
 * The limits of a session, with their defaults, units, ranges and reasons. They
 * are checked once, when the session starts.
 *
 * @module
 */
import {
  checkMethods,
  checkObject,
  checkOption,
  type OptionRange,
  withDefaults,
} from "../check_option.ts";
import { MAX_DELAY } from "../time_limit.ts";
import { MAX_UINT32 } from "../uint32.ts";
import type { MemoryPool } from "./flow/memory_pool.ts";

/** The smallest and the largest maximum packet size of qmux, in bytes. */
export const PACKET_LIMITS = { min: 9, max: 2 ** 31 } as const;

/** Limits of a session. A value out of range throws a `RangeError`. */
export interface SessionLimits {
  /**
   * Channels that each side may have open at once: channels that the peer opened
   * and channels that this side opened are counted separately. Beyond that, the
   * peer's OPEN is refused and `open()` rejects with `limit-exceeded`; calls wait
   * until a channel has closed. Default: 2,048. Range: 1 to 2^30.
   */
  maxChannels?: number | undefined;
  /**
   * Channels opened by the peer that may wait for the application to accept
   * them. Beyond that, they are refused. Default: 128. Range: 0 to 2^30.
   */
  backlog?: number | undefined;
  /**
   * Bytes that the peer may send on a new channel before the application takes
   * any. Default: 66,560 (65 KiB). Range: 1 to 2^32 - 1.
   */
  initialWindowSize?: number | undefined;
  /**
   * Bytes that the window of one channel may grow to. A value below
   * `initialWindowSize` counts as that. Default: 16,777,216 (16 MiB). Range: 1
   * to 2^32 - 1.
   */
  maxWindowSize?: number | undefined;
  /**
   * Bytes that the peer may make this session hold, of all kinds together; see
   * `HeldMemory`. Granted windows count. Bytes that would exceed it are left unread
   * until memory is released. Default: 33,554,432 (32 MiB). Range: 65,536 to 2^53 -
   * 1.
   */
  maxHeldSize?: number | undefined;
  /**
   * Bytes of payload that the peer may put into one DATA frame. Default:
   * 16,777,216 (16 MiB). Range: 9 to 2^31.
   */
  maxPacketSize?: number | undefined;
  /**
   * Bytes of replies (OPEN_CONFIRM, OPEN_FAILURE and CLOSE) that may be queued
   * for a peer that causes them without reading them. Beyond that, the session
   * ends with `limit-exceeded`. Default: 1,048,576 (1 MiB). Range: 1 to 2^53 - 1.
   */
  maxQueuedReplySize?: number | undefined;
  /**
   * Idle frames that the peer may send. They have no effect: a WINDOW_ADJUST for
   * which nothing was sent, empty DATA, a second EOF, frames for closed channels, and
   * the CLOSE of a channel that carried nothing. Every frame with payload, or with
   * credit for bytes sent, makes up for eight of them. Beyond that, the session
   * ends with `limit-exceeded`. Default: 10,000. Range: 0 to 2^53 - 1.
   */
  maxIdleFrames?: number | undefined;
  /**
   * Milliseconds that `close()` waits for queued frames to leave and for the peer
   * to end its side of the connection. Default: 1,000. Range: 0 to 2^31 - 1.
   */
  closeTimeout?: number | undefined;
}

/** When a silent peer counts as lost. */
export interface KeepAliveOptions {
  /**
   * Milliseconds of silence after which the peer is asked for a sign of life.
   * Default: 5,000. Range: 1 to 2^31 - 1.
   */
  interval?: number | undefined;
  /**
   * Milliseconds that the peer then has to send a byte of any kind. A program may
   * compute for that long without letting its event loop turn. Default: 22,000.
   * Range: 1 to 2^31 - 1.
   */
  timeout?: number | undefined;
}

/** Options of a session. */
export interface SessionOptions extends SessionLimits {
  /**
   * Whether to notice a peer that has vanished without a trace. A silent peer is
   * asked for a sign of life, and if none comes, the session ends with
   * `connection-lost`. `false` also asks the peer not to ping this side; `true`
   * stands for the defaults. Default: `true` for connections (all addresses, and
   * child processes), except on Deno Deploy, where it is `false`. Other transports,
   * such as message ports, are not watched by default.
   */
  keepAlive?: boolean | KeepAliveOptions | undefined;
  /**
   * Memory that the session shares with others; `memoryPool()` makes it. Default:
   * the pool of the listener that accepted the connection, or else none.
   */
  memoryPool?: MemoryPool | undefined;
}

/** The limits of a session, with every default filled in. */
export type ResolvedSessionOptions = Readonly<
  Record<keyof SessionLimits, number>
>;

/** The defaults of {@linkcode SessionLimits}. */
export const DEFAULT_SESSION_OPTIONS: Readonly<
  Record<keyof SessionLimits, number>
> = Object.freeze({
  // In each direction a thousand calls in flight and as many that wait.
  maxChannels: 2_048,
  // The usual backlog of a listening socket.
  backlog: 128,
  // A call with a value of 64 KiB, its length and its header fits, and needs no
  // second round trip.
  initialWindowSize: 65 * 1024,
  // 16 MiB fill a link of 1.3 Gbit/s with a round trip of 100 ms.
  maxWindowSize: 16 * 1024 * 1024,
  // A window of 16 MiB and several large values; hundreds of sessions that use
  // little, and dozens that use all, fit into a server of 512 MiB with a pool.
  maxHeldSize: 32 * 1024 * 1024,
  // As large as a window: DATA is processed as it arrives, so its length costs no
  // memory. JavaScript peers wait for credit after each packet; a packet of less
  // than a quarter of a window would make them wait forever.
  maxPacketSize: 16 * 1024 * 1024,
  // Some 60,000 replies.
  maxQueuedReplySize: 1024 * 1024,
  // Several for each of 2,048 channels that end at once.
  maxIdleFrames: 10_000,
  // Long enough for a slow network, short enough for a person who waits.
  closeTimeout: 1_000,
});

/** The defaults of {@linkcode KeepAliveOptions}. */
export const DEFAULT_KEEP_ALIVE_OPTIONS: {
  readonly interval: number;
  readonly timeout: number;
} = Object.freeze({
  // Both together, and the time between two looks, are less than 30 s.
  interval: 5_000,
  // A peer that computes for 20 s has two seconds left for its answer.
  timeout: 22_000,
});

const RANGES: Record<keyof SessionLimits, OptionRange> = {
  maxChannels: { min: 1, max: 2 ** 30 },
  backlog: { min: 0, max: 2 ** 30 },
  initialWindowSize: { min: 1, max: MAX_UINT32 },
  maxWindowSize: { min: 1, max: MAX_UINT32 },
  maxHeldSize: { min: 64 * 1024, max: Number.MAX_SAFE_INTEGER },
  maxPacketSize: PACKET_LIMITS,
  maxQueuedReplySize: { min: 1, max: Number.MAX_SAFE_INTEGER },
  maxIdleFrames: { min: 0, max: Number.MAX_SAFE_INTEGER },
  closeTimeout: { min: 0, max: MAX_DELAY },
};

/**
 * The limits of the session that was made last. Most sessions of a program have the
 * same, and share them.
 */
let latest: ResolvedSessionOptions = DEFAULT_SESSION_OPTIONS;

/**
 * Checks the options and fills in the defaults of the limits.
 *
 * @throws {RangeError} if an option is not an integer within its range
 * @throws {TypeError} if `options` or `keepAlive` is of another type, or `memoryPool`
 * was not made by `memoryPool()`
 */
export function resolveOptions(
  options: SessionOptions = {},
): ResolvedSessionOptions {
  checkObject("options of session", options);
  checkKeepAlive(options.keepAlive);
  const { memoryPool } = options;
  if (memoryPool !== undefined) {
    const made = "from memoryPool()";
    checkMethods('option "memoryPool"', memoryPool, made, "admit");
  }
  const resolved = withDefaults(options, DEFAULT_SESSION_OPTIONS, RANGES);
  resolved.maxWindowSize = Math.max(
    resolved.maxWindowSize,
    resolved.initialWindowSize,
  );
  const names = Object.keys(resolved) as (keyof SessionLimits)[];
  if (names.some((name) => latest[name] !== resolved[name])) latest = resolved;
  return latest;
}

function checkKeepAlive(keepAlive: SessionOptions["keepAlive"]): void {
  if (keepAlive === undefined || typeof keepAlive === "boolean") return;
  checkObject('option "keepAlive"', keepAlive);
  const range = { min: 1, max: MAX_DELAY };
  for (const name of ["interval", "timeout"] as const) {
    const value = keepAlive[name];
    if (value !== undefined) checkOption(name, value, range);
  }
}

/**
 * Every limit of a session, with its default, its unit and its reason. Checked
 * once, when the session is made.
 *
 * @module
 */
import { checkOption } from "../check_option.ts";
import { MAX_UINT32 } from "../uint32.ts";

/** The smallest and the largest packet size that qmux allows, in bytes. */
export const PACKET_LIMITS = { min: 9, max: 2 ** 31 } as const;

/** What a session may cost. All are optional; see {@linkcode DEFAULT_SESSION_OPTIONS}. */
export interface SessionOptions {
  /**
   * Channels open at once, both sides' together. An OPEN past it is refused
   * with OPEN_FAILURE; an own `open()` past it rejects with `limit-exceeded`.
   */
  maxChannels?: number;
  /** Incoming channels that may wait for the application to accept them. */
  backlog?: number;
  /** Bytes that the peer may send on a new channel before we return credit. */
  initialWindowSize?: number;
  /** Bytes that one channel's window may grow to. */
  maxWindowSize?: number;
  /**
   * Bytes by which all windows of the session together may exceed
   * `initialWindowSize`. What a session can be made to hold is therefore at most
   * `maxChannels × initialWindowSize + windowBudgetSize`.
   */
  windowBudgetSize?: number;
  /** Bytes of payload that the peer may put into one DATA frame. */
  maxPacketSize?: number;
  /**
   * Bytes of answers (CONFIRM, FAILURE, CLOSE) that may wait for a peer that
   * asks for them and does not read them. Past it the session ends with
   * `limit-exceeded`.
   */
  maxQueuedReplySize?: number;
  /** Milliseconds that `close()` waits for queued frames to leave. */
  closeTimeout?: number;
}

/** The defaults of {@linkcode SessionOptions}. */
export const DEFAULT_SESSION_OPTIONS: Readonly<Required<SessionOptions>> =
  Object.freeze({
    // A thousand calls in flight, each with its successor being opened.
    maxChannels: 2_048,
    // As many as a listening socket usually lets wait.
    backlog: 128,
    // A call with a value of 64 KiB, its length and the header in front of it
    // needs no second round trip.
    initialWindowSize: 65 * 1024,
    // 16 MiB keep a link of 1.3 Gbit/s full over 100 ms.
    maxWindowSize: 16 * 1024 * 1024,
    // With the two above, a session holds 194 MiB at the very most.
    windowBudgetSize: 64 * 1024 * 1024,
    // As large as a window: DATA is taken as it comes, so its length costs no
    // memory. JavaScript peers wait for credit behind each packet, and one of less
    // than a quarter of a window would leave them waiting.
    maxPacketSize: 16 * 1024 * 1024,
    // Some 60,000 answers.
    maxQueuedReplySize: 1024 * 1024,
    // Long enough for a slow network, short enough for a person who waits.
    closeTimeout: 1_000,
  });

const RANGES: Record<keyof SessionOptions, readonly [number, number]> = {
  maxChannels: [1, 2 ** 30],
  backlog: [0, 2 ** 30],
  initialWindowSize: [1, MAX_UINT32],
  maxWindowSize: [1, MAX_UINT32],
  windowBudgetSize: [0, Number.MAX_SAFE_INTEGER],
  maxPacketSize: [PACKET_LIMITS.min, PACKET_LIMITS.max],
  maxQueuedReplySize: [1, Number.MAX_SAFE_INTEGER],
  closeTimeout: [0, 2 ** 31 - 1],
};

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} if a number is not an integer within its range
 */
export function resolveOptions(
  options: SessionOptions = {},
): Required<SessionOptions> {
  const resolved = { ...DEFAULT_SESSION_OPTIONS };
  for (const name of Object.keys(RANGES) as (keyof SessionOptions)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const [min, max] = RANGES[name];
    checkOption(name, value, { min, max });
    resolved[name] = value;
  }
  resolved.maxWindowSize = Math.max(
    resolved.maxWindowSize,
    resolved.initialWindowSize,
  );
  return resolved;
}

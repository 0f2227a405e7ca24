import { DEFAULT_MAX_VALUE_SIZE } from "../codec/internal.ts";
import { type OptionRange, TIME_RANGE, withDefaults } from "../check_option.ts";
import {
  DEFAULT_MAX_CALLBACKS,
  DEFAULT_MAX_META_SIZE,
  DEFAULT_QUEUE_LIMITS,
  MAX_META_SIZE,
} from "../rpc/internal.ts";
import { MAX_UINT32 } from "../uint32.ts";

/** Limits of a peer. */
export interface PeerLimits {
  /**
   * The largest size of a received value, and of all values of a complete response
   * together, in bytes. An integer from 1 to 2^32 - 1. Default: 1 MiB.
   */
  maxValueSize?: number | undefined;
  /**
   * How many incoming calls are handled at the same time; further calls wait, with
   * their arguments unread, until another one ends or its caller gives it up. In
   * addition, as many nested calls are handled: calls of callbacks, and calls that
   * a handler of the other side makes with `call.caller`. An integer of at least 1,
   * or `Infinity`. Default: 1,024.
   */
  maxConcurrentCalls?: number | undefined;
  /**
   * How many calls may wait: incoming calls for others to end, and calls of this
   * side for a channel. Further incoming calls fail with `busy: ...`, and further
   * calls of this side with `limit-exceeded`. An integer of at least 0, or
   * `Infinity`. Default: 16,384.
   */
  maxQueuedCalls?: number | undefined;
  /**
   * How many bytes the encoded requests of calls of this side that wait for a
   * channel may have in total; further calls fail with `limit-exceeded`. An integer
   * of at least 0. Default: 16 MiB.
   */
  maxQueuedCallSize?: number | undefined;
  /**
   * How long an incoming call may wait for others to end, in milliseconds; then
   * it fails with `busy: ...`. A nested call of this side waits as long for a
   * channel, and then fails with `limit-exceeded`. A number of at least 0; above
   * 2^31 - 1 there is no limit. Default: 10,000.
   */
  callQueueTimeout?: number | undefined;
  /**
   * How many functions of this side the other side may be able to call, and streams
   * to read; sending another one fails. An integer of at least 0, or `Infinity`.
   * Default: 4,096.
   */
  maxCallbacks?: number | undefined;
  /**
   * The largest encoded size of the metadata of one call, of one response, and of
   * what a stream of values adds at its end, in bytes. Larger metadata is not sent:
   * the call, or its answer, fails with `too-large`. A call that arrives with
   * larger metadata is refused with that code. An integer from 0 to 48 KiB.
   * Default: 8 KiB.
   */
  maxMetaSize?: number | undefined;
}

/** The defaults of {@linkcode PeerLimits}. */
export const DEFAULT_PEER_LIMITS: Readonly<
  Record<keyof PeerLimits, number>
> = Object.freeze({
  maxValueSize: DEFAULT_MAX_VALUE_SIZE,
  maxConcurrentCalls: 1_024,
  ...DEFAULT_QUEUE_LIMITS,
  maxCallbacks: DEFAULT_MAX_CALLBACKS,
  maxMetaSize: DEFAULT_MAX_META_SIZE,
});

const RANGES: Record<keyof PeerLimits, OptionRange> = {
  maxValueSize: { min: 1, max: MAX_UINT32 },
  maxConcurrentCalls: { min: 1, max: Infinity },
  maxQueuedCalls: { min: 0, max: Infinity },
  maxQueuedCallSize: { min: 0, max: Number.MAX_SAFE_INTEGER },
  callQueueTimeout: TIME_RANGE,
  maxCallbacks: { min: 0, max: Infinity },
  maxMetaSize: { min: 0, max: MAX_META_SIZE },
};

/**
 * The limits of a peer with their defaults.
 *
 * @throws {RangeError} if one is out of range
 */
export function resolvePeerLimits(
  options: PeerLimits,
): Record<keyof PeerLimits, number> {
  return withDefaults(options, DEFAULT_PEER_LIMITS, RANGES);
}

/**
 * Connecting and listening with Deno's QUIC, on a socket of the program or a new one.
 *
 * @module
 */
import { keepAliveOf } from "../flow/silence_watch.ts";
import {
  type ResolvedSessionOptions,
  resolveOptions,
  type SessionOptions,
} from "../options.ts";
import { QuicError } from "./errors.ts";
import type {
  QuicEndpointLike,
  QuicRuntime,
  QuicTransportTerms,
} from "./types.ts";

/**
 * Streams that the peer may have in addition to two for each channel: for channels
 * that are refused, and for a ping.
 */
const MORE_STREAMS = 8;
/**
 * The most streams that QUIC is asked to make room for, because that takes memory in
 * advance.
 */
const MAX_STREAMS = 2 ** 16;

/**
 * Bytes of a stream that QUIC holds while this side does not read it. Deno has no
 * option for it, and none for what all streams of a connection hold.
 */
const STREAM_WINDOW = 1_250_000;

/** The part of Deno that queries permissions. */
interface Permissions {
  querySync(
    descriptor: { name: "net"; host: string },
  ): { readonly state: string };
}

/**
 * The QUIC of this runtime.
 *
 * @throws {QuicError} `unavailable` if there is none
 */
export function quicRuntime(): QuicRuntime {
  const { Deno: deno } = globalThis as { Deno?: Partial<QuicRuntime> };
  if (deno?.QuicEndpoint === undefined || deno.connectQuic === undefined) {
    throw new QuicError(
      "unavailable",
      "this runtime has no QUIC; Deno has it with the flag --unstable-net",
    );
  }
  return deno as QuicRuntime;
}

/**
 * How many channels a session without frames may have in each direction: QUIC may
 * hold as much of their streams as the session itself may hold.
 */
export function maxPlainChannels(
  { maxChannels, maxHeldSize }: ResolvedSessionOptions,
): number {
  return Math.min(Math.floor(maxHeldSize / STREAM_WINDOW) || 1, maxChannels);
}

/**
 * The limits of a connection, for the session that it will carry.
 *
 * @param session the limits of the session
 * @param mayBePlain whether it may be one without frames. Default: it may not
 */
export function transportOptions(
  session: SessionOptions = {},
  mayBePlain = false,
): QuicTransportTerms {
  const options = resolveOptions(session);
  const keepAlive = keepAliveOf(session.keepAlive, true);
  return {
    maxConcurrentBidirectionalStreams: mayBePlain
      ? maxPlainChannels(options)
      : Math.min(2 * options.maxChannels + MORE_STREAMS, MAX_STREAMS),
    maxConcurrentUnidirectionalStreams: 1,
    ...(typeof keepAlive === "object"
      ? {
        keepAliveInterval: keepAlive.interval,
        maxIdleTimeout: keepAlive.interval + keepAlive.timeout,
      }
      : { maxIdleTimeout: 0 }),
  };
}

/**
 * A socket for one connection, so that it can be closed while the connection is being
 * made. Undefined if the program may not open one; then the runtime opens it.
 */
export function clientEndpoint(
  runtime: QuicRuntime,
): QuicEndpointLike | undefined {
  for (const [hostname, host] of [["::", "[::]:0"], ["0.0.0.0", "0.0.0.0:0"]]) {
    if (!mayListen(host!)) continue;
    try {
      return new runtime.QuicEndpoint({ hostname: hostname!, port: 0 });
    } catch {
      // Not every machine has IPv6.
    }
  }
  return undefined;
}

/** Whether the program may listen, without asking the user. */
function mayListen(host: string): boolean {
  const { Deno: deno } = globalThis as { Deno?: { permissions?: Permissions } };
  return deno?.permissions?.querySync({ name: "net", host }).state ===
    "granted";
}

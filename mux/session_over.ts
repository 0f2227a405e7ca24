import type { SessionOptions } from "./options.ts";
import { qmux } from "./session.ts";
import type { SessionTransport } from "./transport/types.ts";
import type { Session, Transport } from "./types.ts";

/**
 * Starts the session that a connection is for: its own kind, or else qmux.
 *
 * @param transport the connection, which the session owns
 * @param options limits
 * @throws {RangeError} if an option is out of range
 */
export function sessionOver(
  transport: Transport,
  options?: SessionOptions,
): Session {
  return isSessionTransport(transport)
    ? transport.startSession(options)
    : qmux(transport, options);
}

/** Whether a connection has sessions of a kind of its own, and no byte stream. */
export function isSessionTransport(
  transport: Transport,
): transport is SessionTransport {
  return "startSession" in transport;
}

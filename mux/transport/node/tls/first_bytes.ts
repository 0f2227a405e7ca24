/**
 * What each end of TLS sends first: a record, which has a ClientHello, or the answer to
 * it (RFC 8446, sections 4.1 and 5.1). This side looks at the beginning itself, before
 * TLS does. Runtimes have different errors for bytes that are no TLS, and some wait for
 * more of them.
 *
 * @module
 */
import { notTls } from "./tls_errors.ts";

/** Types of records. */
const [ALERT, HANDSHAKE] = [21, 22];
/** The first byte of every version since SSL 3.0. */
const VERSION = 3;
/** The type of the message that a ClientHello is. */
const CLIENT_HELLO = 1;

/** Bytes after which nothing is looked at. */
export const HEAD_SIZE = 6;

/**
 * Whether bytes can be part of what the other end has to send first.
 *
 * @param bytes what has arrived together
 * @param at how many bytes came before
 */
export type IsExpected = (bytes: Uint8Array, at: number) => boolean;

/** For a server: whether it can be a ClientHello. */
export const isHello: IsExpected = (bytes, at) =>
  (bytes[0 - at] ?? HANDSHAKE) === HANDSHAKE &&
  (bytes[1 - at] ?? VERSION) === VERSION &&
  (bytes[5 - at] ?? CLIENT_HELLO) === CLIENT_HELLO;

/** For a client: whether it can be an answer to its ClientHello. */
export const isAnswer: IsExpected = (bytes, at) =>
  [ALERT, HANDSHAKE].includes(bytes[0 - at] ?? HANDSHAKE) &&
  (bytes[1 - at] ?? VERSION) === VERSION;

/** Keeps other bytes from TLS, and ends the handshake as soon as they arrive. */
export function expecting(
  isExpected: IsExpected,
  handshake: Pick<PromiseWithResolvers<unknown>, "reject">,
): IsExpected {
  return (bytes, at) => {
    if (isExpected(bytes, at)) return true;
    handshake.reject(notTls());
    return false;
  };
}

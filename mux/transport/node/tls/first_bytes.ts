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

/** Whether bytes can be the beginning, or a part of it, of what the other end sends. */
export type IsExpected = (head: ArrayLike<number>) => boolean;

/** For a server: whether it can be a ClientHello. */
export const isHello: IsExpected = (head) =>
  (head[0] ?? HANDSHAKE) === HANDSHAKE &&
  (head[1] ?? VERSION) === VERSION &&
  (head[5] ?? CLIENT_HELLO) === CLIENT_HELLO;

/** For a client: whether it can be an answer to its ClientHello. */
export const isAnswer: IsExpected = (head) =>
  [ALERT, HANDSHAKE].includes(head[0] ?? HANDSHAKE) &&
  (head[1] ?? VERSION) === VERSION;

/**
 * Keeps other bytes from TLS, and ends the handshake as soon as they arrive. The
 * function that is returned gets all bytes, until {@linkcode HEAD_SIZE} have arrived.
 */
export function expecting(
  isExpected: IsExpected,
  handshake: Pick<PromiseWithResolvers<unknown>, "reject">,
): (bytes: Uint8Array) => boolean {
  const head: number[] = [];
  return (bytes) => {
    head.push(...bytes.subarray(0, HEAD_SIZE - head.length));
    // Node would wait for what follows an empty record.
    if (isExpected(head) && head[3]! + head[4]! !== 0) return true;
    handshake.reject(notTls());
    return false;
  };
}

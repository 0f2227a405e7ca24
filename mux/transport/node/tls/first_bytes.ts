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
 * Whether what has arrived so far can be the beginning of what the other end should
 * send.
 */
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
 * Keeps bytes that are not TLS from it, and fails the handshake as soon as they arrive.
 * Pass every chunk to the returned function until {@linkcode HEAD_SIZE} bytes have
 * arrived.
 */
export function expecting(
  isExpected: IsExpected,
  handshake: Pick<PromiseWithResolvers<unknown>, "reject">,
): (bytes: Uint8Array) => boolean {
  const head: number[] = [];
  return (bytes) => {
    head.push(...bytes.subarray(0, HEAD_SIZE - head.length));
    // An empty record is not allowed (RFC 8446, section 5.1), and Node would wait for
    // another.
    if (isExpected(head) && head[3]! + head[4]! !== 0) return true;
    handshake.reject(notTls());
    return false;
  };
}

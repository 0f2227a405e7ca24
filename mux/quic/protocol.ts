/**
 * The names and numbers of mux/quic/SPEC.md.
 *
 * @module
 */

/** The protocol between two ends of this package, for ALPN. */
export const FRAMED_PROTOCOL = "qtalk-quic/2";
/** The protocol of qtalk-go, whose streams carry only bytes. */
export const PLAIN_PROTOCOL = "qtalk-quic";
/** Both, the preferred one first. */
export const PROTOCOLS: readonly string[] = [FRAMED_PROTOCOL, PLAIN_PROTOCOL];
/** The code with which a session is closed. */
export const CLOSE_CODE = 42;
/** The code with which it ends because the peer has violated the protocol. */
export const VIOLATION_CODE = 43;

/**
 * What a client of TLS sends first: a record that has a ClientHello (RFC 8446, sections
 * 4.1.2 and 5.1). A listener looks at the beginning itself, before TLS does. Runtimes
 * have different errors for bytes that are no TLS, and some wait for more of them.
 *
 * @module
 */

/** Bytes that every ClientHello has, each with its place. */
const FIXED = [
  [0, 22], // A record of the handshake,
  [1, 3], // by any version since SSL 3.0.
  [5, 1], // The message is a ClientHello.
] as const;

/**
 * Whether bytes can be part of a ClientHello.
 *
 * @param bytes what has arrived together
 * @param at how many bytes came before
 */
export function isHello(bytes: Uint8Array, at: number): boolean {
  return at > 5 ||
    FIXED.every(([place, value]) => (bytes[place - at] ?? value) === value);
}

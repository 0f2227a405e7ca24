/**
 * What other transports of mux use of QUIC.
 *
 * @module
 */
export { hashOf } from "./certificate_hash.ts";
export { quicRuntime, transportOptions } from "./endpoint.ts";
export { handshakeError } from "./errors.ts";
export type {
  QuicConnLike,
  QuicEndpointLike,
  QuicIncomingLike,
  QuicListenerLike,
} from "./types.ts";

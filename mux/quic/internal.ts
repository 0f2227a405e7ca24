/**
 * What other transports of mux, and `peer:` of talk, use of QUIC.
 *
 * @module
 */
export { hashOf } from "./certificate_hash.ts";
export { clientEndpoint, quicRuntime, transportOptions } from "./endpoint.ts";
export { handshakeError } from "./errors.ts";
export { listenQuic } from "./listen.ts";
export {
  CLOSE_CODE as PROTOCOL_CLOSE_CODE,
  FRAMED_PROTOCOL as quicSessionProtocol,
} from "./protocol.ts";
export type {
  QuicConnLike,
  QuicEndpointLike,
  QuicIncomingLike,
  QuicListenerLike,
} from "./types.ts";

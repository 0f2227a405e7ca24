/**
 * Like `internal.ts`, for modules that the core does not load: those that run in Deno
 * only, and what only programs of Deno in this package use.
 *
 * @module
 */
export { QuicConnection } from "./quic/connection.ts";
export {
  clientEndpoint,
  quicRuntime,
  transportOptions,
} from "./quic/endpoint.ts";
export { hashOf } from "./quic/certificate_hash.ts";
export { listenQuic } from "./quic/listen.ts";
export {
  CLOSE_CODE as QUIC_CLOSE_CODE,
  FRAMED_PROTOCOL as QUIC_SESSION_PROTOCOL,
} from "./quic/protocol.ts";
export type {
  QuicConnLike,
  QuicEndpointLike,
  QuicRuntime,
} from "./quic/types.ts";
export { storeOf } from "./resume/store.ts";
export { BegunTransport } from "./transport/begun_transport.ts";
export {
  canReusePort,
  connListener,
  connTransport,
} from "./transport/deno/conn.ts";
export { messagePortTransport } from "./transport/message/message_port.ts";
export { duplexTransport } from "./transport/duplex.ts";
export { hostPort, parseHostPort } from "./transport/address_forms.ts";
export { PendingAccepts } from "./transport/pending_accepts.ts";
export { readToEnd } from "./transport/read_to_end.ts";
export { requiredModule } from "./transport/node/builtin.ts";
export {
  certificateOf,
  fingerprintOf,
  type NodeCertificate,
} from "./transport/node/tls/certificate.ts";
export { tlsOver } from "./transport/node/tls/client.ts";
export { Guard } from "./transport/node/tls/guard.ts";
export { socketOver } from "./transport/node/tls/stream_socket.ts";
export { pinsOf, readPem } from "./transport/node/tls/tls_options.ts";
export { stdioTransport } from "./transport/deno/stdio.ts";
export {
  type RequestDecision,
  type RequestHandler,
  type RequestInfo,
  type UpgradeOptions,
  webSocketAcceptor,
} from "./transport/websocket/acceptor.ts";

/**
 * Like `internal.ts`, for modules that the core does not load: those that run in Deno
 * only, and what only programs of Deno in this package use.
 *
 * @module
 */
export { connectWith, connListener, connTransport } from "./transport/conn.ts";
export { messagePortTransport } from "./transport/message/message_port.ts";
export { stdioTransport } from "./transport/stdio.ts";
export {
  type RequestDecision,
  type RequestHandler,
  type RequestInfo,
  type UpgradeOptions,
  webSocketAcceptor,
} from "./transport/websocket/acceptor.ts";

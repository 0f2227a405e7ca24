/**
 * Like `internal.ts`, for modules that run in Deno only.
 *
 * @module
 */
export { connectWith, connListener, connTransport } from "./transport/conn.ts";
export { stdioTransport } from "./transport/stdio.ts";
export {
  type RequestDecision,
  type RequestHandler,
  type RequestInfo,
  type UpgradeOptions,
  webSocketAcceptor,
} from "./transport/websocket/acceptor.ts";

/**
 * As `internal.ts`, for the modules that only Deno can run.
 *
 * @module
 */
export { connListener, connTransport } from "./transport/conn.ts";
export { stdioTransport } from "./transport/stdio.ts";
export {
  type RequestHandler,
  type UpgradeOptions,
  webSocketAcceptor,
} from "./transport/websocket/acceptor.ts";

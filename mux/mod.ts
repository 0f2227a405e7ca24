/**
 * qmux: many flow-controlled channels over one stream of bytes.
 *
 * A {@linkcode qmux} session runs over any `{ readable, writable }` of bytes. Either
 * end opens channels; each {@linkcode Channel} is a pair of web streams whose
 * backpressure is the channel's window on the wire. The wire is a subset of
 * SSH's channels (RFC 4254, section 5), byte-compatible with qtalk-go.
 *
 * @example
 * ```ts
 * import { memoryTransports, qmux } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = memoryTransports();
 * await using client = qmux(left);
 * await using server = qmux(right);
 *
 * server.accept(async (channel) => {
 *   const writer = channel.writable.getWriter();
 *   await writer.write(new TextEncoder().encode("hello"));
 *   await writer.close();
 * });
 *
 * const channel = await client.open();
 * assertEquals(await new Response(channel.readable).text(), "hello");
 * ```
 *
 * @module
 */
export { MuxError, type MuxErrorCode } from "./errors.ts";
export { DEFAULT_SESSION_OPTIONS, type SessionOptions } from "./options.ts";
export { proxy } from "./proxy.ts";
export { qmux } from "./session.ts";
export { memoryTransports } from "./transport/memory.ts";
export {
  type MessagePortLike,
  messagePortTransport,
  type WindowLike,
  windowTransport,
} from "./transport/message/message_port.ts";
export {
  type WebSocketLike,
  webSocketTransport,
} from "./transport/websocket/transport.ts";
export type {
  Channel,
  Duplex,
  Session,
  SessionUsage,
  Transport,
  WaitOptions,
} from "./types.ts";

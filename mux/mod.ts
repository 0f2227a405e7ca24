/**
 * qmux: many flow-controlled channels over one stream of bytes.
 *
 * A {@linkcode Session} runs over any `{ readable, writable }` of bytes. Either
 * end opens channels; each {@linkcode Channel} is a pair of web streams whose
 * backpressure is the channel's window on the wire. The wire is a subset of
 * SSH's channels (RFC 4254, section 5), byte-compatible with qtalk-go.
 *
 * @example
 * ```ts
 * import { memoryTransports, Session } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = memoryTransports();
 * await using client = new Session(left);
 * await using server = new Session(right);
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
export { DEFAULTS, type SessionOptions } from "./options.ts";
export { proxy } from "./proxy.ts";
export type { SessionUsage } from "./channel_table.ts";
export { Session } from "./session.ts";
export { memoryTransports } from "./transport/memory.ts";
export {
  type MessagePortLike,
  messagePortTransport,
  type WindowLike,
  windowTransport,
} from "./transport/message_port.ts";
export {
  type WebSocketLike,
  webSocketTransport,
} from "./transport/websocket.ts";
export type {
  Channel,
  Duplex,
  MuxSession,
  Transport,
  WaitOptions,
} from "./types.ts";

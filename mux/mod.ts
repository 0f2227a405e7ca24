/**
 * qmux: many flow-controlled channels over one byte stream in each direction.
 *
 * {@linkcode qmux} starts a session over any `{ readable, writable }` of bytes, or
 * over a {@linkcode Transport} made by {@linkcode webSocketTransport},
 * {@linkcode messagePortTransport}, {@linkcode windowTransport} or
 * {@linkcode memoryTransports}. Either side of a {@linkcode Session} opens channels
 * with `open()` and accepts those of the peer with `accept()` or by iteration. Each
 * {@linkcode Channel} is a pair of web streams, whose backpressure is the channel's
 * flow control. {@linkcode proxy} connects two sessions.
 *
 * Failures reject with a {@linkcode MuxError}; branch on its `code`. An aborted
 * operation rejects with `signal.reason`.
 *
 * The wire format is that of qtalk-go, which derives from the channels of SSH (RFC
 * 4254, section 5): see mux/SPEC.md.
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
export {
  DEFAULT_MEMORY_POOL_OPTIONS,
  type MemoryPool,
  memoryPool,
  type MemoryPoolOptions,
  type MemoryPoolUsage,
} from "./flow/memory_pool.ts";
export {
  CommandExitError,
  type CommandStatus,
  MuxError,
  type MuxErrorCode,
} from "./errors.ts";
export {
  DEFAULT_KEEP_ALIVE_OPTIONS,
  DEFAULT_SESSION_OPTIONS,
  type KeepAliveOptions,
  type SessionLimits,
  type SessionOptions,
} from "./options.ts";
export { proxy } from "./proxy.ts";
export { ResumeError, type ResumeFailure } from "./resume/errors.ts";
export { type ResumeStore, resumeStore } from "./resume/store.ts";
export {
  DEFAULT_RESUME_OPTIONS,
  type ListenResumeOptions,
  type ResumeLimits,
  type ResumeState,
} from "./resume/types.ts";
export { qmux } from "./session.ts";
export { memoryTransports } from "./transport/memory.ts";
export {
  type MessagePortLike,
  messagePortTransport,
  type MessageTransportOptions,
  type NodeWorkerLike,
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
  HeldMemory,
  Session,
  SessionUsage,
  Transport,
  WaitOptions,
} from "./types.ts";

/**
 * Bidirectional RPC over anything that carries bytes: TCP, TLS, Unix sockets,
 * WebSocket, stdio, workers, or a pair of byte streams. Every call has a
 * flow-controlled channel to itself. The wire format is that of qtalk-go.
 *
 * {@linkcode dial} and {@linkcode listen} make {@linkcode Peer}s; either end of a
 * session can call the other. {@linkcode handlerFrom} makes a handler from a
 * function or an object. A call can return a value, stream values in both
 * directions, call its caller back, or become a byte stream.
 *
 * @example A server and a client
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { Upper: (s: string) => s.toUpperCase() };
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: handlerFrom(service),
 * });
 *
 * await using peer = await dial(listener.addr);
 * assertEquals(await peer.call("Upper", ["hello world"]), "HELLO WORLD");
 * ```
 *
 * @module
 */
// Imported first, because these name all other modules (ARCHITECTURE.md, "Modules
// are named at once").
import "./codec/internal.ts";
import "./mux/internal.ts";
import "./rpc/internal.ts";
import "./start.ts";
export * from "./codec/mod.ts";
// Of mux, only what every program loads anyway: transports over message ports and
// WebSockets, and proxy(), are in `@qtalk/qtalk/mux`.
export { MuxError, type MuxErrorCode } from "./mux/errors.ts";
export {
  DEFAULT_MEMORY_POOL_OPTIONS,
  type MemoryPool,
  memoryPool,
  type MemoryPoolOptions,
  type MemoryPoolUsage,
} from "./mux/flow/memory_pool.ts";
export {
  DEFAULT_KEEP_ALIVE_OPTIONS,
  DEFAULT_SESSION_OPTIONS,
  type KeepAliveOptions,
  type SessionLimits,
  type SessionOptions,
} from "./mux/options.ts";
export { qmux } from "./mux/session.ts";
export { memoryTransports } from "./mux/transport/memory.ts";
export type {
  Channel,
  Duplex,
  HeldMemory,
  Session,
  SessionUsage,
  Transport,
  WaitOptions,
} from "./mux/types.ts";
export * from "./rpc/mod.ts";
export * from "./talk/mod.ts";

/**
 * qtalk: the way programs talk to each other. RPC where every call is its own
 * flow-controlled channel, over TCP, Unix sockets, stdio, or any pair of byte
 * streams; byte-compatible with qtalk-go.
 *
 * {@linkcode dial} and {@linkcode listen} give {@linkcode Peer}s; either end of
 * a conversation calls the other. {@linkcode handlerFrom} makes handlers of
 * plain functions and objects. A call can answer once, stream values, call its
 * caller back, or become a stream of bytes.
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
export * from "./codec/mod.ts";
export * from "./mux/mod.ts";
export * from "./rpc/mod.ts";
export * from "./talk/mod.ts";

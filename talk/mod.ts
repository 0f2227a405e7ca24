/**
 * Addresses to peers: dial, listen, and the {@linkcode Peer} at either end.
 *
 * @example
 * ```ts
 * import { dial, listen } from "@qtalk/qtalk/talk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: (_call, respond) => respond.return("hello"),
 * });
 * await using peer = await dial(listener.addr);
 * assertEquals(await peer.call("anything"), "hello");
 * ```
 *
 * @module
 */
export {
  type ConnectOptions,
  dial,
  type DialOptions,
  dialSession,
  type ReconnectingDialOptions,
} from "./dial.ts";
export type { SchemeOptions } from "../mux/internal.ts";
export { dialCommand, type DialCommandOptions } from "./dial_command.ts";
export { TalkError, type TalkErrorCode } from "./errors.ts";
export { memoryPair } from "./memory_pair.ts";
export {
  listen,
  type ListenOptions,
  listenSession,
  type ListenSessionOptions,
} from "./listen.ts";
export {
  type ConnectionInfo,
  Listener,
  type ListenerOptions,
  type Served,
} from "./listener.ts";
export {
  type CloseOptions,
  type ErrorContext,
  Peer,
  type PeerOptions,
} from "./peer.ts";
export type { BackoffOptions } from "./reconnect/backoff.ts";
export { ReconnectingPeer } from "./reconnect/reconnecting_peer.ts";
export type {
  ConnectionState,
  ReconnectEnvironment,
  ReconnectOptions,
} from "./reconnect/options.ts";

/**
 * Peers by address: dial and listen, and the {@linkcode Peer} at either end of
 * a connection.
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
  DEFAULT_CONNECT_TIMEOUT,
  dial,
  type DialOptions,
  dialSession,
  type ReconnectingDialOptions,
} from "./dial.ts";
export type {
  ListenSchemeOptions,
  SchemeOptions,
  WaitOptions,
} from "../mux/internal.ts";
export {
  type ChildProcessLike,
  type CommandLike,
  dialCommand,
  type DialCommandOptions,
} from "./dial_command.ts";
export { TalkError, type TalkErrorCode } from "./errors.ts";
export {
  listen,
  type ListenOptions,
  listenSession,
  type ListenSessionOptions,
} from "./listen.ts";
export type {
  ConnectionInfo,
  Listener,
  ListenerOptions,
  SharedLimits,
} from "./listener.ts";
export { memoryPair, type MemoryPairOptions } from "./memory_pair.ts";
export {
  type CloseOptions,
  DEFAULT_PEER_LIMITS,
  type ErrorContext,
  Peer,
  type PeerLimits,
  type PeerOptions,
} from "./peer.ts";
export {
  type BackoffOptions,
  type ConnectionState,
  DEFAULT_RECONNECT_OPTIONS,
  type ReconnectingPeer,
  type ReconnectOptions,
} from "./reconnect/types.ts";

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
  DEFAULT_HEAD_START,
  DEFAULT_RECONNECT_OPTIONS,
  dial,
  type DialAddress,
  type DialOptions,
  dialSession,
  type Provided,
  type ReconnectingDialOptions,
  type ResumeOptions,
} from "./dial/dial.ts";
export {
  CommandExitError,
  type CommandStatus,
  TlsError,
  type TlsErrorCode,
} from "../mux/internal.ts";
export type {
  ConnectionInfo,
  ListenResumeOptions,
  ListenSchemeOptions,
  PeerCertificate,
  PeerMeetingOptions,
  PeerWay,
  Pem,
  ResumeLimits,
  ResumeState,
  ResumeStore,
  SchemeListenOptions,
  SchemeOptions,
  TlsDialOptions,
  TlsInfo,
  TlsListenOptions,
  TlsVersion,
  WaitOptions,
} from "../mux/internal.ts";
export {
  type ChildProcessLike,
  type CommandLike,
  CommandPeer,
  dialCommand,
  type DialCommandOptions,
} from "./dial/dial_command.ts";
export { TalkError, type TalkErrorCode, type TalkErrorInit } from "./errors.ts";
export {
  listen,
  type ListenOptions,
  listenSession,
  type ListenSessionOptions,
} from "./listener/listen.ts";
export type { SharedLimits } from "./listener/limits.ts";
export type {
  Listener,
  ListenerOptions,
  PeerListenerOptions,
} from "./listener/types.ts";
export { memoryPair, type MemoryPairOptions } from "./memory_pair.ts";
export type { CloseOptions } from "./close_options.ts";
export { DEFAULT_PEER_LIMITS, type PeerLimits } from "./peer_limits.ts";
export {
  type ErrorContext,
  Peer,
  type PeerOptions,
  type PeerWith,
} from "./peer.ts";
export type { PeerStats } from "./peer_stats.ts";
export type {
  BackoffOptions,
  ConnectionState,
  ReconnectingPeer,
  ReconnectOptions,
} from "./reconnect/types.ts";

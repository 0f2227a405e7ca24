/**
 * What other layers import from this one, including what no entry point exports.
 *
 * @module
 */
import "../printable_text.ts"; // Keeps bundles in few chunks.
export {
  CommandExitError,
  type CommandStatus,
  connectionLost,
  copyOf,
  echoed,
  MuxError,
  originOf,
  sessionClosed,
  TlsError,
  type TlsErrorCode,
} from "./errors.ts";
export { MemoryAccount, type MemoryKind } from "./flow/memory_account.ts";
export {
  DEFAULT_MEMORY_POOL_OPTIONS,
  type MemoryPool,
  memoryPool,
} from "./flow/memory_pool.ts";
export { nextTurn } from "./flow/turns.ts";
export { resolveOptions, type SessionOptions } from "./options.ts";
export { OFFERED_PER_TURN } from "./table/channel_table.ts";
export type {
  ErrorOwner,
  OpenCallbacks,
  RawChannel,
  RawSession,
} from "./raw.ts";
export { keepAliveOf } from "./flow/silence_watch.ts";
export {
  isSessionTransport,
  qmux,
  rawSession,
  sessionOver,
} from "./session.ts";
export {
  type ChildProcessLike,
  childTransport,
  spawnOnNode,
} from "./transport/child.ts";
export { memoryTransports } from "./transport/memory.ts";
export { loadResume, loadScheme, SCHEME_NAMES } from "./transport/schemes.ts";
export type { ResumeStore } from "./resume/store.ts";
export type {
  ListenResumeOptions,
  ResumeLimits,
  ResumeState,
} from "./resume/types.ts";
export type {
  AbortableTransport,
  Accepted,
  AccountedTransport,
  AdvisingTransport,
  ConnectionInfo,
  GatheringTransport,
  HandshakeLimit,
  KeptTransport,
  ListenSchemeOptions,
  PeerCertificate,
  PeerMeetingOptions,
  PeerTransport,
  PeerWay,
  Pem,
  Scheme,
  SchemeListenOptions,
  SchemeListenTerms,
  SchemeOptions,
  SessionTap,
  SessionTransport,
  StreamTap,
  TlsDialOptions,
  TlsInfo,
  TlsListenOptions,
  TlsVersion,
  TransportListener,
  WatchingTransport,
} from "./transport/types.ts";
export type { QuicEndpointLike } from "./quic/types.ts";
export type { Channel, Session, Transport, WaitOptions } from "./types.ts";
export { FrameDecoder, type FrameSink } from "./wire/frame_decoder.ts";

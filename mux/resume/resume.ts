/**
 * Sessions that survive their connection. This module is loaded when the option
 * `resume` is used.
 *
 * @module
 */
import "../internal.ts"; // Keeps bundles in few chunks.
export {
  beginSession,
  type DialedSessionOptions,
  type RedialEnvironment,
  whileOpen,
} from "./dialed_session.ts";
export {
  answerDialer,
  type KnownSessions,
  resumeSession,
  startSession,
} from "./handshake/handshake.ts";
export { Incoming } from "./handshake/incoming.ts";
export { RECORD } from "./records.ts";
export { ResumableTransport } from "./resumable_transport.ts";
export {
  ResumingListener,
  type ResumingListenerOptions,
} from "./resuming_listener.ts";
export { storeOf } from "./store.ts";
export { resolveResumeLimits } from "./types.ts";

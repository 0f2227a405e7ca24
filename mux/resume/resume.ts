/**
 * Sessions that survive their connection. This module is loaded when the option
 * `resume` is used.
 *
 * @module
 */
export {
  beginSession,
  type DialedSessionOptions,
  type RedialEnvironment,
  whileOpen,
} from "./dialed_session.ts";
export {
  ResumingListener,
  type ResumingListenerOptions,
} from "./resuming_listener.ts";
export { storeOf } from "./store.ts";
export { resolveResumeLimits } from "./types.ts";

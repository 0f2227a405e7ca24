import { MuxError } from "../errors.ts";

/**
 * Why a session with the option `resume` ended nevertheless.
 *
 * | reason | meaning |
 * | --- | --- |
 * | `unknown-session` | the other end does not know the session: it was restarted, or has given the session up |
 * | `dial-failed` | another attempt to connect would fail in the same way, such as for a certificate that has expired; its error is the `cause` |
 * | `timeout` | there was no connection within the option `resume.timeout` |
 * | `too-many` | the listener had more than `maxDetached` sessions without a connection |
 * | `listener-closed` | the listener was closed, so no new connection can arrive |
 */
export type ResumeFailure =
  | "unknown-session"
  | "dial-failed"
  | "timeout"
  | "too-many"
  | "listener-closed";

/**
 * The error of a session that could not be resumed. Its code is `connection-lost`, as
 * if the session had ended with its connection, whose error is the `cause`.
 */
export class ResumeError extends MuxError {
  /** Why the session was not resumed. */
  readonly reason: ResumeFailure;

  /**
   * Makes the error.
   *
   * @param reason why the session was not resumed
   * @param how the reason as text, as a clause
   * @param options the `cause`: why the connection was lost, or cannot be made again
   */
  constructor(reason: ResumeFailure, how: string, options?: ErrorOptions) {
    super("connection-lost", `Connection is lost: ${how}`, options);
    this.reason = reason;
  }
}

/** The error of a session that its other end does not know. */
export function unknownSession(cause: unknown): ResumeError {
  const how = "the other side does not know the session, because it was " +
    "restarted or has given it up";
  return new ResumeError("unknown-session", how, { cause });
}

/** The error of a session whose attempts to connect fail for good. */
export function notRedialed(cause: Error): ResumeError {
  return new ResumeError("dial-failed", cause.message, { cause });
}

/** The error of a session that was without a connection for too long. */
export function notResumed(timeout: number, cause: unknown): ResumeError {
  const how = `the session was not resumed within ${timeout} ms ` +
    '(option "resume.timeout")';
  return new ResumeError("timeout", how, { cause });
}

/** The error of a handshake in which the other end does not take part. */
export class HandshakeError extends Error {
  /** Always `"HandshakeError"`. */
  override readonly name = "HandshakeError";
}

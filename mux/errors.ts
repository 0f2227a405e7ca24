/**
 * Why an operation of the mux layer failed.
 *
 * | code | meaning |
 * | --- | --- |
 * | `protocol-error` | the peer broke the rules of the wire; the session has ended |
 * | `connection-lost` | the byte stream under the session ended or failed |
 * | `session-closed` | this side closed the session |
 * | `channel-closed` | this direction of the channel is closed, by either side |
 * | `open-refused` | the peer answered OPEN with OPEN_FAILURE |
 * | `limit-exceeded` | a limit of this side was reached |
 * | `timeout` | the time given for it has passed |
 * | `invalid-state` | the call makes no sense now: a mistake of the program |
 */
export type MuxErrorCode =
  | "protocol-error"
  | "connection-lost"
  | "session-closed"
  | "channel-closed"
  | "open-refused"
  | "limit-exceeded"
  | "timeout"
  | "invalid-state";

/** The one error class of the mux layer. */
export class MuxError extends Error {
  /** Always `"MuxError"`. */
  override readonly name = "MuxError";
  /** What kind of failure this is, for programs. */
  readonly code: MuxErrorCode;

  /**
   * Makes an error of the mux layer.
   *
   * @param code what kind of failure this is
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: MuxErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The error for a violation of the wire's rules (mux/SPEC.md). */
export function protocolError(message: string): MuxError {
  return new MuxError(
    "protocol-error",
    `Cannot go on with session: ${message}`,
  );
}

/** The error for what still waits when this side closes the session. */
export function sessionClosed(): MuxError {
  return new MuxError("session-closed", "Session is closed");
}

/**
 * The error for a session that ended without being closed by this side.
 *
 * @param how what happened, as a clause
 * @param cause the underlying error, if there is one
 */
export function connectionLost(how: string, cause?: unknown): MuxError {
  return new MuxError(
    "connection-lost",
    `Connection is lost: ${how}`,
    cause === undefined ? undefined : { cause },
  );
}

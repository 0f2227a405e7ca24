/**
 * Why an operation of the mux layer failed.
 *
 * | code | meaning |
 * | --- | --- |
 * | `protocol-error` | the peer violated the protocol; the session has ended |
 * | `connection-lost` | the byte stream of the session ended or failed |
 * | `session-closed` | this side closed the session |
 * | `channel-closed` | this direction of the channel is closed, by either side |
 * | `open-refused` | the peer answered OPEN with OPEN_FAILURE |
 * | `limit-exceeded` | a limit of this side was reached |
 * | `timeout` | the operation took longer than its time limit |
 * | `invalid-state` | the program called a method at the wrong time |
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

/** The error class of the mux layer. */
export class MuxError extends Error {
  /** Always `"MuxError"`. */
  override readonly name = "MuxError";
  /** The kind of failure. Programs should branch on it. */
  readonly code: MuxErrorCode;

  /**
   * Makes an error of the mux layer.
   *
   * @param code the kind of failure
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: MuxErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * An invariant of the library does not hold: a bug in this package, and not a
 * mistake of the program or of the peer.
 */
export class InvariantError extends Error {
  /** Always `"InvariantError"`. */
  override readonly name = "InvariantError";
}

/**
 * The error for a violation of the protocol (mux/SPEC.md, "Violations").
 *
 * @param message what the peer sent, as a clause
 */
export function protocolError(message: string): MuxError {
  return new MuxError("protocol-error", `Cannot continue session: ${message}`);
}

/** The error of everything that still waits when this side closes the session. */
export function sessionClosed(): MuxError {
  return new MuxError("session-closed", "Session is closed");
}

/**
 * The error of a session that ended although this side did not close it.
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

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

/**
 * Milliseconds that the code which describes another protocol may take to load.
 * Without it, the error says less.
 */
export const DESCRIPTION_TIMEOUT = 1_000;

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
 * Why a TLS connection failed.
 *
 * | code | meaning |
 * | --- | --- |
 * | `wrong-name` | the certificate of the server is for another name |
 * | `expired`, `not-yet-valid` | the certificate has expired, or is not valid yet |
 * | `unknown-issuer` | this side does not trust its issuer |
 * | `wrong-fingerprint` | its fingerprint is not listed in the option `tls.pin` |
 * | `bad-certificate` | it is not valid for another reason, or the other side refuses this side's |
 * | `no-client-certificate` | the server demands a certificate, and the client has none |
 * | `wrong-client-certificate` | the server does not trust the certificate of the client |
 * | `not-tls` | the other side does not speak TLS |
 * | `unexpected-tls` | the other side speaks TLS, and this side does not |
 * | `wrong-protocol` | the other side speaks a protocol other than this package's |
 * | `wrong-version` | there is no version of TLS that both sides speak |
 * | `handshake-failed` | the handshake failed for another reason |
 * | `truncated` | the connection was cut after the handshake |
 */
export type TlsErrorCode =
  | "wrong-name"
  | "expired"
  | "not-yet-valid"
  | "unknown-issuer"
  | "wrong-fingerprint"
  | "bad-certificate"
  | "no-client-certificate"
  | "wrong-client-certificate"
  | "not-tls"
  | "unexpected-tls"
  | "wrong-protocol"
  | "wrong-version"
  | "handshake-failed"
  | "truncated";

/**
 * The error of a TLS connection: the `cause` of the `TalkError` that `dial()`
 * rejects with, or of a `MuxError`.
 */
export class TlsError extends Error {
  /** Always `"TlsError"`. */
  override readonly name = "TlsError";
  /** What is wrong. Programs should branch on it. */
  readonly code: TlsErrorCode;
  /** Whether another attempt would fail in the same way. */
  readonly permanent: boolean;

  /**
   * Makes an error of TLS.
   *
   * @param code what is wrong
   * @param message a description for people
   * @param options the underlying `cause`, if there is one, and whether the failure
   * is permanent. Default: it is, unless the code is `truncated` or
   * `handshake-failed`
   */
  constructor(
    code: TlsErrorCode,
    message: string,
    options: ErrorOptions & { permanent?: boolean | undefined } = {},
  ) {
    const {
      permanent = code !== "truncated" && code !== "handshake-failed",
      ...rest
    } = options;
    super(message, rest);
    this.code = code;
    this.permanent = permanent;
  }
}

/** How a child process ended. */
export interface CommandStatus {
  /** Whether its exit code was 0, and no signal ended it. */
  readonly success: boolean;
  /** Its exit code; 128 and the signal's number if a signal ended it. */
  readonly code: number;
  /** The signal that ended it, such as `"SIGKILL"`; null if none did. */
  readonly signal: string | null;
}

/**
 * The error of a session with a child process that failed, with the code
 * `connection-lost`: the child exited with a code other than 0, or a signal ended
 * it.
 */
export class CommandExitError extends MuxError {
  /** The exit code; 128 and the signal's number if a signal ended the child. */
  readonly exitCode: number;
  /** The signal that ended the child, such as `"SIGKILL"`; null if none did. */
  readonly signal: string | null;

  /**
   * Makes the error for a child that has ended.
   *
   * @param status how it ended
   */
  constructor({ code, signal }: CommandStatus) {
    const how = signal === null
      ? `exited with code ${code}`
      : `was ended by ${signal}`;
    super("connection-lost", `Connection is lost: the command ${how}`);
    this.exitCode = code;
    this.signal = signal;
  }
}

/** What an error is a copy of. */
const origin: unique symbol = Symbol("qtalk.origin");

/**
 * A copy of an error with a code, of any class of this package, with a stack of its
 * own: sessions and channels give one error to all that wait for them.
 * {@linkcode originOf} says what it is a copy of.
 *
 * @param error the error
 * @param message the message of the copy; default: that of the error
 */
export function copyOf<E extends Error & { readonly code: string }>(
  error: E,
  message: string = error.message,
): E {
  const { cause } = error;
  const options = cause === undefined ? undefined : { cause };
  const copy = Object.assign(new Error(message, options), error);
  Object.setPrototypeOf(copy, Object.getPrototypeOf(error));
  return Object.defineProperty(copy, origin, { value: error });
}

/** The error that an error is a copy of; undefined if it is none. */
export function originOf(error: object): object | undefined {
  return (error as { [origin]?: object })[origin];
}

/**
 * An invariant of the library does not hold: a bug in this package, and not a
 * mistake of the program or of the peer.
 */
export class InvariantError extends Error {
  /** Always `"InvariantError"`. */
  override readonly name = "InvariantError";

  /**
   * Makes the error.
   *
   * @param message what does not hold
   */
  constructor(message: string) {
    super(`bug in this package: ${message}`);
  }
}

/**
 * The error for a violation of the protocol (mux/SPEC.md, "Violations").
 *
 * @param message what the peer sent, as a clause
 */
export function protocolError(message: string): MuxError {
  return new MuxError("protocol-error", `Cannot continue session: ${message}`);
}

/** The error of a session at whose other end nothing answers but its own calls. */
export function echoed(): MuxError {
  return protocolError(
    "a call of this side came back, as from an echo server",
  );
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

/**
 * The error of a session whose peer has sent nothing for so long, although it was
 * asked for a sign of life.
 *
 * @param silence milliseconds
 */
export function peerSilent(silence: number): MuxError {
  const time = silence < 1_000
    ? `${Math.round(silence)} ms`
    : `${Math.round(silence / 1_000)} s`;
  return connectionLost(
    `no byte arrived for ${time}, although the peer was pinged (option "keepAlive")`,
  );
}

/** What errors say about text that comes from the other end of standard streams. */
export const STDIO_ADVICE =
  "standard output carries frames only, so logs belong on stderr";

/** The error of an address to dial whose port is 0. */
export function portZero(): SyntaxError {
  return new SyntaxError("port 0 is only for listening");
}

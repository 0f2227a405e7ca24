import { printableText } from "../printable_text.ts";

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
 * What is wrong with a connection by TLS.
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
 * | `wrong-protocol` | the other side speaks another protocol than this package's |
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
  | "wrong-protocol"
  | "wrong-version"
  | "handshake-failed"
  | "truncated";

/** The error of a connection by TLS: the `cause` of what `dial()` rejects with. */
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
   * @param message the same, in words
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.permanent = code !== "truncated" && code !== "handshake-failed";
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
 * `connection-lost`: the child exited with another code than 0, or a signal ended
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
    "a call of this side came back: what is at the other end returns what it gets, as an echo server does",
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

/** Bytes that are quoted from a peer that does not speak qmux. */
export const QUOTE_SIZE = 64;

/** How the first bytes of other protocols look, read as Latin-1. */
const OTHER_PROTOCOLS: readonly (readonly [RegExp, string])[] = [
  [/^HTTP\/\d/, "an HTTP server; if it accepts WebSockets, dial ws: or wss:"],
  [/^PRI \* HTTP\/2/, "an HTTP/2 client"],
  [
    /^(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|TRACE|CONNECT) \S/,
    "an HTTP client; for WebSockets, listen on ws:",
  ],
  // deno-lint-ignore no-control-regex
  [/^[^]{3}\x04[\0\x01]\0{4}/, "an HTTP/2 server"],
  [/^SSH-\d/, "SSH"],
  // deno-lint-ignore no-control-regex
  [/^[\x14-\x17]\x03[\0-\x04]/, "TLS; of all schemes, tls: and wss: speak it"],
  [/^\*\S* ?(?:OK|PREAUTH|BYE)\b/, "an IMAP server"],
  [/^\+OK [^]*POP/i, "a POP3 server"],
  [
    /^(?:-(?:ERR|NOAUTH|DENIED|LOADING|WRONGPASS|MISCONF|READONLY)\b|\+(?:OK|PONG)\r\n|[*$:]-?\d+\r\n)/,
    "a Redis server",
  ],
  [/^\d{3}[ -]/, "a server of SMTP or FTP"],
  [/^(?:E\0\0[^]{2}S|EFATAL)|^R\0\0\0[\b-\xff]\0\0\0/, "a PostgreSQL server"],
  // deno-lint-ignore no-control-regex
  [/^\0\0\0[^](?:\0\x03\0\0|\x04\xd2\x16)/, "a PostgreSQL client"],
  // deno-lint-ignore no-control-regex
  [/^[^]{2}\0[^](?:\n\d+\.\d|\xff[^]\x04)/, "a MySQL server"],
  // deno-lint-ignore no-control-regex
  [/^AMQP[\0-\x03]/, "an AMQP server"],
  [/^INFO \{/, "a NATS server"],
  [/^RFB \d/, "a VNC server"],
  [/^[\x81\x82\x88\x89][\0-\xff]/, "WebSocket without its handshake"],
  [/^Content-(?:Length|Type):/i, "messages with headers, such as JSON-RPC"],
  [
    /^\s*(?:\{\s*["}]|\[\s*(?:["{[]|\]\s*$|-?\d[\d.e+]*\s*(?:,|\]\s*$)))/,
    "JSON",
  ],
  [/^(?:\xff\xfe|\xfe\xff)/, "text in UTF-16"],
  [/^\s*<[!?a-z]/i, "HTML or XML"],
];

/**
 * Quotes the first bytes of a peer that does not speak this protocol, and says
 * what they look like.
 *
 * @returns such as `"SSH-2.0-OpenSSH\r\n" looks like SSH`
 */
export function describeBytes(bytes: Uint8Array): string {
  const lines = leadingLines(bytes);
  const text = textOf(lines);
  return `${quoteBytes(lines)} looks like ${
    protocolOf(bytes) ??
      (text === undefined ? "binary data" : "text, such as a line of a log")
  }`;
}

/** Bytes as a quoted text that is safe to print, cut to {@linkcode QUOTE_SIZE}. */
export function quoteBytes(bytes: Uint8Array): string {
  const first = bytes.subarray(0, QUOTE_SIZE);
  const text = textOf(first);
  const printable = text === undefined
    ? latin1(first).replace(
      /[^\x20-\x7e]/g,
      (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
    )
    : printableText(text);
  return `"${printable}"${bytes.length > QUOTE_SIZE ? "…" : ""}`;
}

/**
 * The error for bytes that are no frames: that of the decoder, which may be about
 * a number that the peer never meant to send, with what the bytes look like.
 *
 * @param error the error of the decoder
 * @param bytes the bytes from the start of the frame that it could not decode
 * @param advice what else to say about text, if anything
 */
export function notFrames(
  error: MuxError,
  bytes: Uint8Array,
  advice: string | undefined,
): MuxError {
  const isFrame = isFrameType(bytes[0]);
  const isText = bytes.length > 1 && textOf(leadingLines(bytes)) !== undefined;
  if (isFrame && !isText && protocolOf(bytes) === undefined) return error;
  const more = isText && advice !== undefined ? `; ${advice}` : "";
  return new MuxError(
    error.code,
    `${error.message}: ${describeBytes(bytes)}${more}`,
  );
}

/**
 * The lines of text that bytes begin with, or all of the bytes if there are none.
 * Frames may have arrived together with a line of a log.
 */
function leadingLines(bytes: Uint8Array): Uint8Array {
  let end = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at]! < 128 && !isTextByte(bytes[at]!)) break;
    if (bytes[at] === 10) end = at + 1;
  }
  const lines = bytes.subarray(0, end);
  return end > 1 && textOf(bytes) === undefined && textOf(lines) !== undefined
    ? lines
    : bytes;
}

/** Whether bytes are whole lines of text, and begin as a frame does. */
export function isTextFrame(bytes: Uint8Array): boolean {
  return isFrameType(bytes[0]) && bytes[bytes.length - 1] === 10 &&
    textOf(bytes) !== undefined;
}

/** Whether a byte is ASCII that texts have: printable, white space or escape. */
export function isTextByte(byte: number): boolean {
  return byte >= 32 && byte < 127 || byte >= 9 && byte <= 13 || byte === 27;
}

/** Whether a byte is one of the seven, "d" to "j" in ASCII. */
function isFrameType(byte = 0): boolean {
  return byte >= 100 && byte <= 106;
}

function protocolOf(bytes: Uint8Array): string | undefined {
  const start = latin1(bytes.subarray(0, QUOTE_SIZE));
  return OTHER_PROTOCOLS.find(([pattern]) => pattern.test(start))?.[1];
}

/** UTF-8 text without control characters, perhaps cut within a character. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true })
      .decode(bytes, { stream: true });
    // deno-lint-ignore no-control-regex
    return /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

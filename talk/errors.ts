/**
 * Why dialing or listening failed, or a listener refused a connection.
 *
 * | code | meaning |
 * | --- | --- |
 * | `bad-address` | the address does not have the form of its scheme |
 * | `unknown-scheme` | the address has a scheme that is not supported |
 * | `dial-failed` | no connection could be made; `cause` is the reason |
 * | `listen-failed` | the address cannot be listened on; `cause` is the reason |
 * | `limit-exceeded` | a listener has as many sessions as it may have |
 * | `out-of-resources` | a listener has no file left for a connection; `cause` is the reason |
 * | `timeout` | no connection was made within the `timeout` of `dial()`, or a connection was not ready within the `handshakeTimeout` of a listener |
 * | `handshake-failed` | a connection of a listener failed in the handshake of TLS; `cause` is the `TlsError` |
 * | `bad-command` | the stdin or stdout of a `Deno.Command` is not piped |
 */
export type TalkErrorCode =
  | "bad-address"
  | "unknown-scheme"
  | "dial-failed"
  | "listen-failed"
  | "limit-exceeded"
  | "out-of-resources"
  | "timeout"
  | "handshake-failed"
  | "bad-command";

/** Options of {@linkcode TalkError}. */
export interface TalkErrorInit extends ErrorOptions {
  /**
   * Whether another attempt would fail in the same way. Default: what the code
   * says, false for `dial-failed` and `listen-failed`.
   */
  permanent?: boolean | undefined;
}

/** Codes of errors that stay until the program or its configuration changes. */
const PERMANENT: readonly TalkErrorCode[] = [
  "bad-address",
  "unknown-scheme",
  "bad-command",
];

/** The error of dialing and listening; branch on `code`. */
export class TalkError extends Error {
  /** Always `"TalkError"`. */
  override readonly name = "TalkError";
  /** The kind of failure. */
  readonly code: TalkErrorCode;
  /**
   * Whether another attempt would fail in the same way, as without a permission,
   * with a certificate that is not valid, or at a server that answers 401, 403 or
   * 404. A reconnecting peer gives up at such an error.
   */
  readonly permanent: boolean;

  /**
   * Makes an error of dialing or listening.
   *
   * @param code the kind of failure
   * @param message what was attempted and, after a colon, why it failed
   * @param options the underlying `cause`, if there is one, and whether the
   * failure is permanent
   */
  constructor(
    code: TalkErrorCode,
    message: string,
    options: TalkErrorInit = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.permanent = options.permanent ?? PERMANENT.includes(code);
  }
}

/**
 * The error of a connection that is not ready in time.
 *
 * @param what what was attempted
 * @param subject what took too long
 * @param ms the limit
 */
export function tookTooLong(
  what: string,
  subject: string,
  ms: number,
): TalkError {
  return new TalkError(
    "timeout",
    `Cannot ${what}: ${subject} took longer than ${ms} ms (option "handshakeTimeout")`,
  );
}

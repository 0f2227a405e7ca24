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
 * | `timeout` | no connection was made within the `timeout` of `dial()` |
 * | `bad-command` | the command's stdin or stdout is not piped, or its stderr is |
 */
export type TalkErrorCode =
  | "bad-address"
  | "unknown-scheme"
  | "dial-failed"
  | "listen-failed"
  | "limit-exceeded"
  | "timeout"
  | "bad-command";

/** The error of dialing and listening; branch on `code`. */
export class TalkError extends Error {
  /** Always `"TalkError"`. */
  override readonly name = "TalkError";
  /** The kind of failure. */
  readonly code: TalkErrorCode;

  /**
   * Makes an error of dialing or listening.
   *
   * @param code the kind of failure
   * @param message what was attempted and, after a colon, why it failed
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: TalkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

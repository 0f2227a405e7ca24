/**
 * Why dialing or listening failed.
 *
 * | code | meaning |
 * | --- | --- |
 * | `bad-address` | the address has not the form of its scheme |
 * | `unknown-scheme` | nothing here speaks that scheme |
 * | `dial-failed` | there was no connection to be had; `cause` says why |
 * | `listen-failed` | the address cannot be listened on; `cause` says why |
 * | `timeout` | the time given to dial has passed |
 * | `bad-command` | the command's stdin and stdout are not piped |
 */
export type TalkErrorCode =
  | "bad-address"
  | "unknown-scheme"
  | "dial-failed"
  | "listen-failed"
  | "timeout"
  | "bad-command";

/** The one error class of dialing and listening. */
export class TalkError extends Error {
  /** Always `"TalkError"`. */
  override readonly name = "TalkError";
  /** What kind of failure this is, for programs. */
  readonly code: TalkErrorCode;

  /**
   * Makes an error of dialing or listening.
   *
   * @param code what kind of failure this is
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: TalkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

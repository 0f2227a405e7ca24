/**
 * Why a value could not be encoded or decoded.
 *
 * | code | meaning |
 * | --- | --- |
 * | `unsupported-type` | the codec has no form for a value of that type |
 * | `malformed` | the bytes are no value of the codec |
 * | `truncated` | the bytes end inside a value |
 * | `too-large` | the value is longer than the limit |
 * | `too-deep` | the value is nested deeper than the limit, or in itself |
 */
export type CodecErrorCode =
  | "unsupported-type"
  | "malformed"
  | "truncated"
  | "too-large"
  | "too-deep";

/** The one error class of the codec layer. */
export class CodecError extends Error {
  /** Always `"CodecError"`. */
  override readonly name = "CodecError";
  /** What kind of failure this is, for programs. */
  readonly code: CodecErrorCode;

  /**
   * Makes an error of the codec layer.
   *
   * @param code what kind of failure this is
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: CodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

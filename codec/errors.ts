/**
 * Why a value could not be encoded or decoded.
 *
 * | code | meaning |
 * | --- | --- |
 * | `unsupported-type` | the codec cannot encode a value of this type |
 * | `malformed` | the bytes are not a value of the codec |
 * | `truncated` | the bytes end within a value |
 * | `too-large` | the value exceeds a limit in bytes |
 * | `too-many-items` | the value has more items than the limit |
 * | `too-deep` | the value is nested deeper than the limit, or contains itself |
 */
export type CodecErrorCode =
  | "unsupported-type"
  | "malformed"
  | "truncated"
  | "too-large"
  | "too-many-items"
  | "too-deep";

/** The error of encoding and decoding; branch on `code`. */
export class CodecError extends Error {
  /** Always `"CodecError"`. */
  override readonly name = "CodecError";
  /** The kind of failure. */
  readonly code: CodecErrorCode;

  /**
   * Makes an error of encoding or decoding.
   *
   * @param code the kind of failure
   * @param message what was attempted and, after a colon, why it failed
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: CodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

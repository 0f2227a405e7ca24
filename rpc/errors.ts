/**
 * Why an operation of the RPC layer failed on this side.
 *
 * | code | meaning |
 * | --- | --- |
 * | `timeout` | the call's `timeout` has passed |
 * | `no-response` | the peer closed the call without a response |
 * | `malformed-header` | a header does not have the form that rpc/SPEC.md requires |
 * | `cancelled` | the caller closed the call: the reason of `call.signal` |
 * | `released` | a callback was called, retained or sent after its release |
 * | `limit-exceeded` | the peer holds as many callbacks as this side allows |
 * | `invalid-state` | the operation is not allowed now: a mistake in the program |
 */
export type RpcErrorCode =
  | "timeout"
  | "no-response"
  | "malformed-header"
  | "cancelled"
  | "released"
  | "limit-exceeded"
  | "invalid-state";

/** An error of the RPC layer on this side. */
export class RpcError extends Error {
  /** Always `"RpcError"`. */
  override readonly name = "RpcError";
  /** The kind of failure; programs should branch on it. */
  readonly code: RpcErrorCode;

  /**
   * Makes an error of the RPC layer.
   *
   * @param code the kind of failure
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: RpcErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The peer answered a call with an error. It carries the text and the code of
 * that error, but no stack: that stays at the peer.
 */
export class RemoteError extends Error {
  /** Always `"RemoteError"`. */
  override readonly name = "RemoteError";
  /** The text as the peer sent it. `message` is `remote: ` followed by it. */
  readonly text: string;
  /**
   * The code of the handler's error, if that had a string `code` of at most 64
   * characters and the peer sends codes, as peers of this package do. A call that
   * failed with `"busy"` or `"unavailable"` never reached its handler and can be
   * made again.
   */
  readonly code: string | undefined;

  /** Makes an error from the text and the code that a peer sent. */
  constructor(text: string, code?: string) {
    super(`remote: ${text}`);
    this.text = text;
    this.code = code;
  }
}

/** The most characters of an error code; a longer one is not sent. */
const MAX_ERROR_CODE = 64;

/** The code for an error response. */
export function errorCode(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" && code.length <= MAX_ERROR_CODE
    ? code
    : undefined;
}

/**
 * The most characters of an error text; a longer one is truncated. A header has
 * at most 64 KiB and contains the text twice, and a character may need six bytes.
 */
export const MAX_ERROR_TEXT = 4_096;

/** The text for an error response, for a value that was thrown or returned. */
export function errorText(error: unknown): string {
  try {
    const text = String(error instanceof Error ? error.message : error);
    return text.length > MAX_ERROR_TEXT
      ? `${text.slice(0, MAX_ERROR_TEXT - 1)}…`
      : text;
  } catch {
    // Its message or its toString() throws.
    return "error without a text";
  }
}

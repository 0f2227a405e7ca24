/**
 * Why an operation of the RPC layer failed on this side.
 *
 * | code | meaning |
 * | --- | --- |
 * | `timeout` | the time given to a call has passed |
 * | `no-response` | the other side ended the call without an answer |
 * | `malformed-header` | a header has not the form of rpc/SPEC.md |
 * | `cancelled` | the caller closed the call; the reason of `call.signal` |
 * | `released` | a callback was called, or kept, that is released |
 * | `limit-exceeded` | there is no room for another callback |
 * | `invalid-state` | the call makes no sense now: a mistake of the program |
 */
export type RpcErrorCode =
  | "timeout"
  | "no-response"
  | "malformed-header"
  | "cancelled"
  | "released"
  | "limit-exceeded"
  | "invalid-state";

/** The error class of the RPC layer for what fails on this side. */
export class RpcError extends Error {
  /** Always `"RpcError"`. */
  override readonly name = "RpcError";
  /** What kind of failure this is, for programs. */
  readonly code: RpcErrorCode;

  /**
   * Makes an error of the RPC layer.
   *
   * @param code what kind of failure this is
   * @param message what was attempted, and the state after a colon
   * @param options the underlying `cause`, if there is one
   */
  constructor(code: RpcErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The other side answered a call with an error. It carries that error's text
 * and code and nothing else: no stack of another machine.
 */
export class RemoteError extends Error {
  /** Always `"RemoteError"`. */
  override readonly name = "RemoteError";
  /** The text as the other side sent it. `message` is `remote: ` and this. */
  readonly text: string;
  /**
   * The code of the error, if the other side is ours and its error had one: any
   * `Error` with a text for a `code`. A call that failed with `"busy"` or
   * `"unavailable"` was not begun, and can be made again later or elsewhere.
   */
  readonly code: string | undefined;

  /** Makes an error with a text, and a code, from the other side. */
  constructor(text: string, code?: string) {
    super(`remote: ${text}`);
    this.text = text;
    this.code = code;
  }
}

/** Characters of an error's code that are sent; longer ones are left out. */
const MAX_ERROR_CODE = 64;

/** The code that an error response carries. */
export function errorCode(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" && code.length <= MAX_ERROR_CODE
    ? code
    : undefined;
}

/**
 * Characters of an error's text that are sent. A header has 64 KiB, carries the
 * text twice, and may need six bytes a character.
 */
export const MAX_ERROR_TEXT = 4_096;

/** The text that an error response carries for a thrown or returned value. */
export function errorText(error: unknown): string {
  try {
    const text = String(error instanceof Error ? error.message : error);
    return text.length > MAX_ERROR_TEXT
      ? `${text.slice(0, MAX_ERROR_TEXT - 1)}…`
      : text;
  } catch {
    // Its message or its toString() throws in turn.
    return "error without a text";
  }
}

/**
 * Stacks that lead to the caller.
 *
 * The error of a call is made where its cause arrives, in the read loop of the
 * session, and its stack says nothing of the program that waits. V8 adds the
 * functions that await a promise to a stack that is captured in the job that
 * settles it. The stack is therefore captured again in such a job, which costs
 * nothing unless a call fails. Other engines leave the functions out.
 *
 * @module
 */
import { CodecError } from "../codec/internal.ts";
import { MuxError } from "../mux/internal.ts";
import { RemoteError, RpcError } from "./errors.ts";

/** What settles a promise. */
export interface Outcome<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The error for a caller, with the functions that await it in its stack. An error
 * that is not one of this package, or that the program gave as the reason of
 * `signal`, is left as it is.
 */
export function atCaller(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted && error === signal.reason) return error;
  if (error instanceof MuxError) return withStack(copyOf(error));
  return error instanceof RemoteError || error instanceof RpcError ||
      error instanceof CodecError
    ? withStack(error)
    : error;
}

/** Rejects a promise with the error that {@linkcode atCaller} returns. */
export function rejectAtCaller<T>(
  { resolve, reject }: Outcome<T>,
  reason: unknown,
): void {
  // V8 follows the two functions, as it follows `then()`, to what awaits their
  // promise.
  const failed: Promise<T> = Promise.reject(reason).then(
    undefined,
    (reason) => {
      throw atCaller(reason);
    },
  );
  failed.then(resolve, reject);
}

/** Sessions and channels give one error to all that wait for them. */
function copyOf(error: MuxError): MuxError {
  const { code, message, cause } = error;
  const options = cause === undefined ? undefined : { cause };
  return Object.assign(new MuxError(code, message, options), error);
}

function withStack(error: Error): Error {
  (Error as { captureStackTrace?: (error: Error) => void })
    .captureStackTrace?.(error);
  return error;
}

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
import { copyOf, MuxError } from "../mux/internal.ts";
import { RemoteError, RpcError } from "./errors.ts";

/** What settles a promise. */
export interface Outcome<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Marks an error whose stack says where the call was made. */
const located: unique symbol = Symbol("qtalk.located");

/** Where calls were made, for errors: an option for development. */
export class CallSites {
  readonly #sites = new WeakMap<object, { readonly stack: string }>();

  /** A call is being made. */
  add(call: object): void {
    this.#sites.set(call, withStack({ stack: "" }, this.add));
  }

  /** The functions that made a call, a line for each. */
  of(call: object): string | undefined {
    const { stack } = this.#sites.get(call) ?? {};
    return stack?.slice(stack.indexOf("\n"));
  }
}

/**
 * The error for a caller, with the functions that await it in its stack. An error
 * that is not one of this package, or that the program gave as the reason of
 * `signal`, is left as it is.
 */
export function atCaller(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted && error === signal.reason) return error;
  if (!(error instanceof Error) || located in error) return error;
  if (error instanceof MuxError) return withStack(copyOf(error), atCaller);
  return error instanceof RemoteError || error instanceof RpcError ||
      error instanceof CodecError
    ? withStack(error, atCaller)
    : error;
}

/**
 * Rejects a promise with the error that {@linkcode atCaller} returns.
 *
 * @param site where the call was made, if that is known
 */
export function rejectAtCaller<T>(
  { resolve, reject }: Outcome<T>,
  reason: unknown,
  site?: string,
): void {
  // V8 follows the two functions, as it follows `then()`, to what awaits their
  // promise.
  const failed: Promise<T> = Promise.reject(reason).then(
    undefined,
    (reason) => {
      const error = atCaller(reason);
      throw site === undefined ? error : withSite(error, site);
    },
  );
  failed.then(resolve, reject);
}

function withSite(error: unknown, site: string): unknown {
  if (!(error instanceof Error)) return error;
  error.stack += `\n    from the call that was made${site}`;
  return Object.defineProperty(error, located, { value: true });
}

/** Gives `target` the stack below the function that is `above` it. */
function withStack<T extends object>(
  target: T,
  above: (...args: never[]) => unknown,
): T {
  (Error as {
    captureStackTrace?: (target: object, above: unknown) => void;
  }).captureStackTrace?.(target, above);
  return target;
}

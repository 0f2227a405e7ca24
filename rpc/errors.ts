import { isReasonOf } from "../abort_reason.ts";
import { CodecError } from "../codec/internal.ts";
import { copyOf, MuxError, originOf } from "../mux/internal.ts";
import { printableText } from "../printable_text.ts";
import { loadedInTime, NOT_LOADED } from "../time_limit.ts";
import { type Metadata, NO_META } from "./wire/metadata.ts";
import { isValueStream } from "./wire/value_source.ts";

/**
 * Why an operation of the RPC layer failed on this side.
 *
 * | code | meaning |
 * | --- | --- |
 * | `timeout` | the call's `timeout` has passed |
 * | `deadline-exceeded` | the deadline of the call that this was done for has passed |
 * | `no-response` | the peer closed the call without a response |
 * | `codec-mismatch` | the two ends use different codecs |
 * | `malformed-header` | a header does not have the form that rpc/SPEC.md requires |
 * | `incomplete` | a response ended without the mark that it is complete |
 * | `cancelled` | the caller closed the call: the reason of `call.signal` |
 * | `released` | a callback was called, retained or sent after its release |
 * | `limit-exceeded` | the peer holds as many callbacks, or as many calls wait, as this side allows |
 * | `load-failed` | a part of this package that is loaded on first use could not be loaded, or not within ten seconds |
 * | `invalid-state` | the operation is not allowed now: a mistake in the program |
 */
export type RpcErrorCode =
  | "timeout"
  | "deadline-exceeded"
  | "no-response"
  | "codec-mismatch"
  | "malformed-header"
  | "incomplete"
  | "cancelled"
  | "released"
  | "limit-exceeded"
  | "load-failed"
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
 * The error of what needs a part that cannot be loaded; its cause says which.
 *
 * @param what what was attempted
 */
export function loadFailed(what: string, cause: unknown): RpcError {
  return new RpcError("load-failed", `Cannot ${what}: ${NOT_LOADED}`, {
    cause,
  });
}

/**
 * Waits for a part of this package that is loaded on first use, as
 * {@linkcode loadedInTime} does.
 *
 * @param what what needs it, for the error
 * @param loading the `import()` of the part
 * @throws {RpcError} `load-failed`
 */
export async function loadPart<T>(
  what: string,
  loading: Promise<T>,
): Promise<T> {
  try {
    return await loadedInTime(loading);
  } catch (cause) {
    throw loadFailed(what, cause);
  }
}

/** The optional parts of a {@linkcode CallError}. */
export interface CallErrorInit extends ErrorOptions {
  /** A code that programs can branch on, of at most 64 characters. Default: none. */
  code?: string | undefined;
  /**
   * More about the error: any value that the codec of the call can encode. If it
   * cannot, or if the error then takes more than 64 KiB, the details are not sent,
   * which is reported to `onError`. Default: none.
   */
  details?: unknown;
  /**
   * Metadata for the caller, in addition to `call.responseMeta`. If it cannot be
   * sent, all metadata is left out, which is reported to `onError`. Default: none.
   */
  meta?: Metadata | undefined;
}

/**
 * An error for the caller. If a handler throws one (or an error of a subclass), the
 * call is answered with it, as when a handler returns an `Error`. Any other error
 * that a handler throws is treated as a bug: it is sent in the same way, but is
 * also reported to `onError`.
 *
 * A caller of this package gets a {@linkcode RemoteError} with the message, code
 * and details, the name of the class, and the texts of the causes; other callers
 * get the message. Stacks are never sent.
 *
 * The code is up to the program. This package itself answers with:
 *
 * | code | meaning |
 * | --- | --- |
 * | `not-found` | there is no handler for the selector |
 * | `bad-arguments` | the function does not take these arguments |
 * | `invalid-argument` | the arguments do not match the contract; `details` are the issues |
 * | `invalid-result` | the handler's result does not match the contract: a bug |
 * | `busy` | too many calls run or wait; the call can be made again |
 * | `unavailable` | the peer is closing; the call can be made again |
 * | `deadline-exceeded` | the call's deadline had passed before it could begin, or passed before it was answered |
 * | `codec-mismatch` | the call is in a codec that the peer does not accept |
 * | `released` | the callback was released |
 * | `cancelled` | the call that the stream belongs to was given up |
 * | `too-large` | there is more metadata than `maxMetaSize` |
 * | `permission-denied` | `authorize` of `withReflection()` refused the question |
 * | `too-slow` | a stream of `fanOut()` was read too slowly |
 *
 * and, for arguments that cannot be decoded, with the codes of `CodecError`. A
 * forwarding peer whose own call fails answers with the code of that failure.
 *
 * @example
 * ```ts
 * import { CallError, handlerFrom, memoryPair, RemoteError } from "@qtalk/qtalk";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const service = {
 *   order(item: string, count: number) {
 *     throw new CallError(`There are not ${count} of ${item}`, {
 *       code: "out-of-stock",
 *       details: { left: 2 },
 *     });
 *   },
 * };
 * const [client] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 *
 * const error = await assertRejects(
 *   () => client.call("order", ["tea", 3]),
 *   RemoteError,
 * );
 * assertEquals(error.text, "There are not 3 of tea");
 * assertEquals(error.code, "out-of-stock");
 * assertEquals(error.details, { left: 2 });
 * ```
 */
export class CallError extends Error {
  /** `"CallError"`, or the name of the subclass. */
  override readonly name: string;
  /** The code for programs, if there is one. */
  readonly code: string | undefined;
  /** More about the error. */
  readonly details: unknown;
  /** Metadata for the caller; undefined if there is none. */
  readonly meta: Metadata | undefined;

  /**
   * Makes an error for the caller.
   *
   * @param message the text for the caller
   * @param options its code, details, metadata and cause
   */
  constructor(message: string, options: CallErrorInit = {}) {
    super(message, options);
    this.name = new.target === CallError ? "CallError" : new.target.name;
    this.code = options.code;
    this.details = options.details;
    this.meta = options.meta;
  }
}

/** The key of errors of calls that were not sent. */
const unsent: unique symbol = Symbol("qtalk.unsent");

/** Marks the error of a call that was not sent. */
export function markUnsent(error: unknown): void {
  if (!(error instanceof Error) || unsent in error) return;
  // A program may abort a call with an error that it has frozen.
  if (!Object.isExtensible(error)) return;
  Object.defineProperty(error, unsent, { value: true });
}

/**
 * Whether the error of a call says that it was not begun, so that it is safe to make
 * it again: the peer answered with `busy` or `unavailable`, or there was no channel
 * to send it on.
 *
 * @param error what a call has rejected with
 */
export function isNotBegun(error: unknown): boolean {
  if (error instanceof RemoteError) {
    return error.code === "busy" || error.code === "unavailable";
  }
  if (!(error instanceof Error)) return false;
  for (let next: object | undefined = error; next; next = originOf(next)) {
    if (unsent in next) return true;
  }
  return false;
}

/** The optional parts of a {@linkcode RemoteError}. */
export interface RemoteErrorInit {
  /** The selector of the call that failed. */
  selector?: string | undefined;
  /** The name of the error at the peer. */
  remoteName?: string | undefined;
  /** The details of the error. */
  details?: unknown;
  /** The texts of its causes, from the outermost to the innermost. */
  causes?: readonly string[] | undefined;
  /** The metadata that came with it. */
  meta?: Metadata | undefined;
}

/**
 * The peer answered a call with an error. It carries what the peer says about that
 * error, but not its stack, which is never sent.
 */
export class RemoteError extends Error {
  /** Always `"RemoteError"`. */
  override readonly name = "RemoteError";
  /**
   * The text as the peer sent it, but with {@linkcode selector} in place of the ID of
   * a callback. `message` is `remote: ` followed by it. An error that peers of this
   * package have passed on has this prefix once.
   */
  readonly text: string;
  /**
   * The code of the handler's error, if that had a string `code` of at most 64
   * characters and the peer sends codes, as peers of this package do. A call that
   * failed with `"busy"` or `"unavailable"` never reached its handler and can be
   * made again.
   */
  readonly code: string | undefined;
  /**
   * The selector of the call that failed, as this side wrote it. For a stream among
   * arguments or in a result it is that of the call that the stream came with, and
   * for a callback it is `callback of ` followed by that.
   */
  readonly selector: string | undefined;
  /** The name of the handler's error, such as `TypeError`, if the peer sends it. */
  readonly remoteName: string | undefined;
  /** The details of the handler's {@linkcode CallError}, if it had any. */
  readonly details: unknown;
  /**
   * The metadata of the response, including that of the {@linkcode CallError}. A
   * handler that passes the error on does not pass this on.
   */
  readonly meta: Metadata;

  /**
   * Makes an error from the text and the code that a peer sent. The texts of the
   * causes become a chain of errors without stacks of the peer: see `cause`.
   */
  constructor(text: string, code?: string, options: RemoteErrorInit = {}) {
    const { remoteName, causes: [cause, ...causes] = [] } = options;
    // Peers of this package pass on errors with the prefix, as the reference does.
    const isPassedOn = remoteName !== undefined && text.startsWith(PREFIX);
    super(
      isPassedOn ? text : PREFIX + text,
      cause === undefined ? undefined : {
        cause: new RemoteError(cause, undefined, { remoteName, causes }),
      },
    );
    this.text = text;
    this.code = code;
    this.selector = options.selector;
    this.remoteName = remoteName;
    this.details = options.details;
    this.meta = options.meta ?? NO_META;
  }
}

/** The prefix of the message of a remote error, as in the reference. */
const PREFIX = "remote: ";

/** Characters of the ID of a function, as in the reference. */
const ID_LENGTH = 20;

/** The most causes whose texts are sent. */
export const MAX_CAUSES = 8;
/** What an error response says. All but the text is for extended callers. */
export interface ErrorFields {
  /** The text. */
  readonly error: string;
  /** The code for programs. */
  readonly code: string | undefined;
  /** The name of the error; undefined for `Error`. */
  readonly name: string | undefined;
  /** Details for the caller. */
  readonly details: unknown;
  /** The texts of the causes. */
  readonly causes: readonly string[] | undefined;
  /** Metadata for the caller. */
  readonly meta: Metadata | undefined;
}

/** The error of a response that ended without the mark that it is complete. */
export function incomplete(): RpcError {
  return new RpcError(
    "incomplete",
    "Cannot receive response: it ended before it was complete",
  );
}

/** How the errors of calls begin whose calls had no channel. */
const NO_CALL = "Cannot make call: ";

/**
 * An error of this side that ended a call, with the selector in its message. Other
 * errors are those of programs and stay what they are.
 */
export function namedAfterCall(error: unknown, selector: string): unknown {
  if (!isOurs(error)) return error;
  const name = `"${printableText(selector)}"`;
  if (error.message.includes(name)) return error;
  const { message } = error;
  return copyOf(
    error,
    message.startsWith(NO_CALL)
      ? `Cannot make call ${name}: ${message.slice(NO_CALL.length)}`
      : `${message}, in call ${name}`,
  );
}

/** The most characters of a name in the text of a remote error. */
const MAX_NAME = 256;

/**
 * What a peer says about the call of a function or stream, of which this side knows
 * where it came from. The owner and the peers on the way may know its ID only: it
 * was released, or passes through them without being decoded.
 *
 * @param id the ID that was called
 * @param name what errors call it
 */
export function namedInText(text: string, id: string, name: string): string {
  // Those of other implementations may be words of the text.
  if (id.length !== ID_LENGTH || !text.includes(id)) return text;
  const known = truncated(printableText(name), MAX_NAME);
  return text
    .replaceAll(`callback "${id}"`, () => `"${known}"`)
    .replaceAll(`/${id}`, () => known)
    .replaceAll(id, () => known);
}

/** Whether an error is one of this package's own, whose text it may change. */
export function isOurs(
  error: unknown,
): error is CodecError | MuxError | RpcError {
  return error instanceof CodecError || error instanceof MuxError ||
    error instanceof RpcError;
}

/** Cuts a text to so many characters, and leaves no half of one. */
export function truncated(text: string, max: number): string {
  const cut = text.length > max ? text.slice(0, max - 1) : text;
  // Of the characters that UTF-16 writes as two, the first half may be left.
  return cut.length < text.length
    ? cut.replace(/[\ud800-\udbff]$/, "") + "\u2026"
    : cut;
}

// Stacks that lead to the caller.
//
// The error of a call is made where its cause arrives, in the read loop of the
// session, and its stack says nothing of the program that waits. V8 adds the
// functions that await a promise to a stack that is captured in the job that
// settles it. The stack is therefore captured again in such a job, which costs
// nothing unless a call fails. Other engines leave the functions out.

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
  if (isReasonOf(error, signal)) return error;
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

/**
 * Whether a call that failed can be made again with the same arguments, because it
 * was not begun and they have not been used.
 *
 * @param error what the call rejected with
 * @param args its argument value
 */
export function isRepeatable(error: unknown, args: unknown): boolean {
  return isNotBegun(error) && !isUsedUp(error, args);
}

/**
 * Whether the arguments of a call that failed cannot be sent again: a stream can be
 * read once. One that is the whole argument is read when the call is sent. One that
 * is a part of it ends with the call, whether it was read or not.
 */
export function isUsedUp(error: unknown, args: unknown): boolean {
  if (!isValueStream(args)) return hasStream(args);
  return error instanceof RemoteError || !isNotBegun(error);
}

function hasStream(value: unknown): boolean {
  const seen = new Set<unknown>([value]);
  // A set iterates over what is added meanwhile, too.
  for (const one of seen) {
    if (typeof one !== "object" || one === null) continue;
    if (isValueStream(one)) return true;
    if (ArrayBuffer.isView(one)) continue;
    const isCollection = one instanceof Map || one instanceof Set;
    for (const part of isCollection ? [...one].flat() : Object.values(one)) {
      seen.add(part);
    }
  }
  return false;
}

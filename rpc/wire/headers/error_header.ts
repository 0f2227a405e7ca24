/**
 * What an error response says, and what it is sent in: for responders, and for
 * callers whose streamed arguments fail.
 *
 * @module
 */
import {
  type Codec,
  CodecError,
  PREFIX_SIZE,
  ValueWriter,
} from "../../../codec/internal.ts";
import {
  CallError,
  type ErrorFields,
  MAX_CAUSES,
  RemoteError,
  truncated,
} from "../../errors.ts";
import { MAX_CALL_HEADER_SIZE } from "./header.ts";
import {
  addEnd,
  EMPTY_FRAME,
  NO_IDS,
  type ResponseExtension,
  type ResponseHeader,
  responseHeaderValue,
} from "./response_header.ts";
import { checkMeta, mergedMeta, type Metadata } from "../metadata.ts";

/** The most characters of an error's code and name; longer ones are not sent. */
const MAX_ERROR_CODE = 64;

/** The most characters of such a text: they fit beside the longest error text. */
const MAX_CAUSE_TEXT = 256;

/** What an error response says of a value that was thrown or returned. */
export function errorFields(thrown: unknown): ErrorFields {
  const error = legible(thrown);
  return {
    error: errorText(error),
    code: errorCode(error),
    name: attempt(() => sentName(error)),
    details: error instanceof CallError || error instanceof RemoteError
      ? error.details
      : undefined,
    causes: attempt(() => causesOf(error)),
    meta: error instanceof CallError ? error.meta : undefined,
  };
}

/** The code for an error response. */
export function errorCode(error: unknown): string | undefined {
  const code = attempt(() => ((error ?? {}) as { code?: unknown }).code);
  return isShort(code) ? code : undefined;
}

/**
 * What was thrown, or an error with its text if its class or its causes cannot be
 * looked at: those of a revoked proxy, for example, throw.
 */
export function legible(thrown: unknown): unknown {
  try {
    let next = thrown;
    for (let depth = 0; depth <= MAX_CAUSES; depth++) {
      if (!(next instanceof Error)) break;
      next = next.cause;
    }
    return thrown;
  } catch (cause) {
    return new Error(errorText(thrown), { cause });
  }
}

/** The error to answer with for a value that was thrown and may be no error. */
export function toError(thrown: unknown): Error {
  const value = legible(thrown);
  if (value instanceof Error) return value;
  const { error, code, name } = errorFields(value);
  const cause = attempt(() => causeOf(value));
  return Object.assign(
    new Error(error, cause === undefined ? undefined : { cause }),
    { code },
    name !== undefined && { name },
  );
}

/**
 * The text for callers that are not extended. An `Error` with neither text nor name
 * has no text there, as in the reference.
 */
export function plainErrorText(error: unknown): string {
  const isEmpty = attempt(() =>
    error instanceof Error && error.message === "" &&
    errorName(error) === "Error" && !Array.isArray((error as ErrorLike).errors)
  );
  return isEmpty ? "" : errorText(error);
}

/**
 * Adds the header of an error response. Details and metadata that cannot be sent
 * are left out: without them, every error fits into a header.
 *
 * @param extension what to tell an extended caller; undefined for other callers
 * @param maxMetaSize the limit for metadata
 * @returns why something is left out; undefined if nothing is
 */
export function addErrorHeader(
  message: ValueWriter,
  codec: Codec,
  reason: unknown,
  continued: boolean,
  extension: ResponseExtension | undefined,
  maxMetaSize: number,
): unknown {
  if (extension === undefined) {
    const header = { error: plainErrorText(reason), continued };
    message.add(codec, responseHeaderValue(header));
    return undefined;
  }
  const { error, meta: own, ...about } = errorFields(reason);
  const header = { error, about, continued };
  const all = mergedMeta(extension.meta, own);
  if (about.details === undefined && all === undefined) {
    message.add(codec, responseHeaderValue(header, extension));
    return undefined;
  }
  let meta: Metadata | undefined;
  let failure: unknown;
  try {
    meta = checkMeta(all, codec, maxMetaSize, `error "${error}"`);
  } catch (refusal) {
    failure = refusal;
  }
  const withMeta = { ...extension, meta };
  const lost = addDetails(message, codec, header, withMeta, reason);
  return lost ?? failure;
}

/** Adds the header of an error with details or metadata, as far as they fit. */
function addDetails(
  message: ValueWriter,
  codec: Codec,
  header: ResponseHeader,
  extension: ResponseExtension,
  reason: unknown,
): CodecError | undefined {
  const { error, about } = header;
  let failure: { reason: unknown } | undefined;
  try {
    const alone = new ValueWriter();
    alone.begin();
    alone.add(codec, responseHeaderValue(header, extension));
    const encoded = alone.message();
    if (encoded.length <= PREFIX_SIZE + MAX_CALL_HEADER_SIZE) {
      message.addRaw(encoded);
      return undefined;
    }
  } catch (reason) {
    failure = { reason };
  }
  const plain = { ...header, about: { ...about!, details: undefined } };
  message.add(
    codec,
    responseHeaderValue(plain, { ...extension, meta: undefined }),
  );
  const why = failure === undefined
    ? `with them, it takes more than ${MAX_CALL_HEADER_SIZE} bytes`
    : errorText(failure.reason);
  return new CodecError(
    failure === undefined ? "too-large" : "unsupported-type",
    `Cannot send the details of error "${error}": ${why}`,
    { cause: failure === undefined ? reason : failure.reason },
  );
}

/**
 * Adds the trailer of a stream of values: an empty frame and a response header.
 *
 * @param failure the error that ended the stream; undefined if it is complete
 * @param maxMetaSize the limit for metadata
 * @param meta metadata that was not sent yet
 * @returns why something is not sent: see {@linkcode addErrorHeader}
 */
export function addTrailer(
  message: ValueWriter,
  codec: Codec,
  failure: { reason: unknown } | undefined,
  maxMetaSize: number,
  meta?: Metadata,
): unknown {
  if (failure !== undefined) {
    const extension: ResponseExtension = { keptIds: NO_IDS, meta };
    message.addRaw(EMPTY_FRAME);
    return addErrorHeader(
      message,
      codec,
      failure.reason,
      false,
      extension,
      maxMetaSize,
    );
  }
  let checked: Metadata | undefined;
  let lost: unknown;
  try {
    checked = checkMeta(meta, codec, maxMetaSize, "stream");
  } catch (refusal) {
    lost = refusal;
  }
  addEnd(message, codec, checked);
  return lost;
}

/**
 * Adds what says, within a stream of values, in which form the next ones are: an
 * empty frame and a response header, as a trailer is.
 *
 * @param bytes whether they are bytes as they are
 */
export function addForm(
  message: ValueWriter,
  codec: Codec,
  bytes: boolean,
): void {
  const header: ResponseHeader = { error: undefined, continued: true };
  message.addRaw(EMPTY_FRAME);
  message.add(codec, responseHeaderValue(header, { keptIds: NO_IDS, bytes }));
}

function isShort(text: unknown): text is string {
  return typeof text === "string" && text.length <= MAX_ERROR_CODE;
}

/** The name for an error response; the most frequent one is not sent. */
function sentName(error: unknown): string | undefined {
  if (error instanceof RemoteError) return error.remoteName;
  const name = typeof error === "object" && error !== null
    ? errorName(error)
    : undefined;
  return name !== "Error" && isShort(name) ? name : undefined;
}

function causesOf(error: unknown): readonly string[] | undefined {
  const texts: string[] = [];
  const seen = new Set<unknown>([error]);
  let cause = causeOf(error);
  while (
    cause !== undefined && cause !== null && !seen.has(cause) &&
    texts.length < MAX_CAUSES
  ) {
    seen.add(cause);
    texts.push(truncated(errorText(cause), MAX_CAUSE_TEXT));
    cause = causeOf(cause);
  }
  return texts.length === 0 ? undefined : texts;
}

function causeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null
    ? (error as { cause?: unknown }).cause
    : undefined;
}

// The text of an error.

/**
 * The most characters of an error text; a longer one is truncated. A header has
 * at most 64 KiB and contains the text twice, and a character may need six bytes.
 */
export const MAX_ERROR_TEXT = 4_096;

/** The most errors of an `AggregateError` whose texts are sent. */
const MAX_INNER_ERRORS = 16;
/** How deep errors in errors are searched for texts. */
const MAX_DEPTH = 3;

/** The text for an error response, for a value that was thrown or returned. */
export function errorText(error: unknown): string {
  return truncated(attempt(() => textOf(error, 0)) ?? "", MAX_ERROR_TEXT) ||
    "error without a text";
}

/** The result of `get`; undefined if it throws, as getters of programs may. */
export function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

/** What errors of several classes have. */
interface ErrorLike {
  readonly message?: unknown;
  readonly errors?: unknown;
  readonly error?: unknown;
  readonly suppressed?: unknown;
  readonly code?: unknown;
}

/** The message, or else the name, and the texts of the errors inside. */
function textOf(error: unknown, depth: number): string {
  if (typeof error === "function") return nameOf(error);
  if (typeof error !== "object" || error === null) return String(error);
  const { message } = error as ErrorLike;
  const text =
    ["string", "number", "bigint", "boolean"].includes(typeof message)
      ? String(message)
      : "";
  const own = text.trim() === "" ? textWithoutMessage(error) : text;
  const inner = depth < MAX_DEPTH ? innerErrors(error) : [];
  const texts = inner.slice(0, MAX_INNER_ERRORS).map((one) =>
    textOf(one, depth + 1)
  );
  if (inner.length > texts.length) texts.push("\u2026");
  return texts.length === 0 ? own : `${own}: ${texts.join("; ")}`;
}

function textWithoutMessage(error: object): string {
  const name = errorName(error);
  if (error instanceof Error || name !== undefined) return name ?? "Error";
  const text = attempt(() => String(error)) ?? "";
  if (text !== "" && !text.startsWith("[object ")) return text;
  const { code } = error as ErrorLike;
  if (typeof code === "string" && code !== "") return code;
  const className = classNameOf(error);
  return className === "Object" ? "" : className;
}

/** The errors in an `AggregateError`, and in a `SuppressedError`. */
function innerErrors(error: object): readonly unknown[] {
  if (!(error instanceof Error)) return [];
  const { errors, error: inner, suppressed } = error as ErrorLike;
  if (Array.isArray(errors)) return errors;
  return error.name === "SuppressedError" ? [inner, suppressed] : [];
}

/** Names that classes inherit which have not set their own. */
const INHERITED_NAME =
  /^(?:Aggregate|Eval|Range|Reference|Syntax|Type|URI)?Error$/;

/** The name of an error: that of its class, unless it has a name of its own. */
function errorName(error: object): string | undefined {
  const { name } = error as { name?: unknown };
  if (typeof name !== "string" || name.trim() === "") return undefined;
  const className = classNameOf(error);
  return error instanceof Error && INHERITED_NAME.test(name) &&
      !Object.hasOwn(error, "name") && className !== ""
    ? className
    : name;
}

function classNameOf(value: object): string {
  const { constructor: made } = value;
  return typeof made === "function" ? nameOf(made) : "";
}

function nameOf(fn: object): string {
  const { name } = fn as { name?: unknown };
  return typeof name === "string" ? name : "";
}

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
} from "../../codec/internal.ts";
import {
  attempt,
  CallError,
  type ErrorFields,
  type ErrorLike,
  errorName,
  errorText,
  MAX_CAUSES,
  RemoteError,
  truncated,
} from "../errors.ts";
import {
  addEnd,
  EMPTY_FRAME,
  MAX_CALL_HEADER_SIZE,
  NO_IDS,
  type ResponseExtension,
  type ResponseHeader,
  responseHeaderValue,
} from "./headers.ts";
import { checkMeta, mergedMeta, type Metadata } from "./metadata.ts";

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

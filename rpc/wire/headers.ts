/**
 * The two headers of a call (rpc/SPEC.md, "Headers"), in both dialects: the keys
 * of qtalk-go and qtalk-js, and the short keys of their successor. All known
 * peers ignore keys that they do not know.
 *
 * @module
 */
import type { Codec, ValueWriter } from "../../codec/internal.ts";
import { errorCode, errorText, RpcError } from "../errors.ts";

/**
 * The largest size of a header, in bytes: room for a long selector, a long error
 * text and metadata. A channel without a valid header must not cost as much
 * memory as a value may.
 */
export const MAX_CALL_HEADER_SIZE = 64 * 1024;

/** The version of the extension field `Q`. */
const VERSION = 1;

/** What the caller sends first. */
export interface CallHeader {
  /** What to call, as the caller wrote it. */
  selector: string;
  /** Whether the header has the field `Q`: the caller is extended. */
  extended: boolean;
}

/** What the responder sends first. */
export interface ResponseHeader {
  /** The text of an error, which may be empty; undefined if there is no error. */
  error: string | undefined;
  /** The error's code for programs. It travels in the field `Q`. */
  code?: string | undefined;
  /** Whether the channel stays open after the values. */
  continued: boolean;
}

/** A response header that was received. */
export interface ReceivedHeader extends ResponseHeader {
  /**
   * Whether the header says `null` for "no error", as Go peers and extended
   * peers do. JavaScript peers omit the field, or send `undefined` if their
   * codec can.
   */
  saysNull: boolean;
  /** Whether the header has the field `Q`: the responder is extended. */
  extended: boolean;
  /** IDs of callbacks among the arguments that the responder keeps. */
  keptIds: readonly string[];
  /** Whether a stream of values follows that ends in a trailer. */
  trailer: boolean;
}

/** What the field `Q` of a response header says, besides the version. */
export interface ResponseExtension {
  /** IDs of callbacks among the arguments that the responder keeps. */
  keptIds: readonly string[];
  /** Whether a stream of values follows that ends in a trailer. Default: no. */
  trailer?: boolean;
}

/** The value to encode as a call header. */
export function callHeaderValue(selector: string): unknown {
  return { Selector: selector, S: selector, Q: { v: VERSION } };
}

/**
 * Decodes a call header. Any map is valid: without a selector it calls the empty
 * one.
 *
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are not a value
 */
export function decodeCallHeader(codec: Codec, bytes: Uint8Array): CallHeader {
  const header = asHeader(codec.decode(bytes), "call");
  const selector = header["Selector"] ?? header["S"] ?? "";
  if (typeof selector !== "string") throw malformed("call", "Selector");
  return { selector, extended: extensionOf(header) !== undefined };
}

/**
 * The value to encode as a response header.
 *
 * @param extension what to tell an extended caller; undefined for other callers
 */
export function responseHeaderValue(
  { error, code, continued }: ResponseHeader,
  extension?: ResponseExtension,
): unknown {
  const text = error ?? null;
  const header = { Error: text, Continue: continued, E: text, C: continued };
  if (extension === undefined) return header;
  const { keptIds, trailer } = extension;
  const keep = keptIds.length === 0 ? undefined : keptIds;
  return { ...header, Q: { v: VERSION, code, keep, trailer } };
}

/** A length of 0, which no value of any codec has. */
const EMPTY_FRAME = new Uint8Array(4);

/**
 * Adds the trailer of a stream of values: an empty frame and a response header.
 *
 * @param failure the error that ended the stream; undefined if it is complete
 */
export function addTrailer(
  message: ValueWriter,
  codec: Codec,
  failure: { reason: unknown } | undefined,
): void {
  const header: ResponseHeader = { error: undefined, continued: false };
  if (failure !== undefined) {
    header.error = errorText(failure.reason);
    header.code = errorCode(failure.reason);
  }
  message.addRaw(EMPTY_FRAME);
  message.add(codec, responseHeaderValue(header, { keptIds: NO_IDS }));
}

/**
 * Decodes a response header. A field that is null, undefined or absent means the
 * same.
 *
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are not a value
 */
export function decodeResponseHeader(
  codec: Codec,
  bytes: Uint8Array,
): ReceivedHeader {
  const header = asHeader(codec.decode(bytes), "response");
  const error = header["Error"] ?? header["E"] ?? undefined;
  const continued = header["Continue"] ?? header["C"] ?? false;
  if (error !== undefined && typeof error !== "string") {
    throw malformed("response", "Error");
  }
  if (typeof continued !== "boolean") throw malformed("response", "Continue");
  const saysNull = header["Error"] === null || header["E"] === null;
  const extension = extensionOf(header);
  const code = extension?.["code"];
  return {
    error,
    code: typeof code === "string" ? code : undefined,
    continued,
    saysNull,
    extended: extension !== undefined,
    keptIds: extension === undefined ? NO_IDS : strings(extension["keep"]),
    trailer: extension?.["trailer"] === true,
  };
}

const NO_IDS: readonly string[] = [];

/** The field `Q`, if there is one. Its members are not validated here. */
function extensionOf(
  header: Record<string, unknown>,
): Record<string, unknown> | undefined {
  const extension = header["Q"];
  if (typeof extension !== "object" || extension === null) return undefined;
  const { v } = extension as { v?: unknown };
  return typeof v === "number" && v >= VERSION
    ? extension as Record<string, unknown>
    : undefined;
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value)
    ? value.filter((member) => typeof member === "string")
    : NO_IDS;
}

function asHeader(value: unknown, which: string): Record<string, unknown> {
  // Codecs also return objects of other classes, such as bytes and dates.
  if (Object.prototype.toString.call(value) !== "[object Object]") {
    throw new RpcError(
      "malformed-header",
      `Cannot read ${which} header: it is not a map`,
    );
  }
  return value as Record<string, unknown>;
}

function malformed(which: string, field: string): RpcError {
  return new RpcError(
    "malformed-header",
    `Cannot read ${which} header: "${field}" has the wrong type`,
  );
}

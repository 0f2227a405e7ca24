/**
 * The two headers of a call (rpc/SPEC.md, "Headers"), in both dialects: the
 * keys of qtalk-go and qtalk-js, and the short ones of their successor. All
 * known peers ignore the keys that they do not know.
 *
 * @module
 */
import type { Codec } from "../codec/codec.ts";
import { RpcError } from "./errors.ts";

/**
 * Bytes that a header may have: a long selector, a long error text, and room
 * for metadata. What has no header yet must not cost what a value may.
 */
export const MAX_HEADER_SIZE = 64 * 1024;

/** The version of the field `Q`, in which our ends talk beyond the reference. */
const VERSION = 1;

/** What the caller sends first. */
export interface CallHeader {
  /** What to call, as the caller wrote it. */
  selector: string;
}

/** What the responder sends first. */
export interface ResponseHeader {
  /** The text of an error, which may be empty; undefined if there is none. */
  error: string | undefined;
  /** The kind of the error, for programs; travels in our field `Q`. */
  code?: string | undefined;
  /** Whether the channel stays open after the values. */
  continued: boolean;
}

/** A response header that came from the other side. */
export interface ReceivedHeader extends ResponseHeader {
  /**
   * Whether it says `null` for no error, as Go peers and ours do. JavaScript
   * peers leave it out, or say `undefined` where their codec can.
   */
  saysNull: boolean;
}

/** The value to encode as a call header. */
export function callHeaderValue(selector: string): unknown {
  return { Selector: selector, S: selector };
}

/**
 * Decodes a call header. Any map is one: a missing selector is the empty one.
 *
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are no value
 */
export function decodeCallHeader(codec: Codec, bytes: Uint8Array): CallHeader {
  const header = asHeader(codec.decode(bytes), "call");
  const selector = header["Selector"] ?? header["S"] ?? "";
  if (typeof selector !== "string") throw malformed("call", "Selector");
  return { selector };
}

/** The value to encode as a response header. */
export function responseHeaderValue(
  { error, code, continued }: ResponseHeader,
): unknown {
  const text = error ?? null;
  const header = { Error: text, Continue: continued, E: text, C: continued };
  return code === undefined ? header : { ...header, Q: { v: VERSION, code } };
}

/**
 * Decodes a response header; null, undefined and absent are alike.
 *
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are no value
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
  return { error, code: codeOf(header["Q"]), continued, saysNull };
}

/** The code in our field `Q`, if there is one; all else in it is ignored. */
function codeOf(note: unknown): string | undefined {
  if (typeof note !== "object" || note === null) return undefined;
  const { code } = note as { code?: unknown };
  return typeof code === "string" ? code : undefined;
}

function asHeader(value: unknown, which: string): Record<string, unknown> {
  // Codecs give objects of other classes too: bytes, dates.
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

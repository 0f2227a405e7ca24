/**
 * The two headers of a call (rpc/SPEC.md, "Headers"), in both dialects: the
 * keys of qtalk-go and qtalk-js, and the short ones of their successor. All
 * known peers ignore the keys that they do not know.
 *
 * @module
 */
import type { Codec, ValueWriter } from "../../codec/internal.ts";
import { errorCode, errorText, RpcError } from "../errors.ts";

/**
 * Bytes that a header may have: a long selector, a long error text, and room
 * for metadata. What has no header yet must not cost what a value may.
 */
export const MAX_CALL_HEADER_SIZE = 64 * 1024;

/** The version of the field `Q`, in which our ends talk beyond the reference. */
const VERSION = 1;

/** The key of the object that stands for a function. */
export const POINTER_KEY = "$fnptr";
/** The selector by which a callback is given back: its id stands behind it. */
export const RELEASE_SELECTOR = "/_qtalk/release/";

/** What the caller sends first. */
export interface CallHeader {
  /** What to call, as the caller wrote it. */
  selector: string;
  /** Whether it has our field `Q`: the caller understands what ours do. */
  extended: boolean;
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
  /** Whether it has our field `Q`. */
  extended: boolean;
  /** Callbacks among the arguments that the responder goes on to hold. */
  kept: readonly string[];
}

/** What a response says in our field `Q`; only to a caller that announced itself. */
export interface ResponseNote {
  /** Callbacks among the arguments that the responder goes on to hold. */
  kept: readonly string[];
}

/** The value to encode as a call header. */
export function callHeaderValue(selector: string): unknown {
  return { Selector: selector, S: selector, Q: { v: VERSION } };
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
  return { selector, extended: noteOf(header) !== undefined };
}

/** The value to encode as a response header. */
export function responseHeaderValue(
  { error, code, continued }: ResponseHeader,
  note?: ResponseNote,
): unknown {
  const text = error ?? null;
  const header = { Error: text, Continue: continued, E: text, C: continued };
  if (note === undefined && code === undefined) return header;
  const keep = note === undefined || note.kept.length === 0
    ? undefined
    : note.kept;
  return { ...header, Q: { v: VERSION, code, keep } };
}

/** A length of 0: no value of any codec is as short. */
const EMPTY_FRAME = new Uint8Array(4);

/** Adds what ends a stream of values by an error: an empty frame, a header. */
export function addError(
  message: ValueWriter,
  codec: Codec,
  reason: unknown,
): void {
  const header = {
    error: errorText(reason),
    code: errorCode(reason),
    continued: false,
  };
  message.addRaw(EMPTY_FRAME);
  message.add(codec, responseHeaderValue(header, { kept: NONE }));
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
  const note = noteOf(header);
  const code = note?.["code"];
  return {
    error,
    code: typeof code === "string" ? code : undefined,
    continued,
    saysNull,
    extended: note !== undefined,
    kept: note === undefined ? NONE : strings(note["keep"]),
  };
}

const NONE: readonly string[] = [];

/** Our field `Q`, if there is one; what is wrong with it is not looked into. */
function noteOf(
  header: Record<string, unknown>,
): Record<string, unknown> | undefined {
  const note = header["Q"];
  if (typeof note !== "object" || note === null) return undefined;
  const { v } = note as { v?: unknown };
  return typeof v === "number" && v >= VERSION
    ? note as Record<string, unknown>
    : undefined;
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value)
    ? value.filter((member) => typeof member === "string")
    : NONE;
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

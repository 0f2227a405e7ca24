import type { Codec, ValueWriter } from "../../../codec/internal.ts";
import {
  type ErrorFields,
  MAX_CAUSES,
  namedInText,
  RemoteError,
  RpcError,
} from "../../errors.ts";
import { type Metadata, metaIn } from "../metadata.ts";
import {
  decodeHeader,
  extensionOf,
  fieldOf,
  foreignCodec,
  type HeaderKind,
  SAME_CODEC,
  VERSION,
  wrongType,
} from "./header.ts";
import {
  HeaderCache,
  type HeaderUse,
  type LatestEntry,
} from "./header_cache.ts";

/** What the responder sends first. */
export interface ResponseHeader {
  /** The text of an error, which may be empty; undefined if there is no error. */
  error: string | undefined;
  /** What else extended peers say about the error, in the field `Q`. */
  about?: AboutError | undefined;
  /** Whether the call goes on after the values. */
  continued: boolean;
}

/** What the field `Q` says about an error. */
export type AboutError = Omit<ErrorFields, "error" | "meta">;

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
  /**
   * Within a stream of values: whether those that follow are bytes as they are,
   * and not encoded; undefined in a trailer.
   */
  bytes: boolean | undefined;
  /** What the IDs of the functions begin with that the response lends. */
  lends: string | undefined;
  /** Metadata, whose size has not been checked. */
  meta: Metadata | undefined;
  /** Whether the responder asks not to be pinged. */
  refusesPings: boolean;
  /**
   * Whether the channel may have another call, unless the response is continued or
   * lends functions.
   */
  again: boolean;
}

/** What the field `Q` of a response header says, besides the version. */
export interface ResponseExtension {
  /** IDs of callbacks among the arguments that the responder keeps. */
  keptIds: readonly string[];
  /** Whether a stream of values follows that ends in a trailer. Default: no. */
  trailer?: boolean;
  /** Within a stream of values: see {@linkcode addForm}. Default: absent. */
  bytes?: boolean;
  /** What the IDs of the functions of this side begin with, if it lends some. */
  lends?: string;
  /** Metadata. Default: none. */
  meta?: Metadata | undefined;
  /** `false` asks the caller not to ping this side. Default: absent. */
  ping?: false;
  /** Whether the channel may have another call. Default: absent. */
  again?: true | undefined;
}

/** Response headers. */
export const RESPONSE: HeaderKind = {
  name: "response",
  keys: ["Error", "E", "Continue", "C"],
  refused: /^(?:error|e|continue|c)$/iu,
};

/** No IDs of functions. */
export const NO_IDS: readonly string[] = [];

/** A length of 0, which no value of any codec has. */
export const EMPTY_FRAME = new Uint8Array(4);

/**
 * The value to encode as a response header.
 *
 * @param extension what to tell an extended caller; undefined for other callers
 */
export function responseHeaderValue(
  { error, about, continued }: ResponseHeader,
  extension?: ResponseExtension,
): unknown {
  const text = error ?? null;
  const header = { Error: text, Continue: continued, E: text, C: continued };
  if (extension === undefined) return header;
  const { keptIds, ...more } = extension;
  const keep = keptIds.length === 0 ? undefined : keptIds;
  return { ...header, Q: { v: VERSION, ...about, keep, ...more } };
}

/**
 * Adds the trailer of a stream of values that is complete: an empty frame and a
 * response header.
 *
 * @param meta metadata that was not sent yet
 */
export function addEnd(
  message: ValueWriter,
  codec: Codec,
  meta?: Metadata,
): void {
  const header = { error: undefined, continued: false };
  message.addRaw(EMPTY_FRAME);
  message.add(codec, responseHeaderValue(header, { keptIds: NO_IDS, meta }));
}

/**
 * Decodes a response header. A field that is null, undefined or absent means the
 * same.
 *
 * @throws {RpcError} `malformed-header`, `codec-mismatch`
 * @throws {CodecError} if the bytes are not a value
 */
export function decodeResponseHeader(
  codec: Codec,
  bytes: Uint8Array,
): ReceivedHeader {
  try {
    return decodeResponse(codec, bytes);
  } catch (cause) {
    const name = foreignCodec(codec, bytes);
    if (name === undefined) throw cause;
    throw new RpcError(
      "codec-mismatch",
      `Cannot read response header: it looks like ${name}, but the call was made in ${codec.name}; ${SAME_CODEC}`,
      { cause },
    );
  }
}

function decodeResponse(codec: Codec, bytes: Uint8Array): ReceivedHeader {
  const header = decodeHeader(codec, bytes, RESPONSE);
  const error = fieldOf(header, "response", "Error", "E", undefined);
  const continued = fieldOf(header, "response", "Continue", "C", false);
  if (error !== undefined && typeof error !== "string") {
    throw wrongType("response", "Error");
  }
  if (typeof continued !== "boolean") throw wrongType("response", "Continue");
  const saysNull = header["Error"] === null || header["E"] === null;
  const extension = extensionOf(header);
  const { keep, trailer, bytes: form, lends, ping, again }: Record<
    string,
    unknown
  > = extension ?? {};
  return {
    error,
    about: extension === undefined || error === undefined
      ? undefined
      : aboutError(extension),
    continued,
    saysNull,
    extended: extension !== undefined,
    keptIds: strings(keep),
    trailer: trailer === true,
    bytes: typeof form === "boolean" ? form : undefined,
    lends: typeof lends === "string" ? lends : undefined,
    meta: metaIn(extension),
    refusesPings: ping === false,
    again: again === true,
  };
}

/** What the field `Q` says about an error. */
function aboutError(
  { code, name, details, causes }: Record<string, unknown>,
): AboutError {
  return {
    code: typeof code === "string" ? code : undefined,
    name: typeof name === "string" ? name : "Error",
    details: details ?? undefined,
    causes: strings(causes).slice(0, MAX_CAUSES),
  };
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value)
    ? value.filter((member) => typeof member === "string")
    : NO_IDS;
}

/**
 * The error that a response header or a trailer reports.
 *
 * @param selector what the call is called here
 * @param id what was called, if that may be the ID of a function
 */
export function remoteError(
  { error, about, meta }: ReceivedHeader,
  selector: string | undefined,
  id = selector,
): RemoteError {
  const named = (text: string) =>
    id === undefined || selector === undefined || id === selector
      ? text
      : namedInText(text, id, selector);
  return new RemoteError(named(error ?? ""), about?.code, {
    selector,
    remoteName: about?.name,
    details: about?.details,
    causes: about?.causes?.map(named),
    meta,
  });
}

/** By the codec that has decoded it. */
const LATEST_RESPONSES = new WeakMap<Codec, LatestEntry<ReceivedHeader>>();

/**
 * Makes the cache of the response headers in a codec. Most peers of a program say the
 * same, and then their sessions have one entry for all: with one for each, it had left
 * the processor's cache before the next call of one of a thousand sessions.
 *
 * @param onEntry as for {@linkcode HeaderCache}
 */
export function responseHeaderCache(
  codec: Codec,
  onEntry?: () => void,
): HeaderCache<ReceivedHeader> {
  let latest = LATEST_RESPONSES.get(codec);
  if (latest === undefined) {
    LATEST_RESPONSES.set(codec, latest = { entry: undefined });
  }
  const decode = (bytes: Uint8Array) => decodeResponseHeader(codec, bytes);
  return new HeaderCache(decode, onEntry, useOfResponse, latest);
}

/**
 * For how long a response header may be used again: programs get details and
 * metadata, and may change them.
 */
function useOfResponse({ about, meta }: ReceivedHeader): HeaderUse {
  return about?.details === undefined && meta === undefined ? "long" : "never";
}

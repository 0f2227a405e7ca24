/**
 * The two headers of a call (rpc/SPEC.md, "Headers"), in both dialects: the keys
 * of qtalk-go and qtalk-js, and the short keys of their successor. All known
 * peers ignore keys that they do not know.
 *
 * @module
 */
import {
  type Codec,
  CodecError,
  PREFIX_SIZE,
  type ValueReader,
  ValueWriter,
} from "../../codec/internal.ts";
import { readUint32 } from "../../uint32.ts";
import { type Metadata, metaIn } from "./metadata.ts";
import {
  type ErrorFields,
  MAX_CAUSES,
  namedInText,
  RemoteError,
  RpcError,
} from "../errors.ts";

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
  /** The field `Q`; undefined if the caller is not extended. */
  extension: Readonly<Record<string, unknown>> | undefined;
  /** What the IDs of the functions begin with of the end that has dialed. */
  from: string | undefined;
}

/** What the responder sends first. */
export interface ResponseHeader {
  /** The text of an error, which may be empty; undefined if there is no error. */
  error: string | undefined;
  /** What else extended peers say about the error, in the field `Q`. */
  about?: AboutError | undefined;
  /** Whether the channel stays open after the values. */
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
  /** Whether the channel may have another call. */
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

/** What the field `Q` of a call header says, besides the version. */
export interface CallExtension {
  /** Whether a handler makes the call to its caller. Default: no. */
  readonly nested?: true | undefined;
  /**
   * Whether the argument is a stream of values. Default: the argument says so
   * itself, as an array or null is none.
   */
  readonly stream?: boolean | undefined;
  /** What the IDs of the functions of this side begin with, if it lends some. */
  readonly lends?: string | undefined;
  /** Milliseconds that are left for the call: an integer. Default: no limit. */
  readonly deadline?: number | undefined;
  /** Metadata. Default: none. */
  readonly meta?: Metadata | undefined;
  /** A trace context. Default: none. */
  readonly trace?: string | undefined;
  /**
   * What the IDs of the functions of the caller begin with, in the first call: one
   * that comes back has met no peer. Default: absent.
   */
  readonly from?: string | undefined;
  /** `false` asks the responder not to ping this side. Default: absent. */
  readonly ping?: false | undefined;
  /** Whether the caller may make another call on the channel. Default: absent. */
  readonly again?: boolean | undefined;
}

/** The value to encode as a call header. */
export function callHeaderValue(
  selector: string,
  extension?: CallExtension,
): unknown {
  // Members that are undefined are left out.
  return { Selector: selector, S: selector, Q: { v: VERSION, ...extension } };
}

/**
 * Adds a call header to a message that is empty.
 *
 * @throws {CodecError} `too-large`: the responder would close the call, and the caller
 * would not learn why
 */
export function addCallHeader(
  message: ValueWriter,
  codec: Codec,
  header: unknown,
): void {
  message.add(codec, header);
  const size = message.length - PREFIX_SIZE;
  if (size <= MAX_CALL_HEADER_SIZE) return;
  throw new CodecError(
    "too-large",
    `Cannot send call header: it has ${size} bytes, more than ${MAX_CALL_HEADER_SIZE}`,
  );
}

/**
 * An encoded call header, with its length and what follows it, in which the
 * deadline is another one. The call has waited since it was encoded.
 */
export function withDeadline(
  request: Uint8Array,
  codec: Codec,
  deadline: number,
): Uint8Array {
  const end = PREFIX_SIZE + readUint32(request, 0);
  const header = codec.decode(request.subarray(PREFIX_SIZE, end)) as {
    Q: Record<string, unknown>;
  };
  const Q = { ...header.Q, deadline };
  const writer = new ValueWriter();
  writer.begin();
  writer.add(codec, { ...header, Q });
  writer.addRaw(request.subarray(end));
  return writer.message();
}

type Which = "call" | "response";

/** What a kind of header may have. */
export interface HeaderKind {
  /** What errors call it. */
  readonly name: Which;
  /** The keys that this side reads. */
  readonly keys: readonly string[];
  /**
   * Keys that only look like those: Go ignores the case of keys. And the fields of
   * the reference's structs, which must not be set from outside.
   */
  readonly refused: RegExp;
}

/** Response headers. */
export const RESPONSE: HeaderKind = {
  name: "response",
  keys: ["Error", "E", "Continue", "C"],
  refused: /^(?:error|e|continue|c)$/iu,
};

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

/** A length of 0, which no value of any codec has. */
export const EMPTY_FRAME = new Uint8Array(4);

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

/** What to do about two ends with different codecs. */
export const SAME_CODEC =
  'use the same option "codec" at both ends, or list both in "codecs" of the responder';

/**
 * The name of the codec that a header is in, by its first byte (rpc/SPEC.md,
 * "Codecs"); undefined if that is unknown, or if it may be `codec`.
 */
export function foreignCodec(
  codec: Codec | undefined,
  [first]: Uint8Array,
): string | undefined {
  if (first === undefined || codec?.beginsMap?.(first)) return undefined;
  if (first === 0x7b) return "JSON";
  if (first >= 0xa0 && first <= 0xbf) return "CBOR";
  const short = first >= 0x80 && first <= 0x8f;
  return short || first === 0xde || first === 0xdf ? "MessagePack" : undefined;
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

/**
 * For how long a response header may be used again: programs get details and
 * metadata, and may change them.
 */
function useOfResponse({ about, meta }: ReceivedHeader): HeaderUse {
  return about?.details === undefined && meta === undefined ? "long" : "never";
}

/** No IDs of functions. */
export const NO_IDS: readonly string[] = [];

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

/** The field `Q`, if there is one. Its members are not validated here. */
export function extensionOf(
  header: Record<string, unknown>,
): Record<string, unknown> | undefined {
  const extension = mapIn(header["Q"]);
  const { v }: { v?: unknown } = extension ?? {};
  return typeof v === "number" && v >= VERSION ? extension : undefined;
}

/** A value as a map, if it may be one. */
export function mapIn(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null
    ? value as Record<string, unknown>
    : undefined;
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value)
    ? value.filter((member) => typeof member === "string")
    : NO_IDS;
}

/**
 * Decodes a header, and refuses one that other peers may read differently, by its
 * keys.
 *
 * @param value what the bytes are, if they were decoded
 */
export function decodeHeader(
  codec: Codec,
  bytes: Uint8Array,
  { name, keys: known, refused }: HeaderKind,
  value: unknown = codec.decode(bytes),
): Record<string, unknown> {
  // Codecs also return objects of other classes, such as bytes and dates.
  if (Object.prototype.toString.call(value) !== "[object Object]") {
    throw malformed(name, "it is not a map");
  }
  const header = value as Record<string, unknown>;
  const keys = Object.keys(header);
  const count = codec.keyCount?.(bytes) ?? keys.length;
  if (count !== keys.length) throw malformed(name, "it has a key twice");
  for (const key of keys) {
    if (!known.includes(key) && refused.test(key)) {
      throw malformed(name, `"${key}" must not be one of its keys`);
    }
  }
  return header;
}

/** The value of a field: the same under the keys of both dialects. */
export function fieldOf(
  header: Record<string, unknown>,
  which: Which,
  key: string,
  short: string,
  absent: unknown,
): unknown {
  const long = header[key] ?? absent;
  const value = header[short] ?? absent;
  if (!Object.hasOwn(header, short)) return long;
  if (Object.hasOwn(header, key) && long !== value) {
    throw malformed(which, `"${key}" and "${short}" differ`);
  }
  return value;
}

function malformed(which: Which, why: string): RpcError {
  return new RpcError(
    "malformed-header",
    `Cannot read ${which} header: ${why}`,
  );
}

/** The error for a field whose value is of another type than it must be. */
export function wrongType(which: Which, field: string): RpcError {
  return malformed(which, `"${field}" has the wrong type`);
}

/** Longer headers, in bytes, are decoded each time. */
const MAX_LENGTH = 128;
/** How many headers are cached; a power of two. */
const SLOTS = 256;
/** How many of those that are used briefly. */
const BRIEF_SLOTS = 16;

/**
 * For how long a header may be used again: as long as the session lasts; briefly,
 * if others like it differ from call to call, and must not take the places of the
 * rest; or never.
 */
export type HeaderUse = "long" | "brief" | "never";

/** A header, encoded and decoded. */
interface Entry<T> {
  bytes: Uint8Array;
  header: T;
}

/** The entry that was made last, of the caches that have this. */
interface LatestEntry<T> {
  entry: Entry<T> | undefined;
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

/** The encoded header that {@linkcode sharedHeader} got last. */
let latestHeader: Uint8Array | undefined;

/**
 * Returns an encoded header of this side that is to be kept: if another session has
 * kept the same last, what that has.
 */
export function sharedHeader(bytes: Uint8Array): Uint8Array {
  const latest = latestHeader;
  return latest !== undefined && equal(latest, bytes)
    ? latest
    : latestHeader = bytes.slice();
}

/**
 * Caches decoded headers. A session sees the same few headers again and again,
 * and comparing sixty bytes takes a tenth of the time of decoding them.
 */
export class HeaderCache<T> {
  readonly #decode: (bytes: Uint8Array) => T;
  readonly #onEntry: (() => void) | undefined;
  readonly #useOf: (header: T) => HeaderUse;
  readonly #latest: LatestEntry<T> | undefined;
  /** Made for the first entry. */
  #entries: Map<number, Entry<T>> | undefined;
  /** Entries that are used briefly; made when there is one. */
  #brief: Map<number, Entry<T>> | undefined;
  /** Bytes of the header that was read last. */
  size = 0;
  /** The entry that was used last, and is most likely used next. */
  #last: Entry<T> | undefined;

  /**
   * Makes a cache for `decode`. It may keep the bytes that it gets; what its
   * results say must not be changed.
   *
   * @param onEntry called when the cache takes the memory of another entry
   * @param useOf for how long a header may be used again. Default: long
   * @param latest the latest entry of the caches that decode alike. Default: there
   * are no others
   */
  constructor(
    decode: (bytes: Uint8Array) => T,
    onEntry?: () => void,
    useOf: (header: T) => HeaderUse = () => "long",
    latest?: LatestEntry<T>,
  ) {
    this.#latest = latest;
    this.#decode = decode;
    this.#onEntry = onEntry;
    this.#useOf = useOf;
  }

  /**
   * Reads the next value, which is a header; returns what `ValueReader.next()`
   * does, decoded.
   *
   * @param maxSize the largest size of a header, in bytes
   * @throws {unknown} what reading and decoding throw
   */
  read(reader: ValueReader, maxSize: number): T | null | undefined {
    const last = this.#last;
    if (last !== undefined && reader.takeIf(last.bytes)) {
      this.size = last.bytes.length;
      return last.header;
    }
    const bytes = reader.next(maxSize);
    if (bytes === undefined || bytes === null) return bytes;
    this.size = bytes.length;
    return this.get(bytes);
  }

  /** The decoded form of `bytes`; throws what decoding throws. */
  get(bytes: Uint8Array): T {
    if (bytes.length > MAX_LENGTH) return this.#decode(bytes.slice());
    const last = this.#last;
    if (last !== undefined && equal(last.bytes, bytes)) return last.header;
    const key = hash(bytes);
    const cached = this.#entries?.get(key & (SLOTS - 1));
    if (cached !== undefined && equal(cached.bytes, bytes)) {
      this.#last = cached;
      return cached.header;
    }
    const brief = this.#brief?.get(key & (BRIEF_SLOTS - 1));
    if (brief === undefined || !equal(brief.bytes, bytes)) {
      return this.#add(bytes, key);
    }
    this.#last = brief;
    return brief.header;
  }

  #add(bytes: Uint8Array, key: number): T {
    const entry = this.#newEntry(bytes);
    const { header } = entry;
    const use = this.#useOf(header);
    if (use === "never") return header;
    const isLong = use === "long";
    const slot = key & ((isLong ? SLOTS : BRIEF_SLOTS) - 1);
    const entries = isLong
      ? this.#entries ??= new Map<number, Entry<T>>()
      : this.#brief ??= new Map<number, Entry<T>>();
    if (!entries.has(slot)) this.#onEntry?.();
    entries.set(slot, entry);
    if (!isLong) return header;
    this.#last = entry;
    if (this.#latest !== undefined) this.#latest.entry = entry;
    return header;
  }

  #newEntry(bytes: Uint8Array): Entry<T> {
    const latest = this.#latest?.entry;
    if (latest !== undefined && equal(latest.bytes, bytes)) return latest;
    const own = bytes.slice();
    return { bytes: own, header: this.#decode(own) };
  }
}

/** FNV-1a. */
function hash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  }
  return hash ^ (hash >>> 15);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

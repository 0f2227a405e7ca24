/**
 * Metadata: what the two programs of a call tell each other beside its values
 * (rpc/SPEC.md, "Metadata").
 *
 * @module
 */
import { type Codec, CodecError } from "../../codec/internal.ts";
import { kindOf } from "../../check_option.ts";

/**
 * Named values that travel beside the values of a call, such as a token or the name
 * of a tenant. The values can be anything that the codec carries.
 *
 * Names that begin with `qtalk.` are reserved. The limit for the encoded size is
 * the option `maxMetaSize` of both peers. Only peers of this package have metadata;
 * others ignore it.
 */
export type Metadata = Readonly<Record<string, unknown>>;

/** Default limit for the encoded size of the metadata of one header, in bytes. */
export const DEFAULT_MAX_META_SIZE = 8 * 1024;

/**
 * The largest value of the option `maxMetaSize`: a header of 64 KiB has room for a
 * selector, too.
 */
export const MAX_META_SIZE = 48 * 1024;

/** How the names begin that this package keeps for itself. */
const RESERVED = "qtalk.";

/** What there is without metadata. */
export const NO_META: Metadata = Object.freeze({});

/**
 * Checks metadata that a program sends.
 *
 * @param whose what it belongs to, for error texts: `call "x"`
 * @returns the metadata; undefined if there is none
 * @throws {TypeError} if it is not an object, or a name is reserved
 * @throws {CodecError} `too-large`, or why a value cannot be encoded
 */
export function checkMeta(
  meta: Metadata | undefined,
  codec: Codec,
  maxSize: number,
  whose: string,
): Metadata | undefined {
  if (meta === undefined) return undefined;
  const what = `Cannot send metadata of ${whose}`;
  if (!isMap(meta)) throw new TypeError(`${what}: it is not a plain object`);
  const names = Object.keys(meta);
  if (names.length === 0) return undefined;
  for (const name of names) {
    if (!name.startsWith(RESERVED)) continue;
    throw new TypeError(
      `${what}: the name "${name}" begins with "${RESERVED}", which is reserved`,
    );
  }
  let size: number;
  try {
    size = codec.encode(meta).length;
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    throw new CodecError(cause.code, `${what}: ${cause.message}`, { cause });
  }
  if (size > maxSize) throw tooLarge(what, meta, codec, size, maxSize);
  return meta;
}

/**
 * The metadata in a header that was received; undefined if there is none. Its size
 * is not checked.
 */
export function metaIn(
  extension: Readonly<Record<string, unknown>> | undefined,
): Metadata | undefined {
  const meta = extension?.["meta"];
  return isMap(meta) ? meta : undefined;
}

/**
 * Why received metadata is refused; undefined if it is not.
 *
 * @param headerSize the size of the header that it is a part of
 */
export function refusalOfMeta(
  meta: Metadata,
  codec: Codec,
  headerSize: number,
  maxSize: number,
  whose: string,
): CodecError | undefined {
  if (headerSize <= maxSize) return undefined;
  const size = codec.encode(meta).length;
  if (size <= maxSize) return undefined;
  const what = `Cannot receive metadata of ${whose}`;
  return tooLarge(what, meta, codec, size, maxSize);
}

/** Metadata with more; what both have is that of the second. */
export function mergedMeta(
  first: Metadata | undefined,
  second: Metadata | undefined,
): Metadata | undefined {
  return first === undefined || second === undefined
    ? first ?? second
    : { ...first, ...second };
}

function tooLarge(
  what: string,
  meta: Metadata,
  codec: Codec,
  size: number,
  maxSize: number,
): CodecError {
  const sizes = Object.entries(meta).map(([name, value]) =>
    [name, codec.encode(value).length] as const
  );
  const [name] = sizes.reduce((a, b) => b[1] > a[1] ? b : a);
  return new CodecError(
    "too-large",
    `${what}: it takes ${size} bytes, most of them for "${
      name.slice(0, 64)
    }", and the limit of "maxMetaSize" is ${maxSize}`,
  );
}

function isMap(value: unknown): value is Metadata {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/**
 * How long a trace context may be, in characters: what W3C Trace Context demands of
 * `tracestate`, the longer of its two texts.
 */
const MAX_TRACE_LENGTH = 512;

/**
 * Checks a trace context of the program.
 *
 * @throws {TypeError} if it is not a text, or too long
 */
export function checkTrace(trace: unknown, selector: string): void {
  if (isTrace(trace)) return;
  const what = typeof trace === "string"
    ? `has ${trace.length} characters, more than ${MAX_TRACE_LENGTH}`
    : `must be a string, and is ${kindOf(trace)}`;
  throw new TypeError(
    `Cannot make call "${selector}": its trace context ${what} (option "trace")`,
  );
}

/** Whether a value may be a trace context. */
export function isTrace(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TRACE_LENGTH;
}

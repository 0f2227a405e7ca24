/**
 * What the two headers of a call (rpc/SPEC.md, "Headers") have in common, in both
 * dialects: the keys of qtalk-go and qtalk-js, and the short keys of their
 * successor. All known peers ignore keys that they do not know.
 *
 * @module
 */
import type { Codec } from "../../../codec/internal.ts";
import { RpcError } from "../../errors.ts";

/**
 * The largest size of a header, in bytes: room for a long selector, a long error
 * text and metadata. A channel without a valid header must not cost as much
 * memory as a value may.
 */
export const MAX_CALL_HEADER_SIZE = 64 * 1024;

/**
 * A channel has another call (`again`) only after values of at most this many bytes.
 * With larger ones, a window takes a quick caller for one that waits for credit, and
 * grows. Channels that wait for a call would keep that memory.
 */
export const MAX_KEPT_SIZE = 8 * 1024;

/** The version of the extension field `Q`. */
export const VERSION = 1;

/** Which of the two headers. */
export type Which = "call" | "response";

/** What a kind of header may have. */
export interface HeaderKind {
  /** What errors call it. */
  readonly name: Which;
  /** The keys that this side reads. */
  readonly keys: readonly string[];
  /**
   * Keys that differ from those only in case, which Go ignores; and the names of fields
   * of the reference's structs, which must not be set from outside.
   */
  readonly refused: RegExp;
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

/** The error for a field whose value is of another type than it must be. */
export function wrongType(which: Which, field: string): RpcError {
  return malformed(which, `"${field}" has the wrong type`);
}

function malformed(which: Which, why: string): RpcError {
  return new RpcError(
    "malformed-header",
    `Cannot read ${which} header: ${why}`,
  );
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

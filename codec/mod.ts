/**
 * Converts values to bytes and back: the {@linkcode Codec} interface, and the
 * JSON codec. The codecs that need a library have modules of their own:
 * `@qtalk/qtalk/codec/cbor` and `@qtalk/qtalk/codec/msgpack`.
 *
 * @example
 * ```ts
 * import { json } from "@qtalk/qtalk/codec";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = json();
 * assertEquals(codec.decode(codec.encode(["hi", 1])), ["hi", 1]);
 * ```
 *
 * @module
 */
export type {
  ByteSink,
  Carried,
  CarriedByBigIntJson,
  Codec,
  CodecOptions,
  ValueWeight,
} from "./codec.ts";
export { CodecError, type CodecErrorCode } from "./errors.ts";
export { json, type JsonOptions } from "./json.ts";
export { DEFAULT_MAX_DEPTH, DEFAULT_MAX_ITEMS } from "./limits.ts";

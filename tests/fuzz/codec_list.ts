/**
 * Every codec with every library, as in `tests/conformance/codec_test.ts`.
 *
 * @module
 */
import { type Codec, type CodecOptions, json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import {
  decode as npmDecode,
  encode as npmEncode,
} from "npm:@msgpack/msgpack@^3";

/** The format of a codec. */
export type Format = "json" | "cbor" | "msgpack";

/** A codec and its format. */
export interface Listed {
  readonly format: Format;
  make(options?: CodecOptions): Codec;
}

/** By their names. */
export const CODECS: Readonly<Record<string, Listed>> = {
  "JSON": { format: "json", make: json },
  "JSON with bigint": {
    format: "json",
    make: (options) => json({ ...options, bigint: true }),
  },
  "CBOR (npm:cborg)": { format: "cbor", make: cbor },
  "MessagePack (npm:@msgpack/msgpack)": { format: "msgpack", make: msgpack },
  // @std/msgpack is what JSR serves here, or its stand-in.
  "MessagePack (@std/msgpack)": {
    format: "msgpack",
    make: (options) =>
      msgpack({ ...options, encode: stdEncode, decode: stdDecode }),
  },
  // As different as the library allows.
  "MessagePack (npm:@msgpack/msgpack, other habits)": {
    format: "msgpack",
    make: (options) =>
      msgpack({
        ...options,
        encode: (value) =>
          npmEncode(value, { sortKeys: true, useBigInt64: true }),
        decode: (bytes) => npmDecode(bytes, { useBigInt64: true }),
      }),
  },
};

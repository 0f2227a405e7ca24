import { json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import {
  decode as npmDecode,
  encode as npmEncode,
} from "npm:@msgpack/msgpack@^3";
import { testCodec } from "./codec_suite.ts";

testCodec("JSON", (options) => json(options), { bigint: "refused" });
testCodec(
  "JSON with bigint",
  (options) => json({ ...options, bigint: true }),
  { bigint: "number if safe" },
);
testCodec("CBOR", (options) => cbor(options), {
  bigint: "whole",
  collections: true,
});
testCodec(
  "CBOR without tags",
  (options) => cbor({ ...options, tags: false }),
  { bigint: "number if safe" },
);

testCodec("MessagePack (npm:@msgpack/msgpack)", msgpack, {
  bigint: "number if safe",
});

// @std/msgpack is what JSR serves here, or its stand-in.
testCodec(
  "MessagePack (@std/msgpack)",
  (options) => msgpack({ ...options, encode: stdEncode, decode: stdDecode }),
  {
    bigint: "number if safe",
  },
);

// As different as the library allows: keys sorted, 64-bit integers as bigint.
testCodec("MessagePack (a library with other habits)", (options) =>
  msgpack({
    ...options,
    encode: (value) => npmEncode(value, { sortKeys: true, useBigInt64: true }),
    decode: (bytes) => npmDecode(bytes, { useBigInt64: true }),
  }), { bigint: "number if safe" });

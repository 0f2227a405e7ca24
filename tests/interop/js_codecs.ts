/**
 * Values as qtalk-js writes them.
 *
 * @module
 */
import { decode } from "cborg";
import { concat, text, utf8 } from "../support/wire.ts";

/** One of its codecs. */
export interface JsCodec {
  name: "JSON" | "CBOR";
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** JSON without the reference's newline. */
const json: JsCodec = {
  name: "JSON",
  encode: (value) => utf8(JSON.stringify(value) ?? "null"),
  decode: (bytes) => JSON.parse(text(bytes)),
};

/** CBOR in the forms of cbor-x, which differ from the reference's. */
const cbor: JsCodec = {
  name: "CBOR",
  encode: cborX,
  decode: (bytes) => decode(bytes),
};

/** Both. */
export const JS_CODECS: readonly JsCodec[] = [json, cbor];

/** A value as cbor-x encodes it. */
function cborX(value: unknown): Uint8Array {
  switch (typeof value) {
    case "undefined":
      return bytes(0xf7);
    case "boolean":
      return bytes(value ? 0xf5 : 0xf4);
    case "number":
      return number(value);
    case "string": {
      const encoded = utf8(value);
      return concat(head(0x60, encoded.length), encoded);
    }
  }
  if (value === null) return bytes(0xf6);
  if (Array.isArray(value)) {
    return concat(head(0x80, value.length), ...value.map(cborX));
  }
  if (value instanceof Uint8Array) {
    return concat(bytes(0xd8, 64), head(0x40, value.length), value);
  }
  if (value instanceof Date) {
    return concat(bytes(0xc1), number(value.getTime() / 1_000));
  }
  if (value instanceof Map) {
    const entries = [...value].flat().map(cborX);
    return concat(bytes(0xd9, 1, 3), head(0xa0, value.size), ...entries);
  }
  const entries = Object.entries(value as object);
  return concat(
    // A count of 16 bits, however small it is.
    bytes(0xb9, entries.length >> 8, entries.length & 255),
    ...entries.flat().map(cborX),
  );
}

function number(value: number): Uint8Array {
  if (Number.isInteger(value)) {
    if (value >= 0 && value < 2 ** 32) return head(0, value);
    if (value < 0 && value >= -(2 ** 32)) return head(0x20, -1 - value);
  }
  const float = new Uint8Array(9);
  float[0] = 0xfb;
  new DataView(float.buffer).setFloat64(1, value);
  return float;
}

/** A type, and a number in the shortest form. */
function head(type: number, n: number): Uint8Array {
  if (n < 24) return bytes(type | n);
  if (n < 2 ** 8) return bytes(type | 24, n);
  if (n < 2 ** 16) return bytes(type | 25, n >> 8, n & 255);
  return bytes(type | 26, n >>> 24, n >> 16 & 255, n >> 8 & 255, n & 255);
}

function bytes(...list: number[]): Uint8Array {
  return Uint8Array.from(list);
}

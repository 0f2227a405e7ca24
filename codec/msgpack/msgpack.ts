/**
 * The MessagePack codec: binary, with byte strings and 64-bit integers.
 *
 * @module
 */
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import { type Codec, type CodecOptions, maxDepthOf } from "../codec.ts";
import { CodecError } from "../errors.ts";
import { decodeMsgpack } from "./decode.ts";
import { encodeMsgpack, type MsgpackValue } from "./encode.ts";

export type { MsgpackValue } from "./encode.ts";

/** The options of {@linkcode msgpack}. */
export interface MsgpackOptions extends CodecOptions {
  /** A library's function that encodes plain data. Default: `@std/msgpack`'s. */
  encode?: ((value: MsgpackValue) => Uint8Array) | undefined;
  /**
   * A library's function that decodes to plain data, with maps as objects.
   * Default: `@std/msgpack`'s.
   */
  decode?: ((bytes: Uint8Array) => unknown) | undefined;
}

/**
 * Makes the MessagePack codec. qtalk-go has no such codec.
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `undefined` | nil; a member of an object is left out | `null`, absent |
 * | `Uint8Array` | bin | `Uint8Array`, a copy |
 * | integer, `bigint` up to ±(2^53 − 1) | the shortest integer | `number` |
 * | `bigint` of up to 64 bits | uint 64 or int 64 | `bigint` |
 * | larger `bigint` | – | `CodecError`, `unsupported-type` |
 * | other numbers, also `NaN` and `±Infinity` | float 64 | `number`; `-0` as 0 |
 * | string | str; lone surrogates as U+FFFD | string |
 * | object | map | object |
 * | key `__proto__`, or a key that begins with U+FEFF, encoding or decoding | – | `CodecError` |
 * | map with integers as keys, from another implementation | | object with the digits as keys |
 * | `Date`, or another object with `toJSON()` | the result of `toJSON()` | that result |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | extension type, also timestamp, from another implementation | | `CodecError`, `malformed` |
 * | nested deeper than `maxDepth`, or containing itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one number type, so an integral number up to ±(2^53 − 1) is
 * encoded as an integer, whatever it was decoded from: a float 100.0 is passed on
 * as the integer 100, and -0.0 as the integer 0.
 *
 * The table holds with any library: bytes are checked before the library
 * decodes them, and values that libraries treat differently do not reach it.
 * The default, `@std/msgpack`, is slow. Other libraries have the same two
 * functions:
 *
 * ```ts ignore
 * import { decode, encode } from "npm:@msgpack/msgpack";
 *
 * const codec = msgpack({ encode, decode });
 * ```
 *
 * @example
 * ```ts
 * import { msgpack } from "@qtalk/qtalk/codec/msgpack";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = msgpack();
 * const [client, server] = memoryPair({ codec }, { codec });
 * await using _ = client;
 * server.handle("echo", async (call, respond) => {
 *   await respond.return(await call.receive());
 * });
 * const value = { bytes: new Uint8Array([1, 2, 3]), id: 2n ** 63n };
 * assertEquals(await client.call("echo", value), value);
 * ```
 *
 * @param options the library and the nesting limit
 * @throws {RangeError} if `maxDepth` is out of range
 */
export function msgpack(options: MsgpackOptions = {}): Codec {
  const { encode = stdEncode, decode = stdDecode } = options;
  const maxDepth = maxDepthOf(options);
  return {
    name: "MessagePack",
    beginsMap: (firstByte) =>
      firstByte >= 0x80 && firstByte <= 0x8f ||
      firstByte === 0xde || firstByte === 0xdf,
    keyCount: mapLength,
    encode(value) {
      return encodeMsgpack(value, maxDepth, (plain) => {
        try {
          return encode(plain);
        } catch (cause) {
          throw libraryError("unsupported-type", "encode", cause);
        }
      });
    },
    decode(bytes) {
      return decodeMsgpack(bytes, maxDepth, (plain) => {
        try {
          return decode(plain);
        } catch (cause) {
          throw libraryError("malformed", "decode", cause);
        }
      });
    },
  };
}

/** The length at the beginning of a map. */
function mapLength(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const form = view.getUint8(0);
  if (form <= 0x8f) return form & 0x0f;
  return form === 0xde ? view.getUint16(1) : view.getUint32(1);
}

function libraryError(
  code: "unsupported-type" | "malformed",
  verb: string,
  cause: unknown,
): CodecError {
  return new CodecError(
    code,
    `Cannot ${verb} value as MessagePack: ${
      cause instanceof Error ? cause.message : cause
    }`,
    { cause },
  );
}

/**
 * The MessagePack codec: binary, with bytes as bytes and 64-bit integers.
 *
 * @module
 */
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import { type Codec, type CodecOptions, DEFAULT_MAX_DEPTH } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { decodeMsgpack } from "./msgpack_decode.ts";
import { encodeMsgpack, type MsgpackValue } from "./msgpack_encode.ts";

export type { MsgpackValue } from "./msgpack_encode.ts";

/** Choices for {@linkcode msgpack}. */
export interface MsgpackOptions extends CodecOptions {
  /** Encodes plain data. Default: that of `@std/msgpack`. */
  encode?: (value: MsgpackValue) => Uint8Array;
  /** Decodes plain data, maps to objects. Default: that of `@std/msgpack`. */
  decode?: (bytes: Uint8Array) => unknown;
}

/**
 * Makes the MessagePack codec. qtalk-go has none: both ends must be given one.
 *
 * | value | on the wire | arrives as |
 * | --- | --- | --- |
 * | `undefined` | nil; in an object, the key is left out | `null`, absent |
 * | `Uint8Array` | bin | `Uint8Array`, a copy |
 * | integer, `bigint` up to ±(2^53 − 1) | the shortest integer | `number` |
 * | `bigint` of up to 64 bits | uint 64 or int 64 | `bigint` |
 * | larger `bigint` | – | `CodecError`, `unsupported-type` |
 * | other numbers, `NaN` and `±Infinity` too | float 64 | `number`; `-0` as 0 |
 * | string | str; lone surrogates as U+FFFD | string |
 * | object | map | object |
 * | key `__proto__`, or one that begins with U+FEFF, either way | – | `CodecError` |
 * | map with integers as keys, from another peer | | object with their digits |
 * | `Date`, or what has `toJSON()` | what that returns | that |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | extension type (timestamp too), from another peer | | `CodecError`, `malformed` |
 * | nested deeper than `maxDepth`, or in itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one type of numbers, so an integral number up to ±(2^53 − 1) is
 * written as an integer, whatever it was read from: a float 100.0 goes on as the
 * integer 100, and -0.0 as the integer 0.
 *
 * The bytes are checked before the library sees them, and where libraries
 * differ, it is not asked: the table holds with any. `@std/msgpack` is correct
 * and slow; others have the same two functions:
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
 * @param options another library, limits
 */
export function msgpack(options: MsgpackOptions = {}): Codec {
  const {
    encode = stdEncode,
    decode = stdDecode,
    maxDepth = DEFAULT_MAX_DEPTH,
  } = options;
  return {
    name: "MessagePack",
    beginsMap: (firstByte) =>
      firstByte >= 0x80 && firstByte <= 0x8f ||
      firstByte === 0xde || firstByte === 0xdf,
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

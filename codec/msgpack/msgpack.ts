/**
 * The MessagePack codec: binary, with byte strings and 64-bit integers.
 *
 * @module
 */
import { checkFunctions } from "../../check_option.ts";
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import { decodeMsgpack } from "./decode.ts";
import { encodeMsgpack, type MsgpackValue } from "./encode.ts";
import { MsgpackScanner } from "./scan.ts";
import type { Carried, Codec, CodecOptions } from "../codec.ts";
import { CodecError } from "../errors.ts";
import { codecLimits, weightOf } from "../limits.ts";

export type { MsgpackValue } from "./encode.ts";

/** What `msgpack()` carries besides JSON's values. */
export interface CarriedByMsgpack extends Carried {
  /** Safe integers arrive as numbers. */
  readonly bigint: number | bigint;
  /** Arrives as a copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

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
 * The parts of a decoded value count towards `maxItems` as follows:
 *
 * | part of the value | items |
 * | --- | --- |
 * | number, boolean, nil | 1; an integer of 64 bits 6 |
 * | integer beyond ±(2^53 − 1) | 12 |
 * | str | 6; not ASCII 12 |
 * | bin | 16 |
 * | array | 6 |
 * | map | 4 |
 * | key that follows the same keys as in an earlier map | 5 |
 * | other key, if it is the first such key of its map | 48 |
 * | other key | 24 |
 * | key of a map that has at least 24 | 14 more |
 * | key that is a number | 8 more, and 1 for each 4 elements of an array that the engine makes for it |
 *
 * Both tables hold with any library: bytes are checked before the library
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
 * @param options the library and the limits
 * @throws {RangeError} if a limit is out of range
 */
export function msgpack(
  options: MsgpackOptions = {},
): Codec<CarriedByMsgpack> {
  const limits = codecLimits(options);
  checkFunctions(options, "encode", "decode");
  const { encode = stdEncode, decode = stdDecode } = options;
  const { maxDepth } = limits;
  const scanner = new MsgpackScanner(limits);
  const encodedScanner = new MsgpackScanner({ maxDepth, maxItems: Infinity });
  return {
    name: "MessagePack",
    beginsMap: (firstByte) =>
      firstByte >= 0x80 && firstByte <= 0x8f ||
      firstByte === 0xde || firstByte === 0xdf,
    keyCount: mapLength,
    encode(value) {
      return encodeMsgpack(value, maxDepth, encodedScanner, (plain) => {
        try {
          return encode(plain);
        } catch (cause) {
          throw libraryError("unsupported-type", "encode", cause);
        }
      });
    },
    decode(bytes, weight) {
      scanner.scan(bytes);
      if (weight !== undefined) {
        weight.bytes = weightOf(bytes.length, scanner.items);
      }
      return decodeMsgpack(bytes, scanner, (plain) => {
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

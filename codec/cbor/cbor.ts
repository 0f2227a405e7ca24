/**
 * The CBOR codec: binary, with byte strings and large integers. It is the
 * default of `interop`, `check` and `bench`, here and in qtalk-go.
 *
 * @module
 */
import { encode, encodeInto, Tagged, tokensToObject } from "cborg";
import { bignumBytes, cborTags, MAX_BIGNUM_SIZE } from "./tags.ts";
import { CborTokenizer, malformed } from "./tokenizer.ts";
import { type Codec, type CodecOptions, maxDepthOf } from "../codec.ts";
import { CodecError } from "../errors.ts";
import { Normalizer } from "../normalizer.ts";

/**
 * Makes the CBOR codec (RFC 8949), which is `x/cbor/codec` in qtalk-go.
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `undefined` | null; a member of an object is left out | `null`, absent |
 * | `Uint8Array` | byte string | `Uint8Array`, a copy |
 * | integer, `bigint` of up to 64 bits and a sign | the shortest integer | `number` if it is a safe integer, else `bigint` |
 * | larger `bigint`, of up to 1,700 bytes | bignum, tag 2 or 3 | `bigint` |
 * | other numbers, also `NaN` and `±Infinity` | a float of 16, 32 or 64 bits | `number`; `-0` as 0 |
 * | string | text; lone surrogates as U+FFFD | string |
 * | object | map with sorted keys | object |
 * | `Date`, or another object with `toJSON()` | the result of `toJSON()`; that of a `Date` is text, which Go decodes into a `time.Time` | that result |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or containing itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one number type, so an integral number up to ±(2^53 − 1) is
 * encoded as an integer, whatever it was decoded from: a float 100.0 is passed on
 * as the integer 100, and -0.0 as the integer 0.
 *
 * It also decodes what other implementations send, such as cbor-x:
 *
 * | on the wire | decoded as |
 * | --- | --- |
 * | lengths and numbers that are longer than needed, arrays and maps of indefinite length | the same as their shortest forms |
 * | `undefined` | `null`; a member of a map is left out |
 * | map with integers as keys | object with the digits as keys |
 * | date, tag 0 or 1 | `Date` |
 * | bytes, tag 64; typed array, tags 65 to 87 except 16- and 128-bit floats | `Uint8Array`; typed array |
 * | `Set`, tag 258; `Map`, tag 259 | array; object |
 * | other tags except 55799, other simple values, other keys, duplicate keys, strings of indefinite length, invalid UTF-8, trailing bytes | `CodecError`, `malformed` |
 *
 * @example
 * ```ts
 * import { cbor } from "@qtalk/qtalk/codec/cbor";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const codec = cbor();
 * const [client, server] = memoryPair({ codec }, { codec });
 * await using _ = client;
 * server.handle("echo", async (call, respond) => {
 *   await respond.return(await call.receive());
 * });
 * const value = { bytes: new Uint8Array([1, 2, 3]), id: 2n ** 63n };
 * assertEquals(await client.call("echo", value), value);
 * ```
 *
 * @param options the nesting limit
 * @throws {RangeError} if `maxDepth` is out of range
 */
export function cbor(options: CodecOptions = {}): Codec {
  const maxDepth = maxDepthOf(options);
  const normalizer = new CborNormalizer();
  const decodeOptions = { rejectDuplicateMapKeys: true, tags: cborTags() };

  return {
    name: "CBOR",
    beginsMap: (firstByte) => firstByte >= 0xa0 && firstByte <= 0xbf,
    encode(value) {
      return encodePlain(normalizer.normalize(value, maxDepth));
    },
    encodeInto(value, sink) {
      const plain = normalizer.normalize(value, maxDepth);
      const room = sink.reserve(SMALL_VALUE);
      const written = encodeSmall(plain, room);
      if (written !== undefined) return sink.commit(written);
      const bytes = encodePlain(plain);
      sink.reserve(bytes.length).set(bytes);
      sink.commit(bytes.length);
    },
    decode(bytes) {
      const tokenizer = new CborTokenizer(bytes, maxDepth);
      try {
        const value: unknown = tokensToObject(tokenizer, decodeOptions);
        tokenizer.finish();
        return tokenizer.sawUndefined ? withoutUndefined(value) : value;
      } catch (cause) {
        if (cause instanceof CodecError) throw cause;
        const { message } = cause as Error;
        throw malformed(message.replace(LIBRARY_PREFIX, ""), cause);
      }
    },
  };
}

/** How the messages of the library begin. */
const LIBRARY_PREFIX = /^CBOR (?:de|en)code error: /;
/** The room, in bytes, that encoding is first tried with. */
const SMALL_VALUE = 1_024;

/** Returns the bytes written, or undefined if the room is too small. */
function encodeSmall(plain: unknown, room: Uint8Array): number | undefined {
  try {
    return encodeInto(plain, room).written;
  } catch {
    return undefined;
  }
}

function encodePlain(plain: unknown): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = encode(plain);
  } catch (cause) {
    throw new CodecError(
      "unsupported-type",
      `Cannot encode value as CBOR: ${
        (cause as Error).message.replace(LIBRARY_PREFIX, "")
      }`,
      { cause },
    );
  }
  // In Node and Deno, the library may return a view of a shared buffer.
  return bytes.byteLength === bytes.buffer.byteLength
    ? bytes
    : new Uint8Array(bytes);
}

/** Replaces `undefined` in a decoded value by null, and removes it from objects. */
function withoutUndefined(value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      value[i] = withoutUndefined(value[i]);
    }
  } else if (Object.prototype.toString.call(value) === "[object Object]") {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      if (record[key] === undefined) delete record[key];
      else withoutUndefined(record[key]);
    }
  }
  return value;
}

class CborNormalizer extends Normalizer {
  constructor() {
    super("CBOR");
  }

  protected override number(value: number): number {
    // -0 would be encoded as a float, which a typed peer does not accept as an
    // integer.
    return value + 0;
  }

  protected override bigint(value: bigint): unknown {
    const rest = value < 0n ? -1n - value : value;
    if (rest === BigInt.asUintN(64, rest)) return value;
    const bytes = bignumBytes(rest);
    if (bytes.length > MAX_BIGNUM_SIZE) {
      throw this.unsupported(`a bigint of ${bytes.length} bytes`);
    }
    return new Tagged(value < 0n ? 3 : 2, bytes);
  }

  protected override bytes(value: Uint8Array): Uint8Array {
    return value;
  }

  protected override key(key: string): string {
    // Otherwise two keys could become the same one in the library.
    return key.toWellFormed();
  }
}

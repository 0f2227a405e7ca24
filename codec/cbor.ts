/**
 * The CBOR codec: binary, with bytes as bytes and integers of any size. The
 * default of qtalk-go's command line.
 *
 * @module
 */
import { encode, encodeInto, Tagged, tokensToObject } from "cborg";
import { bignumBytes, cborTags, MAX_BIGNUM_SIZE } from "./cbor_tags.ts";
import { CborTokenizer, malformed } from "./cbor_tokenizer.ts";
import { type Codec, type CodecOptions, DEFAULT_MAX_DEPTH } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { Normalizer } from "./normalizer.ts";

/**
 * Makes the CBOR codec (RFC 8949), which qtalk-go has as `x/cbor/codec`.
 *
 * | value | on the wire | arrives as |
 * | --- | --- | --- |
 * | `undefined` | null; in an object, the key is left out | `null`, absent |
 * | `Uint8Array` | byte string | `Uint8Array`, a copy |
 * | integer, `bigint` of up to 64 bits and a sign | the shortest integer | `number` if safe, else `bigint` |
 * | larger `bigint`, of up to 1,700 bytes | bignum, tag 2 or 3 | `bigint` |
 * | other numbers, `NaN` and `±Infinity` too | a float of 16, 32 or 64 bits | `number`; `-0` as 0 |
 * | string | text; lone surrogates as U+FFFD | string |
 * | object | map, its keys sorted | object |
 * | `Date`, or what has `toJSON()` | what that returns: text, which Go reads into a `time.Time` | that |
 * | function, symbol, `Map`, `Set`, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or in itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one type of numbers, so an integral number up to ±(2^53 − 1) is
 * written as an integer, whatever it was read from: a float 100.0 goes on as the
 * integer 100, and -0.0 as the integer 0.
 *
 * What other peers, cbor-x among them, send beyond that:
 *
 * | on the wire | arrives as |
 * | --- | --- |
 * | lengths and numbers in more bytes than needed, arrays and maps of indefinite length | what they stand for |
 * | `undefined` | `null`; in a map, its key is left out |
 * | map with integers as keys | object with their digits |
 * | date, tag 0 or 1 | `Date` |
 * | bytes, tag 64; typed array, tags 65 to 87 but for 16- and 128-bit floats | `Uint8Array`; typed array |
 * | `Set`, tag 258; `Map`, tag 259 | array; object |
 * | other tags but 55799, other simple values, other keys, a key twice, strings of indefinite length, text that is no UTF-8, bytes behind the value | `CodecError`, `malformed` |
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
 * @param options limits
 */
export function cbor(options: CodecOptions = {}): Codec {
  const { maxDepth = DEFAULT_MAX_DEPTH } = options;
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

/** How messages of the library begin. */
const LIBRARY_PREFIX = /^CBOR (?:de|en)code error: /;
/** Bytes of room in which a value is tried first. */
const SMALL_VALUE = 1_024;

/** Bytes written, or nothing if the room is too small for the value. */
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
  // Under Node and Deno the library may return a part of a pool.
  return bytes.byteLength === bytes.buffer.byteLength
    ? bytes
    : new Uint8Array(bytes);
}

/** Makes `undefined` null in what was decoded, and leaves it out of objects. */
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
    // A peer with types takes no float, which -0 would be, for an integer.
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
    // Two keys must not become one in the library.
    return key.toWellFormed();
  }
}

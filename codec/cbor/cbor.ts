/**
 * The CBOR codec: binary, with byte strings and large integers. It is the
 * default of `interop`, `check` and `bench`, here and in qtalk-go.
 *
 * @module
 */
import {
  encode,
  encodeInto,
  type EncodeOptions,
  objectToTokens,
  Tagged,
  Token,
  Type,
} from "cborg";
import { decodeCbor } from "./decode.ts";
import { CborScanner } from "./scan.ts";
import {
  bignumBytes,
  cborTags,
  dateContent,
  MAX_BIGNUM_SIZE,
  Tag,
} from "./tags.ts";
import type { Carried, Codec, CodecOptions } from "../codec.ts";
import { CodecError } from "../errors.ts";
import { codecLimits, weightOf } from "../limits.ts";
import { Normalizer } from "../normalizer.ts";

/**
 * Makes the CBOR codec (RFC 8949), which is `x/cbor/codec` in qtalk-go.
 *
 * | value | on the wire | decoded as |
 * | --- | --- | --- |
 * | `undefined` | null; a member of an object is left out | `null`, absent |
 * | `Uint8Array` | byte string | `Uint8Array`, a copy |
 * | `number` that is a safe integer | the shortest integer | `number` |
 * | other numbers, also `NaN` and `±Infinity` | a float of 16, 32 or 64 bits | `number`; `-0` as 0 |
 * | `bigint` beyond ±(2^53 − 1), of up to 64 bits and a sign | integer | `bigint` |
 * | other `bigint`, of up to 1,700 bytes | bignum, tag 2 or 3 | `bigint` |
 * | string | text; lone surrogates as U+FFFD | string |
 * | object | map with sorted keys | object |
 * | `Date` | text, tag 0; outside the years 0 to 9999 seconds, tag 1 | `Date` |
 * | `Map` with any keys | map, tag 259 | `Map` in the same order |
 * | `Set` | array, tag 258 | `Set` in the same order |
 * | other object with `toJSON()` | the result of `toJSON()` | that result |
 * | invalid `Date`, function, symbol, `Error`, stream, `Response`, … | – | `CodecError`, `unsupported-type` |
 * | nested deeper than `maxDepth`, or containing itself | – | `CodecError`, `too-deep` |
 *
 * JavaScript has one number type, so an integral number up to ±(2^53 − 1) is
 * encoded as an integer, whatever it was decoded from: a float 100.0 is passed on
 * as the integer 100, and -0.0 as the integer 0.
 *
 * Go decodes all of this into typed variables: dates into a `time.Time` or a
 * `string`, a `Set` into a slice, a `Map` into a map or struct, a `bigint` into an
 * integer or a `big.Int`. Into an `interface{}`, Go decodes a date as a
 * `time.Time`, a tagged `bigint` as a `big.Int`, and a `Set` or `Map` as a
 * `cbor.Tag`. With the option `tags: false` it does not see tags:
 *
 * | value, with `tags: false` | on the wire | decoded as |
 * | --- | --- | --- |
 * | `bigint` of up to 64 bits and a sign | the shortest integer | `number` if it is a safe integer, else `bigint` |
 * | `Date` | the result of `toJSON()` | string |
 * | `Map`, `Set`, larger `bigint` | – | `CodecError`, `unsupported-type` |
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
 * | tag 258 or 259 | `Set` or `Map`, with either value of `tags` |
 * | other tags except 55799, other simple values, other keys, duplicate keys, strings of indefinite length, invalid UTF-8, trailing bytes | `CodecError`, `malformed` |
 *
 * The parts of a decoded value count towards `maxItems` as follows:
 *
 * | part of the value | items |
 * | --- | --- |
 * | number, boolean, null | 1; a float, or an integer of 64 bits, 2 |
 * | integer beyond ±(2^53 − 1) of 64 bits | 5 |
 * | text | 4; of more than 12 bytes 8 |
 * | byte string | 16 |
 * | array, map | 4; of indefinite length 6 |
 * | key that follows the same keys as in an earlier map | 3 |
 * | other key, if it is the first such key of its map | 48 |
 * | other key | 16 |
 * | key of a map that has at least 64 | 6 more |
 * | key that is a number | 8 more, and 1 for each 4 elements of an array that the engine makes for it |
 * | tag | 20 |
 * | element of a `Set`, key of a `Map` | 4 more |
 * | such an element that is a number, a `bigint` or digits | 1 more for each 16 such elements before it |
 * | `undefined` | 10 |
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
 * const value = {
 *   bytes: new Uint8Array([1, 2, 3]),
 *   at: new Date(),
 *   sizes: new Map([[2n ** 70n, new Set([1, "x"])]]),
 * };
 * assertEquals(await client.call("echo", value), value);
 * ```
 *
 * @param options whether tags are sent, and the limits
 * @throws {RangeError} if a limit is out of range
 */
export function cbor(
  options: CborOptions & { tags: false },
): Codec<CarriedByPlainCbor>;
/**
 * Makes the CBOR codec that carries dates, maps, sets and big integers without
 * loss.
 */
export function cbor(
  options?: CborOptions & { tags?: true | undefined },
): Codec<CarriedByCbor>;
export function cbor(options: CborOptions = {}): Codec {
  const limits = codecLimits(options);
  const { maxDepth } = limits;
  const normalizer = options.tags === false
    ? new PlainNormalizer()
    : new TaggingNormalizer();
  const scanner = new CborScanner(limits);
  const tags = cborTags();

  return {
    name: "CBOR",
    beginsMap: (firstByte) => firstByte >= 0xa0 && firstByte <= 0xbf,
    encode(value) {
      const { maps } = normalizer;
      const plain = normalizer.normalize(value, maxDepth);
      return encodePlain(plain, optionsFor(normalizer.maps - maps));
    },
    encodeInto(value, sink) {
      const { maps } = normalizer;
      const plain = normalizer.normalize(value, maxDepth);
      const options = optionsFor(normalizer.maps - maps);
      const room = sink.reserve(SMALL_VALUE);
      const written = encodeSmall(plain, room, options);
      if (written !== undefined) return sink.commit(written);
      const bytes = encodePlain(plain, options);
      sink.reserve(bytes.length).set(bytes);
      sink.commit(bytes.length);
    },
    decode(bytes, weight) {
      scanner.scan(bytes);
      if (weight !== undefined) {
        weight.bytes = weightOf(bytes.length, scanner.items);
      }
      return decodeCbor(bytes, tags);
    },
  };
}

/** The options of {@linkcode cbor}. */
export interface CborOptions extends CodecOptions {
  /**
   * Whether values that need a tag are sent with it: `Date`, `Map`, `Set`, and
   * most `bigint`. `false` is for peers that do not expect tags, such as handlers
   * in Go that take an `interface{}`. Default: `true`.
   */
  tags?: boolean | undefined;
}

/** What `cbor()` carries besides JSON's values. */
export interface CarriedByCbor extends Carried {
  /** Arrives as a `bigint`. */
  readonly bigint: bigint;
  /** Arrives as a copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Arrives as a `Date`. */
  readonly date: Date;
  /** Arrives as a `Map`. */
  readonly map: true;
  /** Arrives as a `Set`. */
  readonly set: true;
}

/** What `cbor({ tags: false })` carries besides JSON's values. */
export interface CarriedByPlainCbor extends Carried {
  /** Safe integers arrive as numbers. */
  readonly bigint: number | bigint;
  /** Arrives as a copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How the messages of the library begin. */
const LIBRARY_PREFIX = /^CBOR encode error: /;
/** The room, in bytes, that encoding is first tried with. */
const SMALL_VALUE = 1_024;

/** Returns the bytes written, or undefined if the room is too small. */
function encodeSmall(
  plain: unknown,
  room: Uint8Array,
  options: EncodeOptions | undefined,
): number | undefined {
  try {
    return encodeInto(plain, room, options).written;
  } catch {
    return undefined;
  }
}

function encodePlain(
  plain: unknown,
  options: EncodeOptions | undefined,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = encode(plain, options);
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

/** The library sorts the entries of a map, which in a `Map` have an order. */
const IN_ORDER: EncodeOptions = {
  typeEncoders: {
    Map: (map: Map<unknown, unknown>, _type, options, outer) => {
      const tokens = [...map].flat().map((part) =>
        objectToTokens(part, options, outer)
      );
      return [new Token(Type.map, map.size), ...tokens];
    },
  },
};

/** Returns what the library needs to know of a value with so many `Map`s. */
function optionsFor(maps: number): EncodeOptions | undefined {
  // Without options, the library is faster.
  return maps === 0 ? undefined : IN_ORDER;
}

/** Replaces what has no form without tags. */
class PlainNormalizer extends Normalizer {
  /** How many `Map`s were found so far. */
  maps = 0;

  constructor() {
    super("CBOR");
  }

  protected override number(value: number): number {
    // -0 would be encoded as a float, which a typed peer does not accept as an
    // integer.
    return value + 0;
  }

  protected override bigint(value: bigint): unknown {
    if (isWithin64Bits(value)) return value;
    throw this.unsupported("a bigint beyond 64 bits, without tags,");
  }

  protected override bytes(value: Uint8Array): Uint8Array {
    return value;
  }

  protected override key(key: string): string {
    // Otherwise two keys could become the same one in the library.
    return key.toWellFormed();
  }
}

/** Replaces what needs a tag. */
class TaggingNormalizer extends PlainNormalizer {
  protected override bigint(value: bigint): unknown {
    // What is safe would arrive as a number.
    if (!Number.isSafeInteger(Number(value)) && isWithin64Bits(value)) {
      return value;
    }
    const bytes = bignumBytes(value < 0n ? -1n - value : value);
    if (bytes.length > MAX_BIGNUM_SIZE) {
      throw this.unsupported(`a bigint of ${bytes.length} bytes`);
    }
    return new Tagged(value < 0n ? Tag.NEGATIVE_BIGNUM : Tag.BIGNUM, bytes);
  }

  protected override date(value: Date): Tagged {
    if (Number.isNaN(value.getTime())) {
      throw this.unsupported("an invalid Date");
    }
    return new Tagged(...dateContent(value));
  }

  protected override builtIn(value: object, depth: number): unknown {
    if (value instanceof Map) {
      this.maps++;
      this.countMembers(8 * value.size);
      const map = new Map<unknown, unknown>();
      for (const [key, member] of value) {
        const name = this.convert(key, depth - 1);
        map.set(name, this.convert(member, depth - 1));
      }
      return new Tagged(Tag.MAP, map);
    }
    if (value instanceof Set) {
      this.countMembers(4 * value.size);
      const elements = Array.from(
        value,
        (element) => this.convert(element, depth - 1),
      );
      return new Tagged(Tag.SET, elements);
    }
    return super.builtIn(value, depth);
  }
}

function isWithin64Bits(value: bigint): boolean {
  const rest = value < 0n ? -1n - value : value;
  return rest === BigInt.asUintN(64, rest);
}

/**
 * Values as they are on the wire, read without the library's codecs, which are
 * under test. Integers and floats differ; the width of a number and the order of
 * a map's keys are not kept.
 *
 * @module
 */
import { toHex } from "../support/wire.ts";

/** The codecs of the recordings. */
export type CodecName = "json" | "cbor";

/** A map, by the notation of its keys. */
export type WireMap = Map<string, WireValue>;

/** Text that is not UTF-8. */
export class InvalidText {
  /** Keeps its bytes. */
  constructor(readonly bytes: Uint8Array) {}
}

/** A value: an integer is a `bigint`, and a `number` is a float. */
export type WireValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | InvalidText
  | Uint8Array
  | readonly WireValue[]
  | WireMap;

/** Reads the one value that these bytes are. */
export function readValue(codec: CodecName, bytes: Uint8Array): WireValue {
  return codec === "json"
    ? readJson(new TextDecoder().decode(bytes))
    : new CborReader(bytes).only();
}

/**
 * Writes a value so that equal values are equal texts: JSON, and for what JSON
 * does not have, the diagnostic notation of CBOR.
 */
export function notation(value: WireValue): string {
  if (typeof value === "number") return float(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof InvalidText) return `text h'${toHex(value.bytes)}'`;
  if (value instanceof Uint8Array) return `h'${toHex(value)}'`;
  if (value instanceof Map) {
    const members = [...value].map(([key, member]) =>
      `${key}: ${notation(member)}`
    );
    return `{${members.sort().join(", ")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(notation).join(", ")}]`;
  return String(value);
}

function float(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** JSON has one type of numbers: an integral one is an integer, but for -0. */
export function readJson(text: string): WireValue {
  const revive = (
    _key: string,
    value: unknown,
    { source = "" }: { source?: string } = {},
  ): unknown => {
    if (typeof value === "number") {
      if (/^-?\d+$/.test(source) && source !== "-0") return BigInt(source);
      if (Object.is(value, -0)) return value;
      return Number.isInteger(value) ? BigInt(value) : value;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return value;
    }
    return new Map(
      Object.entries(value).map(([name, member]) => [notation(name), member]),
    );
  };
  return JSON.parse(text, revive) as WireValue;
}

/** Reads the CBOR that the reference and this library write. */
class CborReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The value that takes all of the bytes. */
  only(): WireValue {
    const value = this.#value();
    if (this.#at === this.#bytes.length) return value;
    throw new RangeError(`Cannot read CBOR: it ends at byte ${this.#at}`);
  }

  #value(): WireValue {
    const first = this.#view.getUint8(this.#at++);
    const major = first >> 5, info = first & 31;
    if (major === 7) return this.#simple(info);
    const argument = this.#argument(info);
    switch (major) {
      case 0:
        return argument;
      case 1:
        return -1n - argument;
      case 2:
        return this.#take(Number(argument));
      case 3:
        return textOf(this.#take(Number(argument)));
      case 4:
        return Array.from({ length: Number(argument) }, () => this.#value());
      case 5:
        return new Map(
          Array.from(
            { length: Number(argument) },
            () => [notation(this.#value()), this.#value()],
          ),
        );
      default:
        return this.#tagged(argument);
    }
  }

  #simple(info: number): WireValue {
    switch (info) {
      case 20:
      case 21:
        return info === 21;
      case 22:
        return null;
      case 25:
        return half(Number(this.#uint(2)));
      case 26:
        return this.#view.getFloat32(this.#skip(4));
      case 27:
        return this.#view.getFloat64(this.#skip(8));
      default:
        throw new RangeError(`Cannot read CBOR: simple value ${info}`);
    }
  }

  /** A date as text is written as in the notation of RFC 8949: `0("…")`. */
  #tagged(tag: bigint): WireValue {
    const content = this.#value();
    if (tag === 0n && typeof content === "string") return `0("${content}")`;
    if ((tag !== 2n && tag !== 3n) || !(content instanceof Uint8Array)) {
      throw new RangeError(`Cannot read CBOR: tag ${tag}`);
    }
    const magnitude = BigInt(`0x${toHex(content) || "0"}`);
    return tag === 2n ? magnitude : -1n - magnitude;
  }

  #argument(info: number): bigint {
    if (info < 24) return BigInt(info);
    if (info < 28) return this.#uint(1 << (info - 24));
    throw new RangeError(`Cannot read CBOR: additional information ${info}`);
  }

  #uint(size: number): bigint {
    return BigInt(`0x${toHex(this.#take(size))}`);
  }

  #take(size: number): Uint8Array {
    const at = this.#skip(size);
    return this.#bytes.subarray(at, at + size);
  }

  /** Passes over that many bytes; returns where they begin. */
  #skip(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) {
      throw new RangeError(`Cannot read CBOR: it is cut at byte ${at}`);
    }
    this.#at += size;
    return at;
  }
}

function textOf(bytes: Uint8Array): string | InvalidText {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes);
  } catch {
    return new InvalidText(bytes);
  }
}

/** A float of 16 bits. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31, fraction = bits & 1_023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1_024) * 2 ** (exponent - 15);
}

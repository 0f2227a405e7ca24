import { malformed } from "./errors.ts";
import {
  BREAK,
  INDEFINITE,
  Major,
  MAX_SHORT_ARGUMENT,
  Simple,
} from "./scan.ts";
import { type CborTags, Tag } from "./tags.ts";
import { decodeText } from "./text.ts";

/** The high half of the first 64-bit integer that is not safe. */
const UNSAFE_HIGH = 2 ** 21;

/**
 * Builds a value from CBOR whose structure was checked by a `CborScanner`.
 *
 * @param bytes the whole value
 * @param tags the meanings of the tags
 * @throws {CodecError} `malformed` for tags without a meaning, or with other
 * content, for duplicate keys and for invalid UTF-8
 */
export function decodeCbor(bytes: Uint8Array, tags: CborTags): unknown {
  return orNull(new Decoder(bytes, tags).value());
}

class Decoder {
  readonly #bytes: Uint8Array;
  readonly #tags: CborTags;
  #view: DataView | undefined;
  #at = 0;

  constructor(bytes: Uint8Array, tags: CborTags) {
    // A slice of Node's Buffer would be a view.
    this.#bytes = bytes.constructor === Uint8Array
      ? bytes
      : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#tags = tags;
  }

  /** Returns the next value; `undefined` if it is undefined in CBOR. */
  value(): unknown {
    const first = this.#bytes[this.#at++]!;
    const minor = first & 31;
    switch (first >> 5) {
      case Major.UNSIGNED:
        return minor <= MAX_SHORT_ARGUMENT ? minor : this.#argument(minor);
      case Major.NEGATIVE:
        return minor <= MAX_SHORT_ARGUMENT
          ? -1 - minor
          : negative(this.#argument(minor));
      case Major.BYTES:
        return this.#byteString(this.#length(minor));
      case Major.TEXT:
        return this.#text(this.#length(minor));
      case Major.ARRAY:
        return minor === INDEFINITE
          ? this.#endlessArray()
          : this.#array(this.#length(minor));
      case Major.MAP:
        return this.#map(minor === INDEFINITE ? Infinity : this.#length(minor));
      case Major.TAG:
        return this.#tagged(this.#argument(minor));
      default:
        return this.#simple(first);
    }
  }

  #array(length: number): unknown[] {
    const array = new Array<unknown>(length);
    for (let i = 0; i < length; i++) array[i] = orNull(this.value());
    return array;
  }

  #endlessArray(): unknown[] {
    const array: unknown[] = [];
    while (!this.#atBreak()) array.push(orNull(this.value()));
    return array;
  }

  #map(length: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    let hasUndefined = false;
    for (let i = 0; i < length; i++) {
      if (length === Infinity && this.#atBreak()) break;
      const key = this.#key();
      if (Object.hasOwn(map, key)) {
        throw malformed(`found repeat map key "${key}"`);
      }
      const value = this.value();
      if (value === undefined) hasUndefined = true;
      if (key !== "__proto__") map[key] = value;
      else {
        Object.defineProperty(map, key, {
          value,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      }
    }
    if (hasUndefined) leaveOutUndefined(map);
    return map;
  }

  /** Returns a `Map`, whose keys may be any values. */
  #taggedMap(): Map<unknown, unknown> {
    const first = this.#bytes[this.#at]!;
    if (first >> 5 !== Major.MAP) {
      throw malformed("tag 259 does not contain a map");
    }
    this.#at++;
    const minor = first & 31;
    const length = minor === INDEFINITE ? Infinity : this.#length(minor);
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < length; i++) {
      if (length === Infinity && this.#atBreak()) break;
      const key = orNull(this.value());
      map.set(key, orNull(this.value()));
      if (map.size === i) {
        throw malformed(`found repeat map key "${String(key)}"`);
      }
    }
    return map;
  }

  #key(): string {
    const first = this.#bytes[this.#at]!;
    return first >> 5 === Major.TEXT
      ? this.value() as string
      : String(this.value());
  }

  /** Whether a break is next, which is then read. */
  #atBreak(): boolean {
    if (this.#bytes[this.#at] !== BREAK) return false;
    this.#at++;
    return true;
  }

  #tagged(tag: number | bigint): unknown {
    if (tag === Tag.MAP) return this.#taggedMap();
    const meaning = this.#tags[tag as number];
    if (meaning === undefined) {
      throw malformed(`tag not supported (${tag})`);
    }
    return meaning(this.value());
  }

  #byteString(length: number): Uint8Array {
    const start = this.#at;
    this.#at += length;
    return this.#bytes.slice(start, this.#at);
  }

  #text(length: number): string {
    const start = this.#at;
    this.#at += length;
    return decodeText(this.#bytes, start, this.#at);
  }

  #simple(first: number): unknown {
    const at = this.#at;
    switch (first) {
      case Simple.FALSE:
        return false;
      case Simple.TRUE:
        return true;
      case Simple.NULL:
        return null;
      case Simple.FLOAT_16:
        return float16(this.#uint16());
      case Simple.FLOAT_32:
        this.#at += 4;
        return this.#dataView().getFloat32(at);
      case Simple.FLOAT_64:
        this.#at += 8;
        return this.#dataView().getFloat64(at);
    }
    return undefined;
  }

  /** Returns a length, which is a safe integer. */
  #length(minor: number): number {
    return minor <= MAX_SHORT_ARGUMENT ? minor : Number(this.#argument(minor));
  }

  /** Returns the unsigned integer after a first byte. */
  #argument(minor: number): number | bigint {
    switch (minor) {
      case 24:
        return this.#bytes[this.#at++]!;
      case 25:
        return this.#uint16();
      case 26:
        return this.#uint32();
      case 27: {
        const at = this.#at;
        const high = this.#uint32();
        const low = this.#uint32();
        return high < UNSAFE_HIGH
          ? high * 2 ** 32 + low
          : this.#dataView().getBigUint64(at);
      }
      default:
        return minor;
    }
  }

  #uint16(): number {
    const at = this.#at;
    this.#at = at + 2;
    return this.#bytes[at]! << 8 | this.#bytes[at + 1]!;
  }

  #uint32(): number {
    const high = this.#uint16();
    return high * 0x1_0000 + this.#uint16();
  }

  #dataView(): DataView {
    const { buffer, byteOffset, length } = this.#bytes;
    return this.#view ??= new DataView(buffer, byteOffset, length);
  }
}

function orNull(value: unknown): unknown {
  return value === undefined ? null : value;
}

/** Returns `-1 - rest`. */
function negative(rest: number | bigint): number | bigint {
  if (typeof rest === "bigint") return -1n - rest;
  return rest < Number.MAX_SAFE_INTEGER ? -1 - rest : -1n - BigInt(rest);
}

function leaveOutUndefined(map: Record<string, unknown>): void {
  for (const key of Object.keys(map)) {
    if (map[key] === undefined) delete map[key];
  }
}

/** Returns the number that the 16 bits of a half-precision float are. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (fraction + 0x400) * 2 ** (exponent - 25);
}

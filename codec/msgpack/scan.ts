/**
 * Checks MessagePack before a library decodes it: libraries differ in what they
 * accept.
 *
 * @module
 */
import { CodecError } from "../errors.ts";

/** First bytes of some forms of MessagePack. */
export const Form = {
  NEVER_USED: 0xc1,
  BIN_8: 0xc4,
  BIN_32: 0xc6,
  FLOAT_64: 0xcb,
  UINT_64: 0xcf,
  INT_64: 0xd3,
} as const;

/** A value that does not contain other values. */
export interface Leaf {
  /** Its first byte, which determines its form. */
  form: number;
  /** Whether it is a string. */
  isString: boolean;
  /** Where it begins. */
  start: number;
  /** Where its payload begins, after the form and the length. */
  payload: number;
  /** Where it ends. */
  end: number;
  /** Whether it is the key of a map. */
  isKey: boolean;
}

/**
 * Scans the bytes of exactly one value and calls `onLeaf` with its leaves in
 * order. The {@linkcode Leaf} is the same object each time.
 *
 * @throws {CodecError} `truncated` if a length exceeds the bytes, before anything
 * is allocated for it; `malformed` for trailing bytes, forms that MessagePack
 * does not have, extension types, and keys that are neither strings nor
 * integers; `too-deep`
 */
export function scanMsgpack(
  bytes: Uint8Array,
  maxDepth: number,
  onLeaf: (leaf: Leaf) => void,
): void {
  const scanner = new Scanner(bytes, maxDepth, onLeaf);
  scanner.value(0, false);
  scanner.finish();
}

/** The payload size, in bytes, of those forms from 0xc0 to 0xdf that have one. */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0, // nil
  0xc2: 0, // false
  0xc3: 0, // true
  0xca: 4, // float 32
  0xcb: 8, // float 64
  0xcc: 1, // uint 8
  0xcd: 2, // uint 16
  0xce: 4, // uint 32
  0xcf: 8, // uint 64
  0xd0: 1, // int 8
  0xd1: 2, // int 16
  0xd2: 4, // int 32
  0xd3: 8, // int 64
};

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #maxDepth: number;
  readonly #onLeaf: (leaf: Leaf) => void;
  readonly #leaf: Leaf = {
    form: 0,
    isString: false,
    start: 0,
    payload: 0,
    end: 0,
    isKey: false,
  };
  #at = 0;

  constructor(
    bytes: Uint8Array,
    maxDepth: number,
    onLeaf: (leaf: Leaf) => void,
  ) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#onLeaf = onLeaf;
  }

  value(depth: number, isKey: boolean): void {
    const start = this.#at;
    const form = this.#uint(1);
    if (form <= 0x7f || form >= 0xe0) return this.#done(form, start, 0, isKey);
    if (form <= 0x8f) return this.#map(form & 0x0f, depth, isKey);
    if (form <= 0x9f) return this.#array(form & 0x0f, depth, isKey);
    if (form <= 0xbf) return this.#done(form, start, form & 0x1f, isKey, true);
    switch (form) {
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#done(form, start, this.#length(form - 0xc4), isKey);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#done(form, start, this.#length(form - 0xd9), isKey, true);
      case 0xdc:
      case 0xdd:
        return this.#array(this.#length(form - 0xdb), depth, isKey);
      case 0xde:
      case 0xdf:
        return this.#map(this.#length(form - 0xdd), depth, isKey);
    }
    const size = FIXED[form];
    if (size === undefined) {
      throw malformed(
        form === Form.NEVER_USED
          ? `0x${form.toString(16)} does not begin a value`
          : "extension types are not supported",
      );
    }
    this.#done(form, start, size, isKey);
  }

  finish(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw malformed(`${rest} bytes follow it`);
  }

  #array(length: number, depth: number, isKey: boolean): void {
    this.#enter(depth, isKey);
    for (let i = 0; i < length; i++) this.value(depth + 1, false);
  }

  #map(length: number, depth: number, isKey: boolean): void {
    this.#enter(depth, isKey);
    for (let i = 0; i < length; i++) {
      this.value(depth + 1, true);
      this.value(depth + 1, false);
    }
  }

  #enter(depth: number, isKey: boolean): void {
    if (isKey) throw badKey();
    if (depth >= this.#maxDepth) {
      throw new CodecError(
        "too-deep",
        `Cannot decode value as MessagePack: it is nested deeper than ${this.#maxDepth}`,
      );
    }
  }

  #done(
    form: number,
    start: number,
    size: number,
    isKey: boolean,
    isString = false,
  ): void {
    this.#need(size);
    if (isKey && !isString && !isInteger(form)) throw badKey();
    const leaf = this.#leaf;
    leaf.form = form;
    leaf.isString = isString;
    leaf.start = start;
    leaf.payload = this.#at;
    leaf.end = this.#at += size;
    leaf.isKey = isKey;
    this.#onLeaf(leaf);
  }

  /** Reads a length of 1, 2 or 4 bytes. */
  #length(exponent: number): number {
    return this.#uint(1 << exponent);
  }

  #uint(size: number): number {
    this.#need(size);
    let value = 0;
    for (let i = 0; i < size; i++) {
      value = value * 256 + this.#bytes[this.#at++]!;
    }
    return value;
  }

  #need(bytes: number): void {
    if (bytes <= this.#bytes.length - this.#at) return;
    throw new CodecError(
      "truncated",
      `Cannot decode value as MessagePack: it ends after ${this.#bytes.length} bytes`,
    );
  }
}

function isInteger(form: number): boolean {
  return form <= 0x7f || form >= 0xe0 || (form >= 0xcc && form <= 0xd3);
}

function badKey(): CodecError {
  return malformed("the key of a map is neither a string nor an integer");
}

/** Makes the error for bytes that are not a value. */
export function malformed(why: string): CodecError {
  return new CodecError(
    "malformed",
    `Cannot decode value as MessagePack: ${why}`,
  );
}

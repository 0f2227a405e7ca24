import { Token, Tokenizer, Type } from "cborg";
import { CodecError } from "../errors.ts";

/** The options of the library's tokenizer. */
const OPTIONS = { allowBigInt: true };

const BYTES = 2, STRING = 3, ARRAY = 4, MAP = 5, TAG = 6;
const UNDEFINED = 0xf7, BREAK = 0xff;
/** The length of an item that a break ends. */
const INDEFINITE = 31;
/** The number of items of an indefinite array or map: more than fit a value. */
const ENDLESS = 2 ** 52;
/**
 * How many tags may directly contain each other: the self-describing tag and
 * one more. The library recurses for each of them.
 */
const MAX_TAGS = 2;
/** Bytes up to which a loop decodes text faster than a `TextDecoder`. */
const SHORT_TEXT = 32;

/** An array or a map that has not ended. */
interface Open {
  /** The number of remaining items; keys and values both count. */
  left: number;
  readonly isMap: boolean;
  readonly indefinite: boolean;
}

/**
 * Splits CBOR into tokens, from which the library builds values, and checks
 * what the library does not: the nesting depth, lengths beyond the end of the
 * bytes, breaks in place of values, and UTF-8. Keys that are integers become
 * text.
 */
export class CborTokenizer extends Tokenizer {
  readonly #maxDepth: number;
  readonly #open: Open[] = [];
  #tags = 0;
  #sawUndefined = false;

  /** Makes a tokenizer for the bytes of one value. */
  constructor(bytes: Uint8Array, maxDepth: number) {
    super(bytes, OPTIONS);
    this.#maxDepth = maxDepth;
  }

  /** Whether a token was `undefined`. */
  get sawUndefined(): boolean {
    return this.#sawUndefined;
  }

  /** Always false: {@linkcode next} throws at the end of the bytes. */
  override done(): boolean {
    return false;
  }

  /**
   * Returns the next token.
   *
   * @throws {CodecError} `truncated`, `malformed` or `too-deep`
   * @throws {Error} an error of the library, for bytes that are not CBOR
   */
  override next(): Token {
    this.#need(1);
    const first = this.data[this._pos]!;
    const major = first >> 5;
    if (major === TAG) return this.#tag(first);
    if (first === BREAK) return this.#break();
    this.#tags = 0;
    const top = this.#open.at(-1);
    const isKey = top !== undefined && top.isMap && top.left % 2 === 0;
    if (isKey && major !== STRING && major > 1) {
      throw malformed("the key of a map is neither text nor an integer");
    }
    if (major === BYTES || major === STRING) return this.#string(first);
    if (first === UNDEFINED) this.#sawUndefined = true;
    this.#need(headSize(first));
    const token = super.next();
    if (major === ARRAY || major === MAP) {
      this.#enter(major === MAP, first, token.value as number);
    } else this.#complete();
    return isKey ? new Token(Type.string, String(token.value)) : token;
  }

  /**
   * Checks that the bytes end after the value.
   *
   * @throws {CodecError} `malformed` if more bytes follow
   */
  finish(): void {
    const rest = this.data.length - this._pos;
    if (rest > 0) throw malformed(`${rest} bytes follow it`);
  }

  #tag(first: number): Token {
    this.#need(headSize(first));
    if (++this.#tags > MAX_TAGS) throw tooDeep(`${MAX_TAGS} tags`);
    const token = super.next();
    const top = this.#open.at(-1);
    if (top !== undefined && top.isMap && top.left % 2 === 0) {
      throw malformed("the key of a map has a tag");
    }
    return token;
  }

  #break(): Token {
    const top = this.#open.at(-1);
    // A map cannot end between a key and its value.
    const halfAnEntry = top?.isMap === true && top.left % 2 === 1;
    if (top?.indefinite !== true || halfAnEntry || this.#tags > 0) {
      throw malformed("a break is in the place of a value");
    }
    this.#open.pop();
    this.#complete();
    return super.next();
  }

  #string(first: number): Token {
    const size = headSize(first);
    this.#need(size);
    const minor = first & 31;
    if (minor > 27) {
      throw malformed(
        minor === INDEFINITE
          ? "strings of indefinite length are not supported"
          : `0x${first.toString(16)} does not begin a value`,
      );
    }
    const length = size === 1 ? minor : this.#argument(size - 1);
    this.#need(size + length);
    const start = this._pos + size;
    this._pos = start + length;
    this.#complete();
    return first >> 5 === BYTES
      ? new Token(
        Type.bytes,
        new Uint8Array(this.data.subarray(start, this._pos)),
      )
      : new Token(Type.string, text(this.data, start, this._pos));
  }

  #enter(isMap: boolean, first: number, length: number): void {
    if (this.#open.length >= this.#maxDepth) {
      throw tooDeep(String(this.#maxDepth));
    }
    const indefinite = (first & 31) === INDEFINITE;
    const left = indefinite ? ENDLESS : isMap ? 2 * length : length;
    // Each item takes at least one byte.
    if (!indefinite) this.#need(left);
    if (left === 0) this.#complete();
    else this.#open.push({ left, isMap, indefinite });
  }

  /** Counts a complete item, and the arrays and maps that it completes. */
  #complete(): void {
    for (;;) {
      const top = this.#open.at(-1);
      if (top === undefined || --top.left > 0) return;
      this.#open.pop();
    }
  }

  /** Reads the length after the first byte, `size` bytes long. */
  #argument(size: number): number {
    let value = 0;
    for (let i = 1; i <= size; i++) {
      value = value * 256 + this.data[this._pos + i]!;
    }
    return value;
  }

  #need(bytes: number): void {
    if (bytes <= this.data.length - this._pos) return;
    throw new CodecError(
      "truncated",
      `Cannot decode value as CBOR: it ends after ${this.data.length} bytes`,
    );
  }
}

/** The size of an item's first byte and of the number after it. */
function headSize(first: number): number {
  const size = first & 31;
  return size < 24 || size > 27 ? 1 : 1 + (1 << (size - 24));
}

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function text(bytes: Uint8Array, start: number, end: number): string {
  if (end - start < SHORT_TEXT) {
    let text = "";
    for (let i = start; i < end; i++) {
      if (bytes[i]! > 0x7f) return longText(bytes.subarray(start, end));
      text += String.fromCharCode(bytes[i]!);
    }
    return text;
  }
  return longText(bytes.subarray(start, end));
}

/** Deno's fatal decoder takes twice the time, so it is used only in doubt. */
function longText(bytes: Uint8Array): string {
  const text = lenient.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  try {
    return strict.decode(bytes);
  } catch {
    throw malformed("a text is not valid UTF-8");
  }
}

function tooDeep(limit: string): CodecError {
  return new CodecError(
    "too-deep",
    `Cannot decode value as CBOR: it is nested deeper than ${limit}`,
  );
}

/** Makes the error for bytes that are not a value. */
export function malformed(why: string, cause?: unknown): CodecError {
  return new CodecError(
    "malformed",
    `Cannot decode value as CBOR: ${why}`,
    cause === undefined ? undefined : { cause },
  );
}

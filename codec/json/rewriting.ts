/**
 * Rewrites JSON text that `JSON.parse()` would not parse as it is meant, and undoes
 * that in the value: integers beyond 2^53, and keys with escapes.
 *
 * @module
 */
import { CodecError } from "../errors.ts";

const BACKSLASH = 0x5c, QUOTE = 0x22, TILDE = 0x7e;
const DIGIT_0 = 0x30, DIGIT_1 = 0x31, DIGIT_2 = 0x32;

/**
 * The largest length of an integer in characters. Converting a `bigint` takes
 * more than linear time: seconds for 16 MiB of digits.
 */
export const MAX_INTEGER_LENGTH = 4_096;

/** Random bytes of a mark. */
const MARK_SIZE = 16;

/**
 * Parses JSON text with integers that a double cannot hold. `JSON.parse()` has
 * the digits of a number only for a reviver, which makes all of the text up to
 * 45 times slower. So the integers are marked as strings, and made `bigint` in
 * what was parsed.
 */
export class LongIntegers {
  /**
   * How the strings begin that are integers. It is random: text can have no
   * string that begins with it.
   */
  #mark: string | undefined;
  readonly #encoder = new TextEncoder();

  /**
   * Parses a value.
   *
   * @param bytes the text
   * @param offsets where each of the integers starts and ends
   * @param decoder decodes the text
   * @throws {CodecError} `malformed` if an integer is too long
   * @throws {SyntaxError} if the text is not valid
   */
  parse(
    bytes: Uint8Array,
    offsets: readonly number[],
    decoder: TextDecoder,
  ): unknown {
    const mark = this.#mark ??= randomMark();
    const marked = addMarks(bytes, offsets, this.#encoder.encode(`"${mark}`));
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(marked));
    } catch {
      // The text without the marks is as invalid, and the error quotes it.
      return JSON.parse(decoder.decode(bytes));
    }
    return restoreIntegers(value, mark);
  }
}

/** Makes text that no value can contain, because it cannot be guessed. */
export function randomMark(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(MARK_SIZE));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Puts quotes around the integers, and a mark after the first quote. */
function addMarks(
  bytes: Uint8Array,
  offsets: readonly number[],
  mark: Uint8Array,
): Uint8Array {
  const added = (offsets.length / 2) * (mark.length + 1);
  const out = new Uint8Array(bytes.length + added);
  let copied = 0;
  let size = 0;
  for (let i = 0; i < offsets.length; i += 2) {
    const start = offsets[i]!;
    const end = offsets[i + 1]!;
    if (end - start > MAX_INTEGER_LENGTH) {
      throw new CodecError(
        "malformed",
        `Cannot decode value as JSON: an integer has ${end - start} digits`,
      );
    }
    // Parts are short, so that a loop is faster than `set()`.
    while (copied < start) out[size++] = bytes[copied++]!;
    for (let j = 0; j < mark.length; j++) out[size++] = mark[j]!;
    while (copied < end) out[size++] = bytes[copied++]!;
    out[size++] = QUOTE;
  }
  out.set(bytes.subarray(copied), size);
  return out;
}

/** Returns the value with each marked string as the integer that it is. */
function restoreIntegers(value: unknown, mark: string): unknown {
  if (typeof value === "string") {
    return value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (mayContain(value[i])) value[i] = restoreIntegers(value[i], mark);
    }
  } else if (typeof value === "object" && value !== null) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      const member = record[key];
      if (mayContain(member)) record[key] = restoreIntegers(member, mark);
    }
  }
  return value;
}

function mayContain(value: unknown): boolean {
  return typeof value === "string" || typeof value === "object";
}

/** Characters of the shortest text with an escaped key: `{"\n":0}`. */
const SHORTEST = 8;

/**
 * Parses JSON text that has keys with escapes, such as `"a\n"`.
 *
 * V8 confuses such a key with one that it has met in the same place of another
 * value and that has the same length and a real backslash: after
 * `{"x":1,"a\\":1}`, the text `{"x":1,"a\n":1}` becomes an object with the key
 * `a\`, even if another peer sent the first value (seen in V8 14). So the escapes
 * in keys are written in another way, and put back into what was parsed.
 */
export class EscapedKeys {
  /**
   * How the keys begin that were rewritten. It is random: text can have no key
   * that begins with it.
   */
  #mark: string | undefined;
  readonly #encoder = new TextEncoder();

  /**
   * Parses a value.
   *
   * @param bytes the text
   * @param offsets where each of the keys starts and ends, without the quotes
   * @param parse parses the text with other keys
   * @throws {SyntaxError} if an escape is not valid, and what `parse` throws
   */
  parse(
    bytes: Uint8Array,
    offsets: readonly number[],
    parse: (bytes: Uint8Array) => unknown,
  ): unknown {
    const mark = this.#mark ??= randomMark();
    const rewritten = rewrite(bytes, offsets, this.#encoder.encode(mark));
    return restoreKeys(parse(rewritten), mark);
  }
}

/** Whether text may have a key with an escape. */
export function mayHaveEscapedKey(text: string): boolean {
  if (text.length < SHORTEST) return false;
  const escape = text.indexOf("\\");
  return escape >= 0 && text.indexOf(":", escape) >= 0;
}

/** Writes tildes of the keys as `~0`, backslashes as `~1`, and quotes as `~2`. */
function rewrite(
  bytes: Uint8Array,
  offsets: readonly number[],
  mark: Uint8Array,
): Uint8Array {
  let most = bytes.length;
  for (let i = 0; i < offsets.length; i += 2) {
    most += mark.length + offsets[i + 1]! - offsets[i]!;
  }
  const out = new Uint8Array(most);
  let copied = 0;
  let size = 0;
  for (let i = 0; i < offsets.length; i += 2) {
    const start = offsets[i]!;
    const end = offsets[i + 1]!;
    out.set(bytes.subarray(copied, start), size);
    size += start - copied;
    out.set(mark, size);
    size += mark.length;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      const digit = byte === BACKSLASH
        ? DIGIT_1
        : byte === QUOTE
        ? DIGIT_2
        : byte === TILDE
        ? DIGIT_0
        : 0;
      if (digit > 0) out[size++] = TILDE;
      out[size++] = digit > 0 ? digit : byte;
    }
    copied = end;
  }
  out.set(bytes.subarray(copied), size);
  return out.subarray(0, size + bytes.length - copied);
}

function original(key: string): string {
  const raw = key.replaceAll("~1", "\\").replaceAll("~2", '"')
    .replaceAll("~0", "~");
  return JSON.parse(`"${raw}"`);
}

/** Returns the value with each marked key as it was. */
function restoreKeys(value: unknown, mark: string): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      value[i] = restoreKeys(value[i], mark);
    }
    return value;
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  // Most objects have no such key, and keep their members.
  if (!keys.some((key) => key.startsWith(mark))) {
    for (const key of keys) {
      const member = record[key];
      if (typeof member === "object") record[key] = restoreKeys(member, mark);
    }
    return record;
  }
  const restored: Record<string, unknown> = {};
  for (const key of keys) {
    const name = key.startsWith(mark) ? original(key.slice(mark.length)) : key;
    const member = restoreKeys(record[key], mark);
    if (name === "__proto__") {
      // As in `JSON.parse()`, it is a key like others.
      Object.defineProperty(restored, name, {
        value: member,
        configurable: true,
        enumerable: true,
        writable: true,
      });
    } else restored[name] = member;
  }
  return restored;
}

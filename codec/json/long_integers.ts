import { CodecError } from "../errors.ts";

/**
 * The largest length of an integer in characters. Converting a `bigint` takes
 * more than linear time: seconds for 16 MiB of digits.
 */
export const MAX_INTEGER_LENGTH = 4_096;

const QUOTE = 0x22;
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
    return restore(value, mark);
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
function restore(value: unknown, mark: string): unknown {
  if (typeof value === "string") {
    return value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (mayContain(value[i])) value[i] = restore(value[i], mark);
    }
  } else if (typeof value === "object" && value !== null) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) {
      const member = record[key];
      if (mayContain(member)) record[key] = restore(member, mark);
    }
  }
  return value;
}

function mayContain(value: unknown): boolean {
  return typeof value === "string" || typeof value === "object";
}

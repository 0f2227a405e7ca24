import { malformed } from "./errors.ts";

/**
 * Bytes up to which a loop decodes text faster than a `TextDecoder`. Engines also
 * append this many characters without keeping the parts.
 */
export const SHORT_TEXT = 12;

/** Deno's fatal decoder takes three times as long. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Decodes the text from `start` to `end`.
 *
 * @throws {CodecError} `malformed` if it is not valid UTF-8
 */
export function decodeText(
  bytes: Uint8Array,
  start: number,
  end: number,
): string {
  if (end - start > SHORT_TEXT) return longText(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte > 0x7f) return shortText(bytes, start, end);
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Decodes text that is not ASCII. */
function shortText(bytes: Uint8Array, start: number, end: number): string {
  const points: number[] = [];
  for (let at = start; at < end;) {
    const first = bytes[at++]!;
    if (first <= 0x7f) {
      points.push(first);
      continue;
    }
    const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let point = first & (0x3f >> more);
    if (first < 0xc0 || first > 0xf7 || more > end - at) throw invalid();
    for (let i = 0; i < more; i++) {
      const byte = bytes[at++]!;
      if ((byte & 0xc0) !== 0x80) throw invalid();
      point = point << 6 | byte & 0x3f;
    }
    if (point < SMALLEST[more]! || isSurrogate(point) || point > 0x10_ffff) {
      throw invalid();
    }
    points.push(point);
  }
  return String.fromCodePoint(...points);
}

/** By its further bytes, the smallest code point that needs so many. */
const SMALLEST: readonly number[] = [0, 0x80, 0x800, 0x1_0000];

function isSurrogate(point: number): boolean {
  return point >= 0xd800 && point <= 0xdfff;
}

function longText(bytes: Uint8Array): string {
  const text = decoder.decode(bytes);
  // What is invalid becomes U+FFFD, which text may also contain.
  if (text.includes("\ufffd") && replacements(text) !== encoded(bytes)) {
    throw invalid();
  }
  return text;
}

/** Returns how often U+FFFD is in a text. */
function replacements(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) === 0xfffd) count++;
  }
  return count;
}

/** Returns how often U+FFFD is encoded: as EF BF BD. */
function encoded(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 2; at < bytes.length; at++) {
    if (
      bytes[at] === 0xbd && bytes[at - 1] === 0xbf && bytes[at - 2] === 0xef
    ) count++;
  }
  return count;
}

function invalid() {
  return malformed("a text is not valid UTF-8");
}

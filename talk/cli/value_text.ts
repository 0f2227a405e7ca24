/**
 * Values as people type and read them: JSON, with integers of any size, or bare
 * words.
 *
 * @module
 */
import { json } from "../../codec/internal.ts";
import { UsageError } from "./exit_code.ts";
import type { Style } from "./terminal.ts";

const codec = json();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What can be nothing but JSON, right or wrong. */
const LOOKS_LIKE_JSON = /^\s*[[{"]/;

/**
 * Reads a value: JSON, or else the word itself.
 *
 * @throws {UsageError} if it begins as JSON and is none
 */
export function parseValue(text: string): unknown {
  try {
    return codec.decode(encoder.encode(text));
  } catch (cause) {
    if (!LOOKS_LIKE_JSON.test(text)) return text;
    throw new UsageError(
      `Cannot read "${text}": it begins as JSON, and is none`,
      { cause },
    );
  }
}

/**
 * Writes a value, as JSON in one line.
 *
 * @throws {CodecError} if JSON has no form for it
 */
export function formatValue(value: unknown): string {
  return decoder.decode(codec.encode(value));
}

/** A string, with the colon behind it if it is a key; a word; a number. */
const TOKEN = /("(?:[^"\\]|\\.)*")(:?)|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

/** Colours JSON by what its parts are. */
export function highlight(
  text: string,
  paint: (style: Style, text: string) => string,
): string {
  return text.replace(TOKEN, (token, string?: string, colon?: string) => {
    if (string === undefined) return paint("yellow", token);
    return paint(colon ? "cyan" : "green", string) + colon;
  });
}

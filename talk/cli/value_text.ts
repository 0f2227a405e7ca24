import { json } from "../../codec/internal.ts";
import { printableText } from "../../printable_text.ts";
import { UsageError } from "./exit_code.ts";
import type { Style } from "./terminal.ts";

const codec = json({ bigint: true });
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The beginning of an object, an array or a string in JSON. */
const LOOKS_LIKE_JSON = /^\s*[[{"]/;

/**
 * Parses a value: JSON, with integers of any size, or a bare word, which is a
 * string.
 *
 * @throws {UsageError} if it begins like JSON but is not valid
 */
export function parseValue(text: string): unknown {
  try {
    return codec.decode(encoder.encode(text));
  } catch (cause) {
    if (!LOOKS_LIKE_JSON.test(text)) return text;
    throw new UsageError(
      `Cannot parse "${text}": it begins like JSON but is not valid`,
      { cause },
    );
  }
}

/**
 * Parses the lines of a text, each of which is a value in JSON. Empty lines are
 * passed over.
 *
 * @throws {UsageError} if a line is not valid
 */
export async function* parseLines(
  text: AsyncIterable<Uint8Array>,
): AsyncGenerator<unknown, void> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let number = 0;
  let rest = "";
  const textOf = (chunk?: Uint8Array) => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      throw new UsageError("Cannot parse stdin: it is not valid UTF-8", {
        cause,
      });
    }
  };
  function* values(lines: readonly string[]) {
    for (const line of lines) {
      number++;
      if (line.trim() !== "") yield parseLine(line, number);
    }
  }
  for await (const chunk of text) {
    const lines = (rest + textOf(chunk)).split("\n");
    rest = lines.pop()!;
    yield* values(lines);
  }
  yield* values([rest + textOf()]);
}

function parseLine(line: string, number: number): unknown {
  try {
    return codec.decode(encoder.encode(line));
  } catch (cause) {
    throw new UsageError(
      `Cannot parse line ${number} of stdin: "${line.trim()}" is not valid JSON`,
      { cause },
    );
  }
}

/**
 * Formats a value as one line of printable JSON: control characters and those that
 * change the direction of writing are escaped.
 *
 * @throws {CodecError} if JSON cannot encode it
 */
export function formatValue(value: unknown): string {
  return printableText(decoder.decode(codec.encode(value)));
}

/** A string, with a colon if it is a key; a literal; a number. */
const TOKEN = /("(?:[^"\\]|\\.)*")(:?)|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

/** Colours the keys, strings, literals and numbers of JSON. */
export function highlight(
  text: string,
  paint: (style: Style, text: string) => string,
): string {
  return text.replace(TOKEN, (token, string?: string, colon?: string) => {
    if (string === undefined) return paint("yellow", token);
    return paint(colon ? "cyan" : "green", string) + colon;
  });
}

import type { CallHeader } from "./headers.ts";
import { kindOf } from "./selector.ts";

/**
 * How long a trace context may be, in characters: what W3C Trace Context demands of
 * `tracestate`, the longer of its two texts.
 */
const MAX_TRACE_LENGTH = 512;

/**
 * Checks a trace context of the program.
 *
 * @throws {TypeError} if it is not a text, or too long
 */
export function checkTrace(trace: unknown, selector: string): void {
  if (isTrace(trace)) return;
  const what = typeof trace === "string"
    ? `has ${trace.length} characters, more than ${MAX_TRACE_LENGTH}`
    : `must be a string, and is ${kindOf(trace)}`;
  throw new TypeError(
    `Cannot make call "${selector}": its trace context ${what} (option "trace")`,
  );
}

/** The trace context in the field `Q`; undefined if there is none. */
export function traceIn(
  extension: CallHeader["extension"],
): string | undefined {
  const trace = extension?.["trace"];
  return isTrace(trace) ? trace : undefined;
}

function isTrace(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TRACE_LENGTH;
}

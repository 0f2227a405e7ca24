/**
 * Tells what the end of a connection does to calls from everything else that can
 * go wrong.
 *
 * @module
 */

/** Codes of errors with which calls end when their connection does. */
const CODES: ReadonlySet<unknown> = new Set([
  // The connection broke, or was closed by this side or the other one.
  "connection-lost",
  "session-closed",
  // The other side drains, or closes.
  "unavailable",
  "open-refused",
  // What a handler reads, or calls, when its caller is gone.
  "cancelled",
  "released",
]);

/** Whether an error can come of a connection that ends. */
export function isInterruption(error: unknown): boolean {
  return error instanceof Error && "code" in error && CODES.has(error.code);
}

/** What is printed of an error. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, stack } = error as Error & { code?: string };
  return `${code === undefined ? "" : `[${code}] `}${stack ?? error}`;
}

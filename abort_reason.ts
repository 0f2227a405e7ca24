/**
 * Why a signal has aborted.
 *
 * The signals of some libraries, such as `abort-controller` of npm, are older than
 * `AbortSignal.reason`. An operation that such a signal ends must not reject with
 * undefined. So the signals of programs are asked here for their reasons.
 *
 * @module
 */

/** The reasons of signals that have none: what is thrown can be compared. */
const reasons = new WeakMap<AbortSignal, unknown>();

/** The reason of a signal that has aborted; an `AbortError` if it has none. */
export function reasonOf(signal: AbortSignal): unknown {
  if (signal.reason !== undefined) return signal.reason;
  if (!reasons.has(signal)) reasons.set(signal, AbortSignal.abort().reason);
  return reasons.get(signal);
}

/** Whether an error is the reason of a signal that has aborted. */
export function isReasonOf(
  error: unknown,
  signal: AbortSignal | undefined,
): boolean {
  return signal?.aborted === true && error === reasonOf(signal);
}

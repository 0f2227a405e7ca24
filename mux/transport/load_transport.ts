import { loadedInTime, NOT_LOADED, orAborted } from "../../time_limit.ts";

/**
 * Waits for a part of a transport that `import()` loads, as {@linkcode loadedInTime}
 * does, until `signal` aborts.
 *
 * @throws {Error} if it cannot be loaded. That may be different at the next attempt, so
 * it is not the runtime's `TypeError`, which would count as permanent
 * @throws {unknown} the reason of the signal
 */
export async function loadTransport<T>(
  loading: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  try {
    return await loadedInTime(orAborted(loading, signal));
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const why = cause instanceof Error ? cause.message : cause;
    throw new Error(`${NOT_LOADED}: ${why}`, { cause });
  }
}

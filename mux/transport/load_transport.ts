import { loadedInTime, NOT_LOADED } from "../../time_limit.ts";

/**
 * Waits for a part of a transport that `import()` loads, as {@linkcode loadedInTime}
 * does.
 *
 * @throws {Error} if it cannot be loaded. That may be different at the next attempt, so
 * it is not the runtime's `TypeError`, which would count as permanent
 */
export async function loadTransport<T>(loading: Promise<T>): Promise<T> {
  try {
    return await loadedInTime(loading);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new Error(`${NOT_LOADED}: ${why}`, { cause });
  }
}

export { turn } from "./turn.ts";

/** The runtime's own, whatever a fake clock puts in their place later. */
const { setTimeout, clearTimeout } = globalThis;

/** Milliseconds after which a test that waits has failed: far beyond need. */
const PATIENCE = 20_000;

/**
 * Waits for a promise, and fails with what was waited for if it does not
 * settle. The time bounds failure only; nothing passes because of it.
 */
export async function within<T>(
  promise: PromiseLike<T>,
  what: string,
  patience = PATIENCE,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Still waiting after ${patience} ms: ${what}`)),
      patience,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A promise seen from outside: what became of it so far. */
export interface Watched {
  /** Whether it has settled, and how. */
  state: "pending" | "resolved" | "rejected";
  /** What it rejected with. */
  reason: unknown;
}

/** Watches a promise without waiting for it. */
export function watch(promise: PromiseLike<unknown>): Watched {
  const watched: Watched = { state: "pending", reason: undefined };
  promise.then(() => {
    watched.state = "resolved";
  }, (reason) => {
    watched.state = "rejected";
    watched.reason = reason;
  });
  return watched;
}

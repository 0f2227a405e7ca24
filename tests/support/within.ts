import { turn } from "./turn.ts";

export { turn };

/** The runtime's own, whatever a fake clock puts in their place later. */
const { setTimeout, clearTimeout } = globalThis;
const now = performance.now.bind(performance);

/** Milliseconds after which a test that waits has failed: far beyond need. */
const PATIENCE = 20_000;
/** The same for {@linkcode until}, which may wait for many things one after another. */
const LONG_PATIENCE = 60_000;

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

/**
 * Lets everything that is ready run, again and again, until something holds; fails
 * if it never does. A bare loop would keep the test, and all that come after it, for
 * ever. As with {@linkcode within}, nothing passes because of the time.
 *
 * @param holds whether what the test waits for has come
 * @param what it, for the error. Default: the text of the function
 * @param step what is done meanwhile. Default: {@linkcode turn}
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what = String(holds),
  step: () => PromiseLike<unknown> = turn,
  patience = LONG_PATIENCE,
): Promise<void> {
  const end = now() + patience;
  for (;;) {
    const answer = holds();
    // One that is there already costs no turn of the microtask queue.
    if (typeof answer === "boolean" ? answer : await answer) return;
    if (now() > end) {
      throw new Error(`Still waiting after ${patience} ms: ${what}`);
    }
    await step();
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

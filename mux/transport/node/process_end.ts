/** The part of Node's `process` that is used here. */
interface ProcessLike {
  readonly pid: number;
  on(event: string, listener: Listener): unknown;
  prependListener(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
  listeners(event: string): unknown[];
  kill(pid: number, signal: string): unknown;
}

/** A listener, which may be one of this module. */
interface Listener {
  (): void;
  [WATCHES]?: true;
}

/** Marks the listeners that only watch a signal. */
const WATCHES: unique symbol = Symbol.for("qtalk:watches");
/** Signals that end a process which does not handle them. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;

/**
 * Calls `clean` before the process ends on Node or Bun: by itself, by
 * `process.exit()`, or by a signal that the program does not listen to. Such a
 * signal still ends the process.
 *
 * @param clean is called at most once, and may not wait
 * @returns cancels it
 */
export function beforeNodeEnds(clean: () => void): () => void {
  const { process } = globalThis as unknown as { process: ProcessLike };
  const watchers = SIGNALS.map((signal) => {
    const watcher: Listener = () => {
      // The program decides about a signal that it listens to.
      if (!process.listeners(signal).every(isWatcher)) return;
      end();
      // The last one ends the process as if nothing had listened.
      if (process.listeners(signal).length === 0) {
        process.kill(process.pid, signal);
      }
    };
    watcher[WATCHES] = true;
    // Before those of the program, which may remove themselves.
    process.prependListener(signal, watcher);
    return [signal, watcher] as const;
  });
  const forget = () => {
    for (const [signal, watcher] of watchers) process.off(signal, watcher);
    process.off("exit", end);
  };
  function end(): void {
    forget();
    clean();
  }
  process.on("exit", end);
  return forget;
}

function isWatcher(listener: unknown): boolean {
  return (listener as Listener)[WATCHES] === true;
}

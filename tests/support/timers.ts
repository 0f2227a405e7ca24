/** What {@linkcode interceptTimers} tells of the timers of this process. */
export interface TimerEvents {
  /** A timer was set, to run once or again and again. */
  onSet(id: unknown, delay: number): void;
  /** It has run, if it does so once, or was cleared. */
  onGone(id: unknown): void;
}

/** Replaces the global functions for timers by some that call these ones. */
export function interceptTimers({ onSet, onGone }: TimerEvents): void {
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  type Callback = (...args: unknown[]) => void;
  const once = (callback: Callback, delay = 0, ...args: unknown[]) => {
    const run = (...args: unknown[]) => {
      onGone(id);
      callback(...args);
    };
    const id = setTimeout(run, delay, ...args);
    onSet(id, delay);
    return id;
  };
  const repeated = (callback: Callback, delay = 0, ...args: unknown[]) => {
    const id = setInterval(callback, delay, ...args);
    onSet(id, delay);
    return id;
  };
  globalThis.setTimeout = once as typeof setTimeout;
  globalThis.setInterval = repeated as typeof setInterval;
  globalThis.clearTimeout = (id) => {
    onGone(id);
    clearTimeout(id);
  };
  globalThis.clearInterval = (id) => {
    onGone(id);
    clearInterval(id);
  };
}

/** How many timers `run` starts before it returns. */
export function timersStarted(run: () => void): number {
  const { setTimeout } = globalThis;
  let timers = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    timers++;
    return setTimeout(...args);
  }) as typeof setTimeout;
  try {
    run();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  return timers;
}

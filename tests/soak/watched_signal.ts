/** A signal that never aborts, and knows how many listeners are on it. */
export class WatchedSignal {
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #listeners = new Set<unknown>();

  /** Makes the signal. */
  constructor() {
    const { signal } = this;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    const listeners = this.#listeners;
    Object.assign(signal, {
      addEventListener(...args: Parameters<typeof add>) {
        listeners.add(args[1]);
        add(...args);
      },
      removeEventListener(...args: Parameters<typeof remove>) {
        listeners.delete(args[1]);
        remove(...args);
      },
    });
  }

  /** How many functions listen. */
  get listeners(): number {
    return this.#listeners.size;
  }
}

/** An `AbortController` that counts the listeners of its signal. */
export class CountingController extends AbortController {
  readonly #listeners = new Set<unknown>();

  /** Makes a controller whose signal has no listeners. */
  constructor() {
    super();
    const { signal } = this;
    const listeners = this.#listeners;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    const once = new Set<unknown>();
    add("abort", () => {
      for (const listener of once) listeners.delete(listener);
    });
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      const [, listener, options] = args;
      listeners.add(listener);
      if (typeof options === "object" && options.once) once.add(listener);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners.delete(args[1]);
      remove(...args);
    };
  }

  /** How many listeners there are. */
  get listeners(): number {
    return this.#listeners.size;
  }
}

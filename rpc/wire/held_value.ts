/** What loads the module that makes functions of the peer. */
export interface ReceivingLoader {
  /** The module, if it was loaded. */
  readonly receiving: unknown;
  /** Loads it. */
  loadReceiving(): Promise<unknown>;
}

/**
 * A decoded value that cannot be passed on yet: what makes the functions in it is
 * being loaded.
 */
export class HeldValue {
  /** The value, with pointers in place of functions. */
  readonly value: unknown;
  /** Makes the value that is passed on; to be called when it is ready. */
  readonly finish: () => unknown;
  readonly #loader: ReceivingLoader;

  /** Holds a value. */
  constructor(value: unknown, loader: ReceivingLoader, finish: () => unknown) {
    this.value = value;
    this.#loader = loader;
    this.finish = finish;
  }

  /** Whether it can be passed on. */
  get isReady(): boolean {
    return this.#loader.receiving !== undefined;
  }

  /** Resolves when it can be passed on. */
  whenReady(): Promise<unknown> {
    return this.#loader.loadReceiving();
  }
}

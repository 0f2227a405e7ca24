/**
 * A controller as libraries have made them, such as `abort-controller` of npm: its
 * signal has no `reason`.
 */
export class ForeignController {
  /** The signal. */
  readonly signal: AbortSignal;
  #aborted = false;

  /** Makes a controller whose signal has not aborted. */
  constructor() {
    const signal = new EventTarget();
    Object.defineProperty(signal, "aborted", { get: () => this.#aborted });
    this.signal = signal as AbortSignal;
  }

  /** Aborts the signal. */
  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.signal.dispatchEvent(new Event("abort"));
  }
}

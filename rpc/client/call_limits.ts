import { limitWait } from "../../time_limit.ts";
import type { CallOptions } from "../types.ts";

/** A call that can be given up. */
export interface LimitedCall {
  /** Gives the call up: everything that waits for it gets `reason`. */
  giveUp(reason: unknown): void;
}

/**
 * The signal and the time limit of one call. The time limit ends with the first
 * answer. The signal belongs to the call as long as it lives: until a response
 * that continues has been received to its end or was closed.
 */
export class CallLimits {
  /** The pending call, or later the continued one. */
  call: LimitedCall;
  readonly #signal: AbortSignal | undefined;
  readonly #cancelTimer: (() => void) | undefined;

  /**
   * Begins to limit a call, which has not ended.
   *
   * @param onTimeout makes the error for a timeout
   */
  constructor(
    call: LimitedCall,
    { signal, timeout }: CallOptions,
    onTimeout: () => unknown,
  ) {
    this.call = call;
    this.#signal = signal;
    if (timeout !== undefined) {
      this.#cancelTimer = limitWait(
        { timeout, frequent: true, onTimeout },
        (reason) => this.call.giveUp(reason),
      );
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** The first answer has arrived: from now on, time does not count. */
  answered(): void {
    this.#cancelTimer?.();
  }

  /** The call has ended. */
  end(): void {
    this.#cancelTimer?.();
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => this.call.giveUp(this.#signal!.reason);
}

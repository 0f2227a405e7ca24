import { limitWait } from "../../time_limit.ts";
import type { CallOptions } from "../types.ts";

/** A call that can be given up. */
export interface LimitedCall {
  /** The signal aborted: everything that waits for the call gets `reason`. */
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
  /** The signal of the call. */
  readonly signal: AbortSignal | undefined;
  readonly #cancelTimer: (() => void) | undefined;

  /**
   * Begins to limit a call, which has not ended.
   *
   * @param onTimeout called when the time has passed
   */
  constructor(
    call: LimitedCall,
    { signal, timeout }: CallOptions,
    onTimeout: () => void,
  ) {
    this.call = call;
    this.signal = signal;
    if (timeout !== undefined) {
      const nothing = () => {};
      this.#cancelTimer = limitWait(
        { timeout, frequent: true, onTimeout: nothing },
        onTimeout,
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
    this.signal?.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => this.call.giveUp(this.signal!.reason);
}

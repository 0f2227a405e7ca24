import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import { checkObject, checkSignal, checkTime } from "../../check_option.ts";
import { MAX_DELAY, startTimer } from "../../time_limit.ts";
import { RpcError } from "../errors.ts";
import type { CallOptions } from "../types.ts";

/** How long a call may take, from its options. */
export interface TimeLimit {
  /** Milliseconds until the first answer; undefined for no limit. */
  readonly timeout: number | undefined;
  /** Whether that is what is left for the call that it is made for. */
  readonly inherited: boolean;
}

/**
 * Checks what limits a call.
 *
 * @throws {TypeError} if `signal` is not a signal
 * @throws {RangeError} if `timeout` is out of range
 */
export function checkCallLimits(options: CallOptions): void {
  checkObject("options of call", options);
  checkSignal(options.signal);
  checkTime("timeout", options.timeout);
}

/**
 * How long a call may take.
 *
 * @throws {unknown} what {@linkcode checkCallLimits} throws
 * @throws {RpcError} `timeout` or `deadline-exceeded` if no time is left
 */
export function timeLimitOf(
  options: CallOptions,
  call: Pick<LimitedCall, "name">,
): TimeLimit {
  checkCallLimits(options);
  const { timeout, parent } = options;
  if (timeout === 0) throw timedOut(call.name, timeout);
  const deadline = parent?.deadline;
  if (deadline !== undefined) {
    const left = deadline - performance.now();
    if (left <= 0) throw deadlineExceeded(call.name);
    if (left < (timeout ?? Infinity)) return { timeout: left, inherited: true };
  }
  const isLimit = timeout !== undefined && timeout <= MAX_DELAY;
  return { timeout: isLimit ? timeout : undefined, inherited: false };
}

/** The error of a call that has no time left: its parent's deadline has passed. */
export function deadlineExceeded(name: string): RpcError {
  return new RpcError(
    "deadline-exceeded",
    `Cannot complete call "${name}": the deadline of the call that it is made for has passed`,
  );
}

/** The error of a call that took longer than its own `timeout`. */
export function timedOut(name: string, timeout: number): RpcError {
  return new RpcError(
    "timeout",
    `Cannot complete call "${name}": no response within ${timeout} ms (option "timeout")`,
  );
}

/** A call that can be given up. */
export interface LimitedCall {
  /** What errors call it. */
  readonly name: string;
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
  readonly #onTimeout: () => void;
  /** When the time has passed; undefined without a time limit. */
  readonly #endsAt: number | undefined;

  /**
   * Begins to limit a call, which has not ended.
   *
   * @param onTimeout called when the time has passed
   */
  constructor(
    call: LimitedCall,
    signal: AbortSignal | undefined,
    timeout: number | undefined,
    onTimeout: () => void,
  ) {
    this.call = call;
    this.signal = signal;
    this.#onTimeout = onTimeout;
    if (timeout !== undefined) {
      this.#endsAt = performance.now() + timeout;
      this.#cancelTimer = startTimer(timeout, onTimeout);
    }
    if (signal !== undefined) onAbort(signal, this.#onAbort);
  }

  /** Milliseconds that are left; undefined without a time limit. */
  get left(): number | undefined {
    return this.#endsAt === undefined
      ? undefined
      : this.#endsAt - performance.now();
  }

  /**
   * The responder says that the time has passed: it counts whole milliseconds, and
   * the timer of this side may be late. Returns whether that is so; then the call
   * has ended as if this side had noticed first, which is a matter of luck.
   */
  expireIfDue(): boolean {
    if ((this.left ?? Infinity) > 1) return false;
    this.#onTimeout();
    return true;
  }

  /** The first answer has arrived: from now on, time does not count. */
  answered(): void {
    this.#cancelTimer?.();
  }

  /** The call has ended. */
  end(): void {
    this.#cancelTimer?.();
    if (this.signal !== undefined) offAbort(this.signal, this.#onAbort);
  }

  readonly #onAbort = (): void => this.call.giveUp(reasonOf(this.signal!));
}

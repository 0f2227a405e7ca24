/**
 * Limits on how long something may take: a number of milliseconds, a caller's
 * `AbortSignal`, or both.
 *
 * @module
 */

/** The longest delay of a timer, in milliseconds; a longer one fires at once. */
export const MAX_DELAY = 2 ** 31 - 1;
/** Most operations that have a time limit finish within these milliseconds. */
const SHORT = 100;

/** What ends a wait early. */
export interface WaitLimits {
  /** Ends the wait with `signal.reason`. Default: no signal. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the wait ends with the error that `onTimeout` returns.
   * Default: no limit; a value above {@linkcode MAX_DELAY} is no limit either.
   */
  readonly timeout?: number | undefined;
  /** Makes the error for a timeout. Called only if the time passes. */
  readonly onTimeout: () => unknown;
  /**
   * Whether many such waits start each second. They use plain timers, which
   * are released as soon as a wait ends; see {@linkcode timeLimit} for what
   * others use. Default: false.
   */
  readonly frequent?: boolean | undefined;
}

/** A signal with a time limit. Dispose of it when the operation has finished. */
export interface LimitedSignal extends Disposable {
  /** Aborts when the caller's signal aborts or the time has passed. */
  readonly signal: AbortSignal;
}

/**
 * Calls `expire` after `ms` milliseconds, unless the function that it returns
 * is called first. There is no limit if `ms` is above {@linkcode MAX_DELAY}.
 *
 * The first `setTimeout()` of a process makes Deno load Node's timers, which
 * takes four to seven milliseconds: a fifth of the time that a program needs to
 * connect and get its first response. `AbortSignal.timeout()` loads nothing but
 * cannot be cancelled. On Deno, such a signal therefore covers the first
 * 100 ms, and a timer the rest, so that a quick operation loads no timers. Other
 * runtimes use a timer from the start: theirs are loaded already, and a pending
 * `AbortSignal.timeout()` may keep their process alive.
 *
 * @returns cancels the limit; calling it again, or too late, has no effect
 */
export function timeLimit(ms: number, expire: () => void): () => void {
  if (ms > MAX_DELAY) return () => {};
  // The negation also catches NaN, which a timer treats as no delay.
  if (!(ms > SHORT) || !("Deno" in globalThis)) return startTimer(ms, expire);
  let cancelTimer: (() => void) | undefined;
  const short = AbortSignal.timeout(SHORT);
  const goOn = () => {
    cancelTimer = startTimer(ms - SHORT, expire);
  };
  short.addEventListener("abort", goOn, { once: true });
  return () => {
    short.removeEventListener("abort", goOn);
    // clearTimeout() would load the timers too, even without a timer to clear.
    cancelTimer?.();
  };
}

/**
 * Calls `giveUp` once, with the reason, when the signal aborts or the time
 * passes, whichever comes first: at once if the signal has aborted already. It
 * creates no `AbortController`.
 *
 * @returns cancels both limits; calling it again, or too late, has no effect
 */
export function limitWait(
  { signal, timeout, onTimeout, frequent = false }: WaitLimits,
  giveUp: (reason: unknown) => void,
): () => void {
  if (signal?.aborted) {
    giveUp(signal.reason);
    return () => {};
  }
  const onAbort = () => {
    cancelTimer?.();
    giveUp(signal!.reason);
  };
  const expire = () => {
    signal?.removeEventListener("abort", onAbort);
    giveUp(onTimeout());
  };
  const start = frequent ? startTimer : timeLimit;
  const cancelTimer = timeout === undefined || timeout > MAX_DELAY
    ? undefined
    : start(timeout, expire);
  signal?.addEventListener("abort", onAbort, { once: true });
  return () => {
    cancelTimer?.();
    signal?.removeEventListener("abort", onAbort);
  };
}

/**
 * Combines a caller's signal and a timeout into one signal, for an operation
 * that takes a signal. {@linkcode limitWait} does the same by callback.
 *
 * @returns the signal; disposing of it removes the timer and the listener
 */
export function limitedSignal(limits: WaitLimits): LimitedSignal {
  const controller = new AbortController();
  const cancel = limitWait(limits, (reason) => controller.abort(reason));
  return { signal: controller.signal, [Symbol.dispose]: cancel };
}

/**
 * Waits for something that has to be closed, until `signal` aborts: then, if it comes
 * later, it has no other owner and is closed.
 *
 * @throws {unknown} the error of `making`, or the reason of the signal
 */
export async function untilAborted<T extends { close(): unknown }>(
  making: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([making, aborted.promise]);
  } catch (error) {
    making.then((made) => made.close(), () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Calls `expire` after `ms` milliseconds, unless the function that it returns is
 * called first. Unlike the timer of a limit, it does not keep a process alive.
 *
 * @param isFirst whether the process may have no timers yet: Deno then loads none
 * before the time has passed, see {@linkcode timeLimit}
 * @returns cancels the timer; calling it again, or too late, has no effect
 */
export function backgroundTimer(
  ms: number,
  expire: () => void,
  isFirst: boolean,
): () => void {
  const { Deno: deno } = globalThis as {
    Deno?: { unrefTimer?(id: unknown): void };
  };
  if (isFirst && deno !== undefined) {
    // Only a listener makes the signal keep the process alive, and what this timer
    // is for, an open connection, does so as well.
    const signal = AbortSignal.timeout(ms);
    signal.addEventListener("abort", expire, { once: true });
    return () => signal.removeEventListener("abort", expire);
  }
  const timer: unknown = setTimeout(expire, ms);
  if (deno !== undefined) deno.unrefTimer?.(timer);
  else (timer as { unref?(): void }).unref?.();
  return () => clearTimeout(timer as number);
}

/**
 * Calls `expire` after `ms` milliseconds, unless the function that it returns is
 * called first, as {@linkcode timeLimit} does. For limits of which many begin at
 * the same time: it uses plain timers, which cost less each.
 */
export function startTimer(ms: number, expire: () => void): () => void {
  if (ms > MAX_DELAY) return () => {};
  const timer = setTimeout(expire, ms);
  return () => clearTimeout(timer);
}

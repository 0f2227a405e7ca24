/**
 * Limits on how long something may take: a number of milliseconds, a caller's
 * `AbortSignal`, or both.
 *
 * @module
 */
import { reasonOf } from "./abort_reason.ts";

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
  /** Makes the error for a timeout. Called only if the time passes. Default: none. */
  readonly onTimeout?: (() => unknown) | undefined;
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
  { signal, timeout, onTimeout }: WaitLimits,
  giveUp: (reason: unknown) => void,
): () => void {
  if (signal?.aborted) {
    giveUp(reasonOf(signal));
    return () => {};
  }
  const onAbort = () => {
    cancelTimer?.();
    giveUp(reasonOf(signal!));
  };
  const expire = () => {
    signal?.removeEventListener("abort", onAbort);
    giveUp(onTimeout?.());
  };
  const cancelTimer = timeout === undefined
    ? undefined
    : timeLimit(timeout, expire);
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

/** Waits for a promise, within limits; {@linkcode limitWait} says why it ends early. */
async function within<T>(limits: WaitLimits, waited: Promise<T>): Promise<T> {
  const early = Promise.withResolvers<never>();
  const cancel = limitWait(limits, early.reject);
  try {
    return await Promise.race([waited, early.promise]);
  } finally {
    cancel();
  }
}

/**
 * Waits for a promise, until `signal` aborts.
 *
 * @throws {unknown} the error of the promise, or the reason of the signal
 */
export function orAborted<T>(
  waited: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  return within({ signal }, waited);
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
  try {
    return await orAborted(making, signal);
  } catch (error) {
    making.then((made) => made.close(), () => {});
    throw error;
  }
}

/**
 * Milliseconds that may pass until a part of this package is loaded. A runtime may
 * wait for minutes for a module whose host does not answer.
 */
export const LOAD_TIMEOUT = 10_000;

/**
 * Waits for a part of this package that `import()` loads, for `ms` milliseconds at
 * most. The next attempt waits for the same import, because a runtime loads a module
 * once.
 *
 * @throws {unknown} the error of loading, or that of {@linkcode loadedTooLate}
 */
export function loadedInTime<T>(
  loading: Promise<T>,
  ms = LOAD_TIMEOUT,
): Promise<T> {
  const onTimeout = () => loadedTooLate(ms);
  return within({ timeout: ms, onTimeout }, loading);
}

/** What is wrong if `import()` fails. */
export const NOT_LOADED = "a part of this package cannot be loaded";

/** Why nothing waits any longer for what is being loaded. */
export function loadedTooLate(ms: number): Error {
  return new Error(`it takes more than ${ms} ms`);
}

/**
 * Waits until `event` has settled, for `ms` milliseconds at most. Never rejects.
 *
 * @returns whether it has settled
 */
export function settlesWithin(
  ms: number,
  event: Promise<unknown>,
): Promise<boolean> {
  const settled = event.then(() => true, () => true);
  return within({ timeout: ms }, settled).catch(() => false);
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
 * called first, as {@linkcode timeLimit} does. For limits of which many begin each
 * second: it uses plain timers, which cost less, and are released when they end.
 */
export function startTimer(ms: number, expire: () => void): () => void {
  if (ms > MAX_DELAY) return () => {};
  const timer = setTimeout(expire, ms);
  return () => clearTimeout(timer);
}

/** Milliseconds of a step; {@linkcode CoarseTimers} expire at the end of one. */
const STEP = 10;
/** The step of a timer that is not set. */
const NOT_SET = -1;

/** A timer that can be set many times. Setting it again replaces what was set. */
export interface RepeatableTimer {
  /** Expires once, after `ms` milliseconds. */
  set(ms: number): void;
  /** Does not expire unless it is set again. */
  cancel(): void;
}

/**
 * Timers that share one timer of the runtime. They do not keep a process alive, and
 * expire up to {@linkcode STEP} milliseconds late, but never early.
 *
 * A timer of the runtime costs 5 µs and wakes the event loop for itself. With one a
 * second for each of 9,000 idle connections, that took half of a processor
 * (tests/bench/LOG.md).
 *
 * While none is set, there is no timer of the runtime, and nothing is referenced.
 */
export class CoarseTimers {
  readonly #start: typeof backgroundTimer;
  readonly #now: () => number;
  /** The timers that are set, by the step at whose end they expire. */
  readonly #steps = new Map<number, Set<CoarseTimer>>();
  #isExpiring = false;
  /** Cancels the timer of the runtime, and the step that it is for. */
  #cancel: (() => void) | undefined;
  #wakesAt = Infinity;
  /** Whether a timer of the runtime has expired before. */
  #begun = false;

  /** Starts no timer yet; tests bring their own timer and clock. */
  constructor(
    start: typeof backgroundTimer = backgroundTimer,
    now: () => number = () => performance.now(),
  ) {
    this.#start = start;
    this.#now = now;
  }

  /** Sets a timer; see {@linkcode RepeatableTimer.set}. */
  set(timer: CoarseTimer, ms: number): void {
    const now = this.#now();
    const step = Math.ceil((now + ms) / STEP);
    if (step === timer.step) return;
    this.#remove(timer);
    timer.step = step;
    const timers = this.#steps.get(step);
    if (timers === undefined) this.#steps.set(step, new Set([timer]));
    else timers.add(timer);
    if (step < this.#wakesAt && !this.#isExpiring) this.#wake(step, now);
  }

  /** Cancels a timer; see {@linkcode RepeatableTimer.cancel}. */
  cancel(timer: CoarseTimer): void {
    this.#remove(timer);
    if (this.#steps.size > 0 || this.#isExpiring) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#wakesAt = Infinity;
  }

  #remove(timer: CoarseTimer): void {
    const timers = this.#steps.get(timer.step);
    timers?.delete(timer);
    if (timers?.size === 0) this.#steps.delete(timer.step);
    timer.step = NOT_SET;
  }

  /** Waits until a step has ended. */
  #wake(step: number, now: number): void {
    this.#cancel?.();
    this.#wakesAt = step;
    const ms = Math.max(1, Math.ceil(step * STEP - now));
    this.#cancel = this.#start(ms, this.#onTime, !this.#begun);
  }

  readonly #onTime = (): void => {
    if (this.#cancel === undefined) return;
    this.#cancel = undefined;
    this.#wakesAt = Infinity;
    this.#begun = true;
    const ended = this.#now() / STEP;
    const due = [...this.#steps.keys()].filter((step) => step <= ended);
    this.#isExpiring = true;
    try {
      for (const step of due.sort((a, b) => a - b)) {
        for (const timer of [...this.#steps.get(step) ?? []]) {
          // Another one may have cancelled it, or set it again.
          if (timer.step !== step) continue;
          this.#remove(timer);
          timer.expire();
        }
      }
    } finally {
      // Those after one that has thrown are left.
      this.#isExpiring = false;
      let next = Infinity;
      for (const step of this.#steps.keys()) if (step < next) next = step;
      if (next < Infinity) this.#wake(next, this.#now());
    }
  };
}

/** One of {@linkcode CoarseTimers}. */
export class CoarseTimer implements RepeatableTimer {
  readonly #timers: CoarseTimers;
  /** Called when the time has passed. */
  readonly expire: () => void;
  /** The step at whose end it expires, for {@linkcode CoarseTimers}. */
  step = NOT_SET;

  /** Makes a timer that is not set. */
  constructor(timers: CoarseTimers, expire: () => void) {
    this.#timers = timers;
    this.expire = expire;
  }

  set(ms: number): void {
    this.#timers.set(this, ms);
  }

  cancel(): void {
    this.#timers.cancel(this);
  }
}

/**
 * All sessions of an isolate share these, as they share its event loop: timers are
 * its own by nature. It holds nothing while no timer is set.
 */
const COARSE_TIMERS = new CoarseTimers();

/**
 * A timer that expires up to 10 ms late, and does not keep the process alive: for
 * what thousands of connections wait for. See {@linkcode CoarseTimers}.
 *
 * @param expire called whenever the time that was set has passed
 */
export function coarseTimer(expire: () => void): RepeatableTimer {
  return new CoarseTimer(COARSE_TIMERS, expire);
}

/**
 * Functions that are called when a signal aborts: one listener for all of them.
 *
 * Runtimes compare a new listener with all others of its signal, so a thousand
 * calls with one signal cost a million comparisons, and 16,000 took five seconds.
 *
 * @module
 */
import { callHook } from "./call_hook.ts";

/** The functions that wait for a signal, and the listener that calls them. */
interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const all = new WeakMap<AbortSignal, Waiting>();

/** Calls a function once a signal aborts. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  const known = all.get(signal);
  if (known !== undefined) {
    known.callbacks.add(callback);
    return;
  }
  const callbacks = new Set([callback]);
  const listener = () => {
    // What is forgotten meanwhile is not called, as with listeners.
    for (const callback of callbacks) {
      callbacks.delete(callback);
      callHook(callback);
    }
    all.delete(signal);
  };
  all.set(signal, { callbacks, listener });
  signal.addEventListener("abort", listener, { once: true });
}

/** Forgets a function of {@linkcode onAbort}. */
export function offAbort(signal: AbortSignal, callback: () => void): void {
  const known = all.get(signal);
  if (known === undefined) return;
  known.callbacks.delete(callback);
  // A listener keeps the timer of `AbortSignal.timeout()` running.
  if (known.callbacks.size > 0) return;
  all.delete(signal);
  signal.removeEventListener("abort", known.listener);
}

/** The longest delay of a timer, in milliseconds: what is longer fires at once. */
export const MAX_DELAY = 2 ** 31 - 1;
/** Milliseconds in which most of what has a limit is done. */
const SOON = 100;

/**
 * Calls `expire` after `ms` milliseconds, unless the function that it returns is
 * called before. No limit at all if that is more than a timer can wait.
 *
 * The first `setTimeout()` of a process makes Deno load Node's timers, which
 * takes four to seven milliseconds: a fifth of the time in which a program
 * connects and has its first answer. `AbortSignal.timeout()` loads nothing, but
 * cannot be taken back; so one of those watches over the beginning, and a timer
 * over the rest. Elsewhere, where timers are ready and such a signal does not
 * keep the process waiting, it is a timer.
 */
export function timeLimit(ms: number, expire: () => void): () => void {
  if (ms > MAX_DELAY) return () => {};
  // Also what is no number: a timer takes that for no time at all.
  if (!(ms > SOON) || !("Deno" in globalThis)) {
    const timer = setTimeout(expire, ms);
    return () => clearTimeout(timer);
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const soon = AbortSignal.timeout(SOON);
  const goOn = () => {
    timer = setTimeout(expire, ms - SOON);
  };
  soon.addEventListener("abort", goOn, { once: true });
  return () => {
    soon.removeEventListener("abort", goOn);
    // Even to clear a timer that is none would load them.
    if (timer !== undefined) clearTimeout(timer);
  };
}

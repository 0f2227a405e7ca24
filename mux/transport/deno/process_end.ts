/**
 * What has to be done before the process ends, however it ends.
 *
 * @module
 */

/** Signals that end a process which does not handle them, with their numbers. */
const SIGNALS = Object.freeze({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 });
type EndingSignal = keyof typeof SIGNALS;

/** The event before a signal ends the process. */
const ENDING = "qtalk:process-end";

/**
 * Calls `clean` before the process ends: by `Deno.exit()`, or by a signal that the
 * program does not listen to. Such a signal still ends the process, with the same
 * status. A signal that the program listens to is the program's business, and
 * `clean` is not called.
 *
 * To handle a signal takes its effect away, and nothing documented says whether the
 * program handles it as well. The runtime's list of open resources does. Where there
 * is no such list, as in workers, signals are left alone.
 *
 * @param clean is called at most once, and may not wait
 * @returns cancels it
 */
export function beforeProcessEnds(clean: () => void): () => void {
  const forgets = openSignals() === undefined
    ? []
    : Object.keys(SIGNALS).map((name) => watch(name as EndingSignal));
  const end = () => {
    forget();
    clean();
  };
  const forget = () => {
    for (const forget of forgets) forget();
    removeEventListener("unload", end);
    removeEventListener(ENDING, end);
  };
  addEventListener("unload", end);
  addEventListener(ENDING, end);
  return forget;
}

/**
 * Lets a signal end the process if the program does not listen to it.
 *
 * @returns stops watching it
 */
function watch(signal: EndingSignal): () => void {
  const question = `${ENDING}?${signal}`;
  let watching = true;
  /** Whether nothing else listened to the signal when this began to. */
  let alone = false;

  function begin(): void {
    if (!watching) return;
    const before = openSignals();
    Deno.addSignalListener(signal, onSignal);
    // Others that watch the signal are no listeners of the program.
    alone = openSignals() !== before ||
      !dispatchEvent(new Event(question, { cancelable: true }));
  }
  function onSignal(): void {
    const before = openSignals();
    Deno.removeSignalListener(signal, onSignal);
    // Others listen: they are called in the same turn, so this can wait.
    if (openSignals() === before) queueMicrotask(begin);
    // Otherwise, a listener of the program that was there first may just have
    // removed itself. The next signal then ends the process.
    else if (alone) endBy(signal);
  }
  const answer = (event: Event) => {
    if (alone) event.preventDefault();
  };

  begin();
  addEventListener(question, answer);
  return () => {
    watching = false;
    removeEventListener(question, answer);
    Deno.removeSignalListener(signal, onSignal);
  };
}

/** Ends the process as if the signal had not been listened to. */
function endBy(signal: EndingSignal): void {
  dispatchEvent(new Event(ENDING));
  try {
    Deno.kill(Deno.pid, signal);
  } catch {
    // Older versions of Deno need a permission. A shell sees the same status.
    Deno.exit(128 + SIGNALS[signal]);
  }
}

/** How many signals the process listens to; undefined if that is unknown. */
function openSignals(): number | undefined {
  // A worker sees its own only.
  if ("WorkerGlobalScope" in globalThis) return undefined;
  const { internal } = Deno as { internal?: symbol };
  if (internal === undefined) return undefined;
  const { core } = (Deno as unknown as Record<symbol, Internals>)[internal] ??
    {};
  const resources = core?.resources?.();
  if (resources === undefined) return undefined;
  return Object.values(resources).filter((name) => name === "signal").length;
}

/** The part of the runtime's internals that is used here, as far as it is there. */
interface Internals {
  core?: { resources?: () => Record<string, string> };
}

/**
 * Closes listeners and peers when the process is asked to end: see
 * {@linkcode closeOnSignals}.
 *
 * It has its own subpath, because browsers have no signals.
 *
 * @module
 */
import {
  checkFunctions,
  checkList,
  checkMethods,
  checkObject,
} from "../check_option.ts";
import type { Closable } from "./listener/types.ts";
import { checkCloseOptions } from "./close_options.ts";

export type { Closable };

/** Options of {@linkcode closeOnSignals}. */
export interface CloseOnSignalsOptions {
  /**
   * How long calls in progress may take to end after the first signal, in
   * milliseconds; see `Peer.close()`. A number of at least 0; `Infinity` is no
   * limit. Default: 5,000.
   */
  drainTimeout?: number | undefined;
  /**
   * The signals to listen to. Default: `SIGINT` and `SIGTERM`; on Windows `SIGINT`
   * and `SIGBREAK`.
   */
  signals?: readonly string[] | undefined;
  /**
   * Called with each signal, before closing begins, and with the number of signals
   * so far: 1 for the one that drains. A call that it makes then is one in progress,
   * for which draining waits. Default: none.
   */
  onSignal?: ((signal: string, count: number) => void) | undefined;
}

/** What {@linkcode closeOnSignals} returns. */
export interface ClosingOnSignals extends Disposable {
  /** The first signal that arrived; undefined if there was none. */
  readonly received: string | undefined;
  /** Stops listening to the signals. Idempotent. */
  [Symbol.dispose](): void;
}

/** The default of {@linkcode CloseOnSignalsOptions.drainTimeout}. */
export const DEFAULT_SIGNAL_DRAIN_TIMEOUT = 5_000;

/**
 * Closes a listener or a peer, or several of them, when a signal asks the process
 * to end. It works in Deno, Node and Bun.
 *
 * - The first signal drains: nothing new is accepted, and calls in progress have
 *   `drainTimeout` to end. The process then ends by itself, if nothing else keeps
 *   it running.
 * - The second signal closes at once, and then ends the process with the exit code
 *   that shells report for that signal, such as 130 for `SIGINT`.
 * - A third one ends the process without waiting for anything.
 *
 * It listens to the signals until everything is closed, for any reason, or its
 * result is disposed of. From then on the signals have their usual effect. As long
 * as a program listens to a signal, the signal does not end it. An error that the
 * `close()` of an object of your own throws is an uncaught error.
 *
 * @example
 * ```ts
 * import { handlerFrom, listen } from "@qtalk/qtalk";
 * import { closeOnSignals } from "@qtalk/qtalk/signals";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: handlerFrom({ ping: () => "pong" }),
 * });
 * using _ = closeOnSignals(listener, { drainTimeout: 10_000 });
 * // A server awaits `listener.closed` here.
 * ```
 *
 * @param closable a listener, a peer, or anything else with `closed` and `close()`;
 * or several
 * @param options how long to drain, and on which signals
 * @throws {RangeError} if `drainTimeout` is out of range
 * @throws {TypeError} if this runtime has no signals, or lacks one of `signals`
 */
export function closeOnSignals(
  closable: Closable | Iterable<Closable>,
  options: CloseOnSignalsOptions = {},
): ClosingOnSignals {
  checkObject("options of closeOnSignals()", options);
  checkFunctions(options, "onSignal");
  checkList("signals", options.signals);
  const { drainTimeout = DEFAULT_SIGNAL_DRAIN_TIMEOUT, onSignal } = options;
  checkCloseOptions({ drainTimeout });
  const runtime = runtimeSignals();
  const all = Symbol.iterator in Object(closable)
    ? [...closable as Iterable<Closable>]
    : [closable as Closable];
  for (const one of all) {
    checkMethods("closable", one, "something with a close() method", "close");
  }
  const listening = new Map<string, () => void>();
  let received: string | undefined;
  let count = 0;

  function onArrival(signal: string): void {
    received ??= signal;
    count++;
    const end = () => runtime.exit(exitCode(signal));
    try {
      // First, while a peer can still make calls, such as one that says goodbye.
      onSignal?.(signal, count);
    } finally {
      if (count === 1) void closeAll(all, { drainTimeout });
      // In a later turn: what the program does when it is closed comes first.
      else if (count === 2) void closeAll(all).finally(() => setTimeout(end));
      else end();
    }
  }
  function forget(): void {
    for (const [signal, listener] of listening) {
      runtime.remove(signal, listener);
    }
    listening.clear();
  }

  try {
    for (const signal of options.signals ?? runtime.defaults) {
      if (listening.has(signal)) continue;
      const listener = () => onArrival(signal);
      runtime.add(signal, listener);
      listening.set(signal, listener);
    }
  } catch (error) {
    forget();
    throw error;
  }
  void Promise.allSettled(all.map(({ closed }) => closed)).then(forget);
  return {
    get received() {
      return received;
    },
    [Symbol.dispose]: forget,
  };
}

/** An error of the program's own `close()` is an uncaught one. */
async function closeAll(
  all: readonly Closable[],
  options?: { drainTimeout: number },
): Promise<void> {
  await Promise.all(all.map(async (one) => await one.close(options)));
}

/** Numbers of signals, for exit codes. */
const NUMBERS: Readonly<Record<string, number>> = Object.freeze({
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGTERM: 15,
  SIGBREAK: 21,
});

/** The exit code that shells report for a process that a signal has ended. */
function exitCode(signal: string): number {
  return signal in NUMBERS ? 128 + NUMBERS[signal]! : 1;
}

/** What a runtime does about signals. */
interface RuntimeSignals {
  /** The signals that ask a process to end. */
  readonly defaults: readonly string[];
  add(signal: string, listener: () => void): void;
  remove(signal: string, listener: () => void): void;
  exit(code: number): void;
}

/** The part of `Deno` that is used here. */
interface DenoLike {
  readonly build: { readonly os: string };
  addSignalListener(signal: string, listener: () => void): void;
  removeSignalListener(signal: string, listener: () => void): void;
  exit(code: number): void;
}

/** The part of Node's `process` that is used here. */
interface ProcessLike {
  readonly platform: string;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
  getBuiltinModule?(
    name: "node:os",
  ): { constants: { signals: Readonly<Record<string, number>> } } | undefined;
  exit(code: number): void;
}

function runtimeSignals(): RuntimeSignals {
  const { Deno: deno, process } = globalThis as {
    Deno?: DenoLike;
    process?: ProcessLike;
  };
  if (deno?.addSignalListener !== undefined) {
    return {
      defaults: defaultSignals(deno.build.os === "windows"),
      add: (signal, listener) => deno.addSignalListener(signal, listener),
      remove: (signal, listener) => deno.removeSignalListener(signal, listener),
      exit: (code) => deno.exit(code),
    };
  }
  if (process?.on !== undefined) {
    return {
      defaults: defaultSignals(process.platform === "win32"),
      add(signal, listener) {
        // Node takes any name for that of an event.
        const os = process.getBuiltinModule?.("node:os");
        if (os?.constants.signals[signal] === undefined) {
          throw new TypeError(
            `Cannot close on signals: there is no signal "${signal}"`,
          );
        }
        process.on(signal, listener);
      },
      remove: (signal, listener) => process.off(signal, listener),
      exit: (code) => process.exit(code),
    };
  }
  throw new TypeError("Cannot close on signals: this runtime has no signals");
}

function defaultSignals(onWindows: boolean): readonly string[] {
  return ["SIGINT", onWindows ? "SIGBREAK" : "SIGTERM"];
}

/**
 * What code leaves in its surroundings while a test runs: timers, listeners on
 * AbortSignals, and rejections without a handler.
 *
 * @module
 */
import { interceptTimers } from "../timers.ts";
import { turn } from "../turn.ts";
import type { Leak, Leaves } from "./leak.ts";

/** A timer that has not run. */
interface Timer {
  delay: number;
  /** Where it was set; its stack is made only if it is asked for. */
  at: Error;
}

/** A listener that is still on its signal. */
interface Listening {
  signal: AbortSignal;
  type: string;
  at: Error;
  /** Where the signal was made. */
  madeAt: Error;
}

const ROOT = new URL("../../../", import.meta.url).pathname;
/** The modules that watch. */
const WATCHERS = [import.meta.url, import.meta.resolve("../timers.ts")]
  .map((url) => new URL(url).pathname);
/** Modules of the layers, tests excluded. */
const LIBRARY = /^(?:mux|rpc|codec|talk)\/.*(?<!_test)\.ts$/;

/** Watches globals from the moment it is made until {@linkcode stop}. */
export class AmbientWatch {
  readonly #saved = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    AbortController: globalThis.AbortController,
  };
  readonly #timeout = AbortSignal.timeout;
  readonly #timers = new Map<unknown, Timer>();
  readonly #listeners = new Set<Listening>();
  readonly #rejections: unknown[] = [];

  /** Starts to watch. */
  constructor() {
    this.#watchTimers();
    this.#watchSignals();
    addEventListener("unhandledrejection", this.#onRejection);
  }

  /** Gives the globals back. */
  stop(): void {
    Object.assign(globalThis, this.#saved);
    AbortSignal.timeout = this.#timeout;
    removeEventListener("unhandledrejection", this.#onRejection);
  }

  /** What is left, after at most so many turns of the event loop. */
  async leaks(turns: number, leaves: Leaves): Promise<Leak[]> {
    // Rejections are reported a turn after they happened.
    for (let i = 0; i < 2; i++) await turn();
    const patience = leaves.timers ?? leaves.listeners ? 0 : turns;
    for (let i = 0; i < patience; i++) {
      // Timers of a few milliseconds are about to run.
      const waiting = [...this.#timers.values()].some(({ delay }) =>
        delay < 50
      );
      if (!waiting && this.#heard().length === 0) break;
      await turn();
    }
    return [
      ...[...this.#timers.values()].map(({ delay, at }): Leak => ({
        kind: "timers",
        text: `a timer of ${delay} ms is still running, set at ${placeOf(at)}`,
      })),
      ...this.#heard().map(({ type, at }): Leak => ({
        kind: "listeners",
        text: `a listener for "${type}" is still on an AbortSignal, added at ${
          placeOf(at)
        }`,
      })),
      ...this.#rejections.map((reason): Leak => ({
        kind: "rejections",
        text: `a promise rejected without a handler: ${
          reason instanceof Error ? reason.stack : reason
        }`,
      })),
    ];
  }

  readonly #onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    this.#rejections.push(event.reason);
  };

  #watchTimers(): void {
    interceptTimers({
      onSet: (id, delay) => this.#timers.set(id, { delay, at: new Error() }),
      onGone: (id) => this.#timers.delete(id),
    });
  }

  #watchSignals(): void {
    const timeout = this.#timeout;
    const listen = (signal: AbortSignal) => this.#listen(signal, new Error());
    globalThis.AbortController = class extends this.#saved.AbortController {
      constructor() {
        super();
        listen(super.signal);
      }
    };
    AbortSignal.timeout = (ms) => {
      const signal = timeout.call(AbortSignal, ms);
      listen(signal);
      return signal;
    };
  }

  /** Counts the listeners of a signal. */
  #listen(signal: AbortSignal, madeAt: Error): void {
    type Callback = Parameters<AbortSignal["addEventListener"]>[1];
    const { addEventListener, removeEventListener } = signal;
    const own = new Map<unknown, Listening>();
    const listeners = this.#listeners;
    const forget = (callback: unknown) => {
      const listening = own.get(callback);
      if (listening !== undefined) listeners.delete(listening);
      own.delete(callback);
    };
    Object.defineProperties(signal, {
      addEventListener: {
        configurable: true,
        writable: true,
        value(type: string, callback: Callback, options?: unknown) {
          if (!own.has(callback)) {
            const listening: Listening = {
              signal,
              type,
              at: new Error(),
              madeAt,
            };
            own.set(callback, listening);
            listeners.add(listening);
          }
          addEventListener.call(signal, type, callback, options as never);
        },
      },
      removeEventListener: {
        configurable: true,
        writable: true,
        value(type: string, callback: Callback, options?: unknown) {
          forget(callback);
          removeEventListener.call(signal, type, callback, options as never);
        },
      },
    });
  }

  /**
   * The listeners that count. A signal that has aborted calls none again, and
   * one that the library made goes away with what it is for.
   */
  #heard(): Listening[] {
    return [...this.#listeners].filter(({ signal, madeAt }) => {
      if (signal.aborted) return false;
      return !LIBRARY.test(placeOf(madeAt).replace(/:\d+:\d+$/, ""));
    });
  }
}

/** Where an error was made: the innermost place that is none of the watchers. */
function placeOf(error: Error): string {
  const frame = (error.stack ?? "").split("\n").slice(1)
    .find((line) =>
      line.includes(ROOT) && !WATCHERS.some((path) => line.includes(path))
    );
  // Most runtimes write URLs there, and Bun paths.
  const place = frame?.slice(frame.indexOf(ROOT) + ROOT.length);
  return place?.match(/^[^\s)]*/)?.[0] ?? "elsewhere";
}

import { coarseTimer, type RepeatableTimer } from "../../time_limit.ts";
import { DEFAULT_KEEP_ALIVE_OPTIONS, type SessionOptions } from "../options.ts";
import { type Clock, SYSTEM_CLOCK } from "./turns.ts";

/** Looks at the silence within the shorter of the two times. */
const LOOKS = 5;

/** When a silent peer counts as lost; see `KeepAliveOptions`. */
export interface KeepAlive {
  /** Milliseconds of silence after which the peer is asked. */
  readonly interval: number;
  /** Milliseconds that it then has. */
  readonly timeout: number;
}

/**
 * What the option `keepAlive` means for a session.
 *
 * @param option the option
 * @param isConnection whether the transport is one that is watched by default
 * @returns `"refused"` if the peer is not to ping this side either, and undefined
 * if there is nothing to watch
 */
export function keepAliveOf(
  option: SessionOptions["keepAlive"],
  isConnection: boolean,
): KeepAlive | "refused" | undefined {
  if (option === false) return "refused";
  if (option === undefined) {
    if (!isConnection) return undefined;
    if (isOnDeploy()) return "refused";
  }
  // Most sessions share these.
  if (typeof option !== "object") return DEFAULT_KEEP_ALIVE_OPTIONS;
  const { interval, timeout } = DEFAULT_KEEP_ALIVE_OPTIONS;
  return {
    interval: option.interval ?? interval,
    timeout: option.timeout ?? timeout,
  };
}

/** What this module uses of Deno, which other runtimes do not have. */
interface DenoLike {
  readonly env: { get(name: string): string | undefined };
  readonly permissions?: {
    querySync(
      descriptor: { name: "env"; variable: string },
    ): { readonly state: string };
  };
}

/**
 * Whether this is Deno Deploy, where traffic keeps a program running that would
 * otherwise be stopped, and paid for less. A program that may not read the variable
 * is not asked for permission: on Deploy, all programs may.
 */
function isOnDeploy(): boolean {
  const { Deno: deno } = globalThis as { Deno?: DenoLike };
  if (deno === undefined) return false;
  const variable = "DENO_DEPLOYMENT_ID";
  try {
    const { state } = deno.permissions?.querySync({ name: "env", variable }) ??
      { state: "granted" };
    return state === "granted" && deno.env.get(variable) !== undefined;
  } catch {
    return false;
  }
}

/** What a {@linkcode SilenceWatch} watches. */
export interface Watched {
  /** Whether there was a sign of life since this was last asked. */
  heard(): boolean;
  /** The number of the write that is under way; 0 if there is none. */
  write(): number;
  /** Asks the peer for a sign of life; returns whether that was possible. */
  ask(): boolean;
  /** The peer has been silent for so many milliseconds, and counts as lost. */
  lost(silence: number): void;
}

/** Timers and clock of a {@linkcode SilenceWatch}; tests bring their own. */
export interface WatchTime {
  /** Makes a timer, as {@linkcode coarseTimer} does. */
  readonly timer: (expire: () => void) => RepeatableTimer;
  /** Measures how late timers are. */
  readonly now: Clock;
}

const WATCH_TIME: WatchTime = {
  timer: coarseTimer,
  now: SYSTEM_CLOCK,
};

/**
 * Finds out whether a peer has vanished: a process that was stopped, a cable that
 * was pulled, a relay that passes nothing on. None of them ends the byte stream.
 *
 * A peer that is silent for `interval` is asked for a sign of life, and lost if
 * there is none within `timeout`. Whatever arrives is one. So is the end of a write
 * that had to wait, since the other end has made room for it: on a slow line, bulk
 * data that is on its way delays the question. A peer that does not read takes only
 * what fits into the buffers of the system.
 *
 * Silence is measured by timers that come in time. One that is late shows that this
 * process did not run, and not that the peer is silent: it counts as if it were not
 * late, and the peer is not lost before there was another look at what may have
 * arrived meanwhile.
 */
export class SilenceWatch {
  readonly #watched: Watched;
  readonly #keepAlive: KeepAlive;
  readonly #now: Clock;
  readonly #timer: RepeatableTimer;
  /** Milliseconds between two looks. */
  readonly #tick: number;
  #stopped = false;
  /** When the timer was set, and for how long. */
  #setAt = 0;
  #delay = 0;
  /** Milliseconds of silence. */
  #silence = 0;
  /** The silence when the peer was asked. */
  #askedAt: number | undefined;
  /** Whether a late timer was all that spoke against the peer. */
  #looksAgain = false;
  /** The write that was under way at the last look, and one that had to wait. */
  #seenWrite = 0;
  #waitingWrite = 0;

  /** Starts to watch. */
  constructor(
    watched: Watched,
    keepAlive: KeepAlive,
    time: WatchTime = WATCH_TIME,
  ) {
    this.#watched = watched;
    this.#keepAlive = keepAlive;
    this.#now = time.now;
    this.#timer = time.timer(() => this.#look());
    const { interval, timeout } = keepAlive;
    this.#tick = Math.max(1, Math.min(interval, timeout) / LOOKS);
    this.#set(this.#tick);
  }

  /** Stops watching. */
  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  #set(delay: number): void {
    this.#delay = delay;
    this.#setAt = this.#now();
    this.#timer.set(delay);
  }

  #look(): void {
    const passed = this.#now() - this.#setAt;
    const isLate = passed > this.#delay + this.#tick;
    const { heard, progressed } = this.#signs();
    if (heard || progressed) this.#reset();
    else this.#silence += isLate ? this.#delay : Math.max(passed, this.#delay);
    if (!this.#decide(isLate) || this.#stopped) return;
    // While a write may turn out to be one that waits, this looks again soon.
    const soon = this.#seenWrite !== 0 && this.#waitingWrite === 0;
    const next = soon ? this.#tick / LOOKS : this.#tick;
    this.#set(Math.max(1, Math.min(next, this.#left)));
  }

  #signs(): { heard: boolean; progressed: boolean } {
    const heard = this.#watched.heard();
    if (heard) {
      this.#seenWrite = this.#waitingWrite = 0;
      return { heard, progressed: false };
    }
    const write = this.#watched.write();
    const progressed = this.#waitingWrite !== 0 && write !== this.#waitingWrite;
    const waits = write !== 0 && write === this.#seenWrite;
    this.#waitingWrite = waits ? write : 0;
    this.#seenWrite = write;
    return { heard, progressed };
  }

  #reset(): void {
    this.#silence = 0;
    this.#askedAt = undefined;
    this.#looksAgain = false;
  }

  /** Milliseconds until the silence has another meaning. */
  get #left(): number {
    const { interval, timeout } = this.#keepAlive;
    const left = this.#askedAt === undefined
      ? interval - this.#silence
      : this.#askedAt + timeout - this.#silence;
    return left > 0 ? left : this.#tick;
  }

  /** Asks the peer, or gives it up; returns whether to go on. */
  #decide(isLate: boolean): boolean {
    const { interval, timeout } = this.#keepAlive;
    if (this.#askedAt === undefined) {
      if (this.#silence >= interval && this.#watched.ask()) {
        this.#askedAt = this.#silence;
      }
      return true;
    }
    if (this.#silence < this.#askedAt + timeout) return true;
    if (isLate && !this.#looksAgain) {
      this.#looksAgain = true;
      return true;
    }
    this.stop();
    this.#watched.lost(this.#silence);
    return false;
  }
}

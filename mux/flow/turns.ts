import { Queue } from "../../queue.ts";

/** A monotonic clock, in milliseconds. */
export type Clock = () => number;

/** The clock of all sessions except those of tests. */
export const SYSTEM_CLOCK: Clock = () => performance.now();

/**
 * A clock that reads the system's clock at most once a turn. Reading it costs as
 * much as queueing a frame, and one call would read it eight times.
 *
 * A *turn* is what this side does in response to one event of the event loop: it
 * starts when a chunk of bytes arrives (or a timer or promise of the application
 * fires), and lasts until the program waits for the next event. The frames of a
 * turn share one write, and bytes that arrive in a turn are lent from the
 * transport's buffer until it ends. The session calls {@linkcode tick} when bytes
 * arrive and when a write starts.
 */
export class TurnClock {
  readonly #read: Clock;
  #now: number | undefined;

  /** Makes a clock that reads `read`. */
  constructor(read: Clock) {
    this.#read = read;
  }

  /** The time at which the clock was first read in this turn, in milliseconds. */
  now(): number {
    return this.#now ??= this.#read();
  }

  /** Starts a new turn. */
  tick(): void {
    this.#now = undefined;
  }
}

/** Runtimes for servers have it as a global: Deno since 2.4, Node, Bun. */
interface Runtime {
  setImmediate?: (callback: () => void) => unknown;
}

/**
 * Passes through the event loop of Deno after which it has looked at its sockets.
 * It is a task of a scheduler (tokio), which looks at them when no task is ready,
 * or else once in 61 runs of a task. While something is always ready, a single
 * pass runs timers and callbacks, and connections wait for up to 61 passes.
 */
const DENO_PASSES = 61;

/**
 * Lets the event loop turn once: other sockets, timers and sessions get their
 * turn. A loop that awaits only what is ready, such as reads of a socket that a
 * peer keeps filled, runs in microtasks and would keep everything else waiting.
 *
 * In browsers a message port does what `setImmediate()` does elsewhere. Their
 * timers have a minimum of four milliseconds, or a second in a page that is not
 * visible.
 */
export function nextTurn(): Promise<void> {
  return afterPasses("Deno" in globalThis ? DENO_PASSES : 1);
}

/**
 * Lets timers and other sessions have their turn. On Deno, sockets may have to wait,
 * and it costs less than {@linkcode nextTurn}.
 */
export function nextPass(): Promise<void> {
  return afterPasses(1);
}

function afterPasses(passes: number): Promise<void> {
  const { setImmediate } = globalThis as Runtime;
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      const pass = () => void (passes-- > 0 ? setImmediate(pass) : resolve());
      return pass();
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      port2.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** Milliseconds of work after which timers and other sessions have their turn. */
const TIME_PER_TURN = 4;
/**
 * Milliseconds of work after which sockets have theirs, too. On Deno, that takes a
 * tenth of a millisecond, and data that arrives in smaller pieces costs more.
 */
const TIME_PER_LOOK = 16;
/** Milliseconds from which on a turn of others shows that they have much to do. */
const LONG_TURN = 1;
/**
 * Milliseconds that others may go on to work before those that wait have their
 * turn: eight times as many as these have.
 */
const TIME_FOR_OTHERS = 8 * TIME_PER_TURN;

/**
 * The work that the sessions of a pool, or one without a pool, may do before the
 * event loop turns. If each had a budget of its own, forty that are kept busy
 * would do forty times as much before a socket or a timer gets its turn.
 *
 * Only work that is worth timing counts: a session that has received a few small
 * frames need not wait for those that are busy. These take turns in order, and
 * only when the others have nothing more to do, or have worked for long: of a
 * thousand sessions that make a call each, the last would otherwise wait for the
 * turns that a busy one has between them.
 */
export class TurnBudget {
  readonly #waiting = new Queue<() => void>();
  readonly #now: Clock;
  /** Milliseconds of work since others had their turn. */
  #spent = 0;
  /** Milliseconds of work before that, since sockets had their turn. */
  #spentBefore = 0;
  /** Whether the event loop is to turn, or a session has its turn. */
  #busy = false;
  /** Whether the others had much to do when they last had their turn. */
  #crowded = false;

  /** Makes a budget; tests pass their own clock. */
  constructor(now: Clock = () => performance.now()) {
    this.#now = now;
  }

  /** Whether work has to {@linkcode wait}. */
  get isSpent(): boolean {
    return this.#spent >= TIME_PER_TURN || this.#waiting.length > 0;
  }

  /** Counts `ms` milliseconds of work. */
  count(ms: number): void {
    this.#spent += ms;
  }

  /**
   * Waits until the event loop has turned, and others have had their turn. Then the
   * caller counts its work, and calls {@linkcode done} in any case.
   */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#busy) return;
      this.#busy = true;
      void this.#turn();
    });
  }

  /** The work that waited is done: the next in line has its turn. */
  done(): void {
    if (this.#waiting.length === 0) this.#busy = false;
    else if (this.#spent >= TIME_PER_TURN) void this.#turn();
    else this.#waiting.shift()!();
  }

  async #turn(): Promise<void> {
    this.#spentBefore += this.#spent;
    const begun = this.#now();
    if (!this.#crowded && this.#spentBefore < TIME_PER_LOOK) await nextPass();
    else await this.#look();
    let last = begun;
    let now = this.#now();
    this.#crowded = now - begun >= LONG_TURN;
    // What they do takes time, in which more may have arrived for them.
    while (now - last >= LONG_TURN && now - begun < TIME_FOR_OTHERS) {
      await this.#look();
      last = now;
      now = this.#now();
    }
    this.#spent = 0;
    this.#waiting.shift()!();
  }

  async #look(): Promise<void> {
    await nextTurn();
    this.#spentBefore = 0;
  }
}

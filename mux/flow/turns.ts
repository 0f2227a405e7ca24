import { Queue } from "../../queue.ts";
import { backgroundTimer } from "../../time_limit.ts";

/** A monotonic clock, in milliseconds. */
export type Clock = () => number;

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
 * Lets timers and other sessions have their turn: what is cheaper than
 * {@linkcode nextTurn} on Deno, where sockets may have to wait.
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
 * tenth of one, and what arrives in smaller pieces costs more.
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
  /** Milliseconds of work until then since sockets had theirs. */
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

/** Milliseconds between two looks at what waits. */
const LOOK_TIME = 25;
/**
 * Looks after which it leaves, so that it waits for 75 to 100 ms: with a thousand
 * connections, as many calls may pass before the next one over the same connection.
 */
const LOOKS = 4;
/** Writes that leave at one look: others that are ready must not wait for more. */
const MOST_AT_ONCE = 64;

/** What writes, and may defer a write. */
export interface DeferringWriter {
  /** The number of the look before which it began to wait; -1 while nothing waits. */
  deferredAt: number;
  /** Whether {@linkcode DeferredWrites} looks at it. */
  isWatched: boolean;
  /** Writes what has waited for as long as it may. */
  deferralExpired(): void;
}

/**
 * Frames that nothing depends on wait here for the next write of their session, so
 * that they need none of their own: of the three writes of a call that is the only
 * one of its connection, one had been for the five bytes of its last CLOSE. They do
 * not wait for longer than 100 ms.
 *
 * The sessions of a pool share one timer, and so a busy server or client has one.
 */
export class DeferredWrites {
  readonly #timer: typeof backgroundTimer;
  #watched: DeferringWriter[] = [];
  /** How many of them wait. */
  #waiting = 0;
  #look = 0;
  #cancel: (() => void) | undefined;
  #begun = false;

  /** Looks at nothing yet; tests bring their own timer. */
  constructor(timer: typeof backgroundTimer = backgroundTimer) {
    this.#timer = timer;
  }

  /** Something of `writer` begins to wait. */
  add(writer: DeferringWriter): void {
    writer.deferredAt = this.#look;
    this.#waiting++;
    if (writer.isWatched) return;
    writer.isWatched = true;
    this.#watched.push(writer);
    if (this.#cancel === undefined) this.#set(LOOK_TIME, this.#next);
  }

  /** It waits no longer. */
  delete(writer: DeferringWriter): void {
    writer.deferredAt = -1;
    this.#waiting--;
  }

  /** A writer has ended: without any that wait, there is no timer. */
  writerEnded(): void {
    if (this.#waiting > 0 || this.#cancel === undefined) return;
    this.#cancel();
    this.#cancel = undefined;
    for (const writer of this.#watched) writer.isWatched = false;
    this.#watched = [];
  }

  #set(ms: number, expire: () => void): void {
    this.#cancel = this.#timer(ms, expire, !this.#begun);
    this.#begun = true;
  }

  readonly #next = (): void => {
    this.#look++;
    this.#send();
  };

  readonly #send = (): void => {
    if (this.#cancel === undefined) return;
    this.#cancel = undefined;
    const watched = this.#watched;
    let kept = 0;
    let sent = 0;
    for (const writer of watched) {
      const since = writer.deferredAt;
      const isDue = since >= 0 && this.#look - since >= LOOKS;
      if (since >= 0 && !(isDue && sent < MOST_AT_ONCE)) {
        watched[kept++] = writer;
        continue;
      }
      writer.isWatched = false;
      if (!isDue) continue;
      sent++;
      writer.deferralExpired();
    }
    watched.length = kept;
    if (kept === 0) return;
    // Those that are left over are due as well.
    if (sent === MOST_AT_ONCE) this.#set(1, this.#send);
    else this.#set(LOOK_TIME, this.#next);
  };
}

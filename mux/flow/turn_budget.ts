import { Queue } from "../../queue.ts";
import { nextPass, nextTurn } from "./next_turn.ts";
import type { Clock } from "./turn_clock.ts";

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

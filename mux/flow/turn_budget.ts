import { Queue } from "../../queue.ts";
import { nextPass, nextTurn } from "./next_turn.ts";

/** Milliseconds of work after which timers and other sessions have their turn. */
const TIME_PER_TURN = 4;
/**
 * Milliseconds of work after which sockets have theirs, too. On Deno, that takes a
 * tenth of one, and what arrives in smaller pieces costs more.
 */
const TIME_PER_LOOK = 16;

/**
 * The work that the sessions of a pool, or one without a pool, may do before the
 * event loop turns. If each had a budget of its own, forty that are kept busy
 * would do forty times as much before a socket or a timer gets its turn.
 *
 * Only work that is worth timing counts: a session that has received a few small
 * frames need not wait for those that are busy. These take turns in order.
 */
export class TurnBudget {
  readonly #waiting = new Queue<() => void>();
  /** Milliseconds of work since others had their turn. */
  #spent = 0;
  /** Milliseconds of work until then since sockets had theirs. */
  #spentBefore = 0;
  /** Whether the event loop is to turn, or a session has its turn. */
  #busy = false;

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
    if (this.#spentBefore < TIME_PER_LOOK) await nextPass();
    else {
      await nextTurn();
      this.#spentBefore = 0;
    }
    this.#spent = 0;
    this.#waiting.shift()!();
  }
}

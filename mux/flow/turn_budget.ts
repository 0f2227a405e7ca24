import { Queue } from "../../queue.ts";
import { nextTurn } from "./next_turn.ts";

/** Milliseconds of work after which the event loop turns. */
const TIME_PER_TURN = 4;

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
  /** Milliseconds of work since the event loop turned. */
  #spent = 0;
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
    await nextTurn();
    this.#spent = 0;
    this.#waiting.shift()!();
  }
}

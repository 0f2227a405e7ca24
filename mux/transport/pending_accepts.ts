import { Queue } from "../../queue.ts";
import type { Accepted } from "./types.ts";

/** A connection that can be accepted, or an error of accepting. */
type Outcome = { accepted: Accepted } | { error: unknown };

/**
 * What a listener has for the calls of `accept()` that come later, and the call that
 * waits for it: there is one at a time.
 */
export class PendingAccepts {
  readonly #outcomes = new Queue<Outcome>();
  #waiting: PromiseWithResolvers<Accepted | null> | undefined;

  /** Whether there is nothing for the next call. */
  get isEmpty(): boolean {
    return this.#outcomes.length === 0;
  }

  /** Adds a connection, or the error of a failed attempt. */
  push(outcome: Outcome): void {
    if (this.#waiting === undefined) this.#outcomes.push(outcome);
    else this.#settle(outcome);
  }

  /** Waits for what comes next; `null` after {@linkcode end}. */
  next(): Promise<Accepted | null> {
    const outcome = this.#outcomes.shift();
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    if (outcome !== undefined) this.#settle(outcome);
    return promise;
  }

  /** Ends the call that waits: nothing more comes. */
  end(): void {
    this.#waiting?.resolve(null);
    this.#waiting = undefined;
  }

  /** Closes the connections that were not accepted. */
  discard(): void {
    for (;;) {
      const outcome = this.#outcomes.shift();
      if (outcome === undefined) return;
      if ("accepted" in outcome) void outcome.accepted.transport.close();
    }
  }

  #settle(outcome: Outcome): void {
    if ("accepted" in outcome) this.#waiting?.resolve(outcome.accepted);
    else this.#waiting?.reject(outcome.error);
    this.#waiting = undefined;
  }
}

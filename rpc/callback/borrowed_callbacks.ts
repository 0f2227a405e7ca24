import type { SessionState } from "../session_state.ts";
import type { Call, Caller } from "../types.ts";
import type { RemoteFunction } from "./remote_function.ts";

/**
 * The callbacks among the arguments of one incoming call. The call lends them
 * until it ends; those that are retained or being called by then are kept.
 */
export class BorrowedCallbacks {
  readonly #caller: Caller;
  readonly #session: SessionState;
  readonly #selector: string;
  readonly #call: Call | undefined;
  readonly #functions = new Set<RemoteFunction>();
  #state: "pending" | "continued" | "ended" = "pending";

  /**
   * Makes the callbacks of a call of `selector`; `caller` calls them.
   *
   * @param call the call, if calls of them may take no longer than it
   */
  constructor(
    caller: Caller,
    session: SessionState,
    selector: string,
    call: Call | undefined,
  ) {
    this.#caller = caller;
    this.#session = session;
    this.#selector = selector;
    this.#call = call;
  }

  /** What the program gets for an ID. */
  borrow(id: string): unknown {
    const { callbacks, remotes } = this.#session;
    const original = callbacks.original(id);
    if (original !== undefined) return original;
    const fn = remotes.get(id, this.#caller, this.#selector);
    const value = fn.value();
    if (this.#state !== "ended" && !this.#functions.has(fn)) {
      this.#functions.add(fn);
      // After a continued response, no header can name it any more.
      const isPending = this.#state === "pending";
      fn.lend(!isPending, isPending ? this.#call : undefined);
    }
    return value;
  }

  /**
   * The IDs that the answer has to name.
   *
   * @param ends whether the answer ends the call
   */
  keptIds(ends: boolean): readonly string[] {
    const ids: string[] = [];
    for (const fn of this.#functions) if (fn.isKept(ends)) ids.push(fn.id);
    return ids;
  }

  /** The answer that names these IDs is being sent. */
  answered(keptIds: readonly string[], ends: boolean): void {
    this.#state = "continued";
    const kept = new Set(keptIds);
    for (const fn of this.#functions) {
      fn.answered(kept.has(fn.id), this.#call);
    }
    if (ends) this.ended();
  }

  /** The call has ended: nothing of it is lent any more. */
  ended(): void {
    if (this.#state === "ended") return;
    const functions = [...this.#functions];
    this.#functions.clear();
    if (this.#state === "pending") {
      for (const fn of functions) fn.answered(false, this.#call);
    }
    this.#state = "ended";
    for (const fn of functions) fn.ended();
  }
}

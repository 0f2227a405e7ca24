import type { SessionState } from "../session_state.ts";
import type { Caller } from "../types.ts";
import { type CallbackFunction, RemoteFunction } from "./remote_function.ts";

/**
 * The callbacks among the arguments of one incoming call. They live until the
 * call is answered, except those that are retained or being called by then.
 */
export class BorrowedCallbacks {
  readonly #caller: Caller;
  readonly #session: SessionState;
  readonly #selector: string;
  readonly #functions: RemoteFunction[] = [];
  #answered = false;

  /** Makes the callbacks of a call of `selector`; `caller` calls them. */
  constructor(caller: Caller, session: SessionState, selector: string) {
    this.#caller = caller;
    this.#session = session;
    this.#selector = selector;
  }

  /** Makes the function for an ID. */
  borrow(id: string): CallbackFunction {
    // After a continued response, no header can name it any more.
    const state = this.#answered ? "late" : "lent";
    const fn = new RemoteFunction(
      id,
      this.#caller,
      this.#session,
      state,
      this.#selector,
    );
    if (state === "lent") this.#functions.push(fn);
    return fn.toFunction();
  }

  /**
   * The IDs that the answer has to name.
   *
   * @param ends whether the answer ends the call
   */
  keptIds(ends: boolean): readonly string[] {
    const ids = new Set<string>();
    for (const fn of this.#functions) if (fn.isKept(ends)) ids.add(fn.id);
    return [...ids];
  }

  /** The answer that names these IDs is being sent. */
  answered(keptIds: readonly string[], ends: boolean): void {
    this.#answered = true;
    const kept = new Set(keptIds);
    for (const fn of this.#functions.splice(0)) {
      fn.answered(kept.has(fn.id) ? "keep" : ends ? "return" : "continue");
    }
  }
}

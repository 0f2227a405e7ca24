import type { MemoryAccount, MemoryKind } from "../../mux/internal.ts";
import { printableText } from "../../printable_text.ts";
import { RpcError } from "../errors.ts";
import type { Call, Caller } from "../types.ts";
import { BORROWED_SIZE } from "./pointers.ts";
import { revivePointers } from "./received_pointers.ts";
import type { RemoteFunction, RemoteFunctions } from "./remote_function.ts";

/**
 * So many callbacks of a call are not counted: those of all calls that may run at the
 * same time are 4 MiB.
 */
const FEW = 5;
/** One part in so many of what a session may hold is for calls that go on. */
const PART_OF_STREAMS = 2;

/** What borrowed callbacks use of their session. */
export interface BorrowingSession {
  /** What the session may hold. */
  readonly account: MemoryAccount;
  /** The functions that the peer lends to this side. */
  readonly remotes: RemoteFunctions;
  /** Called when decoded arguments are held no more. */
  readonly onArgumentsFreed: (() => void) | undefined;
  /** What this side sent under an ID, and the peer gives back; else undefined. */
  originalOf(id: string): unknown;
}

/**
 * The callbacks among the arguments of one incoming call. The call lends them
 * until it ends; those that are retained or being called by then are kept. Until
 * then they count as arguments, also those of a stream of arguments that the
 * program has passed over. Of these there is a limit: a call that holds much and
 * waits for more could wait for others that do the same.
 */
export class BorrowedCallbacks {
  readonly #caller: Caller;
  readonly #session: BorrowingSession;
  readonly #selector: string;
  readonly #call: Call | undefined;
  readonly #reserved: boolean;
  #memory: MemoryKind;
  readonly #functions = new Set<RemoteFunction>();
  #state: "pending" | "continued" | "ended" = "pending";
  /** Whether the program has received another argument, or waits for one. */
  #goesOn = false;

  /**
   * Makes the callbacks of a call of `selector`; `caller` calls them.
   *
   * @param reserved whether they are taken from the reserve
   * @param call the call, if calls of them may take no longer than it
   */
  constructor(
    caller: Caller,
    session: BorrowingSession,
    selector: string,
    reserved: boolean,
    call?: Call,
  ) {
    this.#caller = caller;
    this.#session = session;
    this.#selector = selector;
    this.#call = call;
    this.#reserved = reserved;
    this.#memory = this.#kind("arguments");
  }

  #kind(name: "arguments" | "functions"): MemoryKind {
    const kind = this.#session.account[name];
    return this.#reserved ? kind.reserved : kind;
  }

  /**
   * The program goes on to the next of several arguments.
   *
   * @throws {RpcError} `limit-exceeded` if calls that do so hold too many functions
   */
  goOn(): void {
    if (this.#goesOn) return;
    this.#goesOn = true;
    const before = this.#memory;
    this.#memory = this.#kind("functions");
    const { size } = this.#functions;
    if (size <= FEW || this.#state === "ended") return;
    before.give(size * BORROWED_SIZE);
    this.#memory.take(size * BORROWED_SIZE);
    this.#checkLimit();
    this.#session.onArgumentsFreed?.();
  }

  #checkLimit(): void {
    const { functions, limit } = this.#session.account;
    const most = Math.min(limit, functions.largest) / PART_OF_STREAMS;
    if (functions.held <= most) return;
    throw new RpcError(
      "limit-exceeded",
      `Cannot receive function in call "${
        printableText(this.#selector)
      }": the functions of calls that continue take more than ${most} bytes, half of what a session can hold (option "maxHeldSize")`,
    );
  }

  /** Replaces the pointers in a decoded value, in place. */
  revive(value: unknown): unknown {
    return revivePointers(value, this.#borrow);
  }

  /** What the program gets for an ID. */
  readonly #borrow = (id: string): unknown => {
    const original = this.#session.originalOf(id);
    if (original !== undefined) return original;
    const fn = this.#session.remotes.get(id, this.#caller, this.#selector);
    const value = fn.value();
    if (this.#state !== "ended" && !this.#functions.has(fn)) {
      this.#functions.add(fn);
      const { size } = this.#functions;
      if (size > FEW) {
        this.#memory.take(BORROWED_SIZE * (size === FEW + 1 ? size : 1));
        if (this.#goesOn) this.#checkLimit();
      }
      // After a continued response, no header can name it any more.
      const isPending = this.#state === "pending";
      fn.lend(!isPending, isPending ? this.#call : undefined);
    }
    return value;
  };

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
    if (functions.length > FEW) {
      this.#memory.give(functions.length * BORROWED_SIZE);
      this.#session.onArgumentsFreed?.();
    }
  }
}

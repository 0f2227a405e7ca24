import {
  DEFAULT_MAX_ITEMS,
  type ValueMemory,
  weightOf,
} from "../../codec/internal.ts";
import type { MemoryAccount, MemoryKind } from "../../mux/internal.ts";
import {
  BORROWED_SIZE,
  countMentions,
  MENTION_SIZE,
} from "../callback/pointers.ts";
import { Queue } from "../../queue.ts";

/**
 * How many times its bytes an argument takes at least while it arrives: itself,
 * and twice as much for the text that it becomes.
 */
const MEMORY_PER_BYTE = 3;

/** What an argument takes while it arrives is at most this part of the account. */
const LARGE_PART = 4;

/** An argument that has arrived and waits to be decoded. */
interface Arrived {
  /** Bytes that it may take in addition. */
  readonly more: number;
  readonly callback: () => void;
}

/**
 * Where the arguments of calls are read into. An argument begins when there is
 * memory for all that it may become when it is decoded. Otherwise a peer could let
 * many arrive at the same time, each of them small, and together too large as soon
 * as they are decoded.
 *
 * While the pool of a listener is low, there may not be as much for a long time.
 * An argument then begins with less, and is decoded when there is memory for the
 * rest, or when no other is held. The same goes for one with functions, of which
 * only its bytes tell: each costs more than the text that stands for it.
 */
export class ArgumentMemory implements ValueMemory {
  readonly #account: MemoryAccount;
  readonly #values: MemoryKind;
  readonly #nested: boolean;
  readonly #large: number;
  readonly #arrived = new Queue<Arrived>();
  #scheduled = false;

  /**
   * Makes memory for the arguments of a session.
   *
   * @param account the memory of the session
   * @param nested whether it is for nested calls, which use the reserve
   */
  constructor(account: MemoryAccount, nested: boolean) {
    const { values, limit } = account;
    this.#account = account;
    this.#values = nested ? values.reserved : values;
    this.#nested = nested;
    this.#large = Math.min(limit / LARGE_PART, values.largest);
  }

  get largest(): number {
    return this.#values.largest;
  }

  needFor(bytes: number): number {
    const most = this.#most(bytes);
    return this.#account.poolIsLow
      ? Math.min(bytes * MEMORY_PER_BYTE, most)
      : most;
  }

  /**
   * Whether arguments have taken more than there is. Functions take what they need
   * when they are found, so that this can be.
   */
  get isFull(): boolean {
    const { held, limit, arguments: decoded } = this.#account;
    return held > limit && decoded.held * 2 > limit && !this.#nested;
  }

  canUse(value: Uint8Array): boolean {
    const values = this.#values;
    const most = this.#most(value.length);
    // Counting functions takes longer than to decode a text.
    return values.canTake(most + mostFunctionsIn(value)) ||
      values.canTake(most) && values.canTake(most + functionsIn(value));
  }

  canTake(amount: number): boolean {
    return this.#values.canTake(amount);
  }

  tryTake(amount: number): boolean {
    return this.#values.tryTake(amount);
  }

  give(amount: number): void {
    this.#values.give(amount);
  }

  whenFree(amount: number, callback: () => void): () => void {
    return this.#values.whenFree(amount, callback);
  }

  whenUsable(
    value: Uint8Array,
    taken: number,
    callback: () => void,
  ): (() => void) | undefined {
    // What the caller of a nested call waits for must not wait for others. The only
    // argument never waits, so its functions need not be counted.
    if (this.#nested || this.#arrived.length === 0 && this.#isAlone) {
      return undefined;
    }
    const more = mostOf(value.length) + functionsIn(value) - taken;
    if (more <= 0) return undefined;
    if (this.#arrived.length === 0 && this.#hasRoomFor(more)) return undefined;
    const waiting = { more, callback };
    this.#arrived.push(waiting);
    return () => {
      this.#arrived.remove((other) => other === waiting);
      this.decodeSoon();
    };
  }

  /** Lets those that have arrived be decoded: others are not held any more. */
  decodeSoon(): void {
    if (this.#scheduled || this.#arrived.length === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#decode());
  }

  #decode(): void {
    this.#scheduled = false;
    for (;;) {
      const { first } = this.#arrived;
      if (first === undefined || !this.#hasRoomFor(first.more)) return;
      this.#arrived.shift();
      first.callback();
    }
  }

  /** What an argument takes that can have all that it may need. */
  #most(bytes: number): number {
    return Math.max(bytes, Math.min(mostOf(bytes), this.#large));
  }

  #hasRoomFor(more: number): boolean {
    return this.#isAlone || this.#account.arguments.canTake(more);
  }

  /** Whether no other argument is held. */
  get #isAlone(): boolean {
    return this.#account.arguments.held === 0;
  }
}

/** The most that an argument of `bytes` becomes when it is decoded. */
function mostOf(bytes: number): number {
  return weightOf(bytes, Math.min(bytes, DEFAULT_MAX_ITEMS));
}

/** The most that they could take, by its size alone. */
function mostFunctionsIn({ length }: Uint8Array): number {
  return Math.floor(length / MENTION_SIZE) * BORROWED_SIZE;
}

/** The most that the functions in an encoded argument take. */
function functionsIn(value: Uint8Array): number {
  return countMentions(value) * BORROWED_SIZE;
}

import type { MemoryAccount } from "../../mux/internal.ts";

/** Large headers that wait leave one part in this many of the account to channels. */
const CHANNEL_PART = 16;
/** The large headers of calls may take one part in this many of the account. */
const HEADER_PART = 16;

/** A call that may have a large header. */
export interface HeaderHolder {
  readonly request: {
    /** Bytes that its header takes, if it is a large one. */
    readonly weight: number;
  };
  /** Gives back the memory of a large header, once. */
  releaseHeader: (() => void) | undefined;
}

/** The memory of large headers of calls, which are held until the handler has finished. */
export class HeaderMemory {
  readonly #account: MemoryAccount;
  /** Bytes that calls hold, and those that nested ones hold. */
  readonly #held: [calls: number, nested: number] = [0, 0];

  /** Makes memory for the headers of a session. */
  constructor(account: MemoryAccount) {
    this.#account = account;
  }

  /**
   * Counts the header of a call as held until its `releaseHeader()`; returns false if
   * there is no memory for it. A part of the account is for headers in any case:
   * calls that hold the rest with their arguments may take a while. And what calls
   * hold that may wait leaves room for channels: calls that they wait for need one.
   */
  hold(call: HeaderHolder, nested: boolean): boolean {
    const { headers, limit } = this.#account;
    const memory = nested ? headers.reserved : headers;
    const { weight } = call.request;
    const which = nested ? 1 : 0;
    const held = this.#held;
    const fits = held[which] + weight <= limit / HEADER_PART;
    const left = nested ? 0 : limit / CHANNEL_PART;
    if (!fits && !memory.canTake(weight + left)) return false;
    held[which] += weight;
    memory.take(weight);
    call.releaseHeader = () => {
      call.releaseHeader = undefined;
      held[which] -= weight;
      memory.give(weight);
    };
    return true;
  }
}

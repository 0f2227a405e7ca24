import type { MemoryAccount } from "../../flow/memory_account.ts";

/** Bytes that a stream takes, in the runtime and here, before it has a channel. */
const STREAM_SIZE = 8 * 1024;

/**
 * Counts a stream of the peer whose channel it has not opened yet: otherwise a peer
 * could have thousands of them that no account knows of.
 */
export class Unopened {
  #account: MemoryAccount | undefined;

  /** Begins to count it. */
  constructor(account: MemoryAccount) {
    this.#account = account;
    account.channels.take(STREAM_SIZE);
  }

  /** It has a channel, or never will. */
  end(): void {
    this.#account?.channels.give(STREAM_SIZE);
    this.#account = undefined;
  }
}

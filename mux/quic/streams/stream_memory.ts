import type { MemoryAccount } from "../../flow/memory_account.ts";

/** Bytes that a stream takes, in the runtime and here. */
const STREAM_SIZE = 8 * 1024;

/**
 * Counts a stream while it has no channel, which would count itself: a peer could have
 * any number of streams of which no account knows, if it sent no OPEN on them, or did
 * not end them after CLOSE.
 */
export class StreamMemory {
  #account: MemoryAccount | undefined;
  #isCounted = false;

  /** Counts nothing yet. */
  constructor(account: MemoryAccount) {
    this.#account = account;
  }

  /** The stream has no channel, or no longer. */
  take(): void {
    if (this.#account === undefined || this.#isCounted) return;
    this.#isCounted = true;
    this.#account.channels.take(STREAM_SIZE);
  }

  /** The stream has a channel. */
  give(): void {
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#account?.channels.give(STREAM_SIZE);
  }

  /** The peer has ended the stream: it is not counted any more. */
  end(): void {
    this.give();
    this.#account = undefined;
  }
}

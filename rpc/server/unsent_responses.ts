import type { MemoryAccount, RawChannel } from "../../mux/internal.ts";

/**
 * Responses that cannot be sent may take one part in this many of the account.
 * Those that wait are not encoded: to encode more of them in a turn than that
 * would keep the event loop busy for too long.
 */
const UNSENT_PART = 4;

/** The responses of one session that the peer does not take as fast as they come. */
export class UnsentResponses {
  readonly #account: MemoryAccount;
  readonly #onRoom: () => void;
  /** Bytes of responses that were encoded and could not be sent yet. */
  #unsent = 0;
  /** Bytes of the latest of them: the next one is probably as large. */
  #expected = 0;
  /** Responses that wait to be encoded. */
  #waiting: Set<() => void> | undefined;

  /**
   * Starts without any.
   *
   * @param account what they count as held in
   * @param onRoom called when there is room for responses again
   */
  constructor(account: MemoryAccount, onRoom: () => void) {
    this.#account = account;
    this.#onRoom = onRoom;
  }

  /** Whether responses wait to be sent, and there is no memory for another one. */
  get congested(): boolean {
    const { limit, responses } = this.#account;
    return this.#unsent > 0 &&
      (this.#unsent >= limit / UNSENT_PART ||
        !responses.canTake(this.#expected));
  }

  /** Counts a response until `sent` settles. */
  hold(bytes: number, sent: Promise<void>): void {
    const { responses } = this.#account;
    this.#unsent += bytes;
    this.#expected = bytes;
    responses.take(bytes);
    const done = () => {
      this.#unsent -= bytes;
      responses.give(bytes);
      this.#serve();
    };
    sent.then(done, done);
  }

  /**
   * Calls back when they are no longer congested, or the channel has closed. What
   * waits has not been encoded, and takes its turn.
   */
  whenRoom(channel: RawChannel, callback: () => void): void {
    const waiting = this.#waiting ??= new Set();
    const end = () => {
      channel.cancelWhenClosed(end);
      waiting.delete(end);
      callback();
    };
    waiting.add(end);
    channel.whenClosed(end);
  }

  /**
   * Memory that others hold is not waited for: they may be handlers that hold
   * their arguments until they have answered. As long as responses wait, others
   * are on their way; when there are none, the next one may be encoded.
   */
  #serve(): void {
    for (const next of this.#waiting ?? []) {
      if (this.congested) return;
      next();
    }
    this.#onRoom();
  }
}

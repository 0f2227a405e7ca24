import { MuxError } from "../errors.ts";

/**
 * Idle frames that a useful one makes up for. qtalk-go sends a few for a channel:
 * EOF twice, or DATA after its own CLOSE.
 */
const PER_USEFUL_FRAME = 8;

/**
 * Bounds the idle frames of a peer, relative to the useful ones: those that carry
 * payload, or credit for bytes that were sent. An idle frame costs its sender
 * nothing, while a peer that sends useful ones is bounded by windows, or by what
 * this side sends.
 */
export class IdleBudget {
  readonly #limit: number;
  #left: number;

  /** Makes a budget of `limit` idle frames. */
  constructor(limit: number) {
    this.#limit = this.#left = limit;
  }

  /** Counts a useful frame. */
  countUseful(): void {
    if (this.#left === this.#limit) return;
    this.#left = Math.min(this.#limit, this.#left + PER_USEFUL_FRAME);
  }

  /**
   * Counts an idle frame.
   *
   * @throws {MuxError} `limit-exceeded` if the peer has sent too many
   */
  countIdle(frame: string, id: number): void {
    if (this.#left-- > 0) return;
    throw new MuxError(
      "limit-exceeded",
      `Cannot continue session: received more than ${this.#limit} idle frames, the last of them ${frame} for channel ${id}`,
    );
  }
}

/**
 * Connections of a listener that may be in their handshake. Beyond that, the oldest
 * of them is given up: it had the longest time.
 */
export const MAX_HANDSHAKES = 1_024;

/** One handshake. */
export interface Handshake {
  /** It has ended. Returns whether it was not given up before. */
  finish(): boolean;
  /** Gives it up, unless it has ended. */
  giveUp(): void;
}

/** The handshakes of a listener, of which there are at most {@linkcode MAX_HANDSHAKES}. */
export class Handshakes {
  /** Those that have not ended, the oldest first. */
  readonly #handshakes = new Set<Handshake>();

  /**
   * Begins one.
   *
   * @param onGiveUp closes its connection; called once at most
   */
  begin(onGiveUp: () => void): Handshake {
    const handshake = {
      finish: () => this.#handshakes.delete(handshake),
      giveUp: () => {
        if (handshake.finish()) onGiveUp();
      },
    };
    this.#handshakes.add(handshake);
    const [oldest] = this.#handshakes;
    if (this.#handshakes.size > MAX_HANDSHAKES) oldest!.giveUp();
    return handshake;
  }

  /** Whether one has neither ended nor was given up. */
  has(handshake: Handshake): boolean {
    return this.#handshakes.has(handshake);
  }

  /** Gives all of them up. */
  giveUpAll(): void {
    for (const handshake of [...this.#handshakes]) handshake.giveUp();
  }
}

/**
 * Bytes of DATA from which on the streams of a session wait for each other. Sixty
 * streams can have a write of one frame under way.
 */
const SEND_ROOM = 4 * 1024 * 1024;

/** A stream that waits until DATA may be queued. */
export interface WaitingStream {
  /**
   * Ends the wait. Returns whether the stream queues DATA in this turn, and then lets
   * the next one go on; if not, that one need not wait for it.
   */
  goOn(): boolean;
}

/**
 * What the streams of a session have queued for QUIC, and QUIC has not taken. Each
 * stream has a queue of its own, and a peer may read none of thousands of streams:
 * with a limit for each stream only, 200 of them held 211 MiB.
 *
 * Two ends of this package read every stream at once, so that between them only the
 * network makes a stream wait. qtalk-go reads a stream when its program does: see
 * `RoomShare`.
 */
export class SendRoom {
  #used = 0;
  /** In the order in which they have begun to wait. */
  readonly #waiting = new Set<WaitingStream>();

  /** Whether DATA may be queued. */
  get isFree(): boolean {
    return this.#used < SEND_ROOM;
  }

  /** Counts bytes that were queued. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  /** QUIC has taken bytes, or they were dropped. */
  give(bytes: number): void {
    this.#used -= bytes;
    this.serve();
  }

  /** Lets a stream go on when DATA may be queued, after those that wait already. */
  wait(stream: WaitingStream): void {
    this.#waiting.add(stream);
  }

  /** Forgets a stream that waits no longer. */
  leave(stream: WaitingStream): void {
    this.#waiting.delete(stream);
  }

  /** Lets the next stream go on, if there is room. It calls this when it has queued. */
  serve(): void {
    for (const stream of this.#waiting) {
      if (!this.isFree || stream.goOn()) return;
    }
  }
}

import { Queue } from "../../../queue.ts";

/**
 * Bytes of DATA from which on the streams of a session wait for each other. Sixty
 * streams can have a write under way, each of {@linkcode STREAM_WRITE}; the buffers
 * take up to twice as much.
 */
const SEND_ROOM = 4 * 1024 * 1024;

/** A write of a stream takes no further DATA from this many bytes on: one frame. */
export const STREAM_WRITE = 64 * 1024;

/**
 * What the streams of a session have queued for QUIC, and QUIC has not taken. Each
 * stream has a queue of its own, and a peer may read none of thousands of streams:
 * with a limit for each stream only, 200 of them held 211 MiB.
 *
 * Two ends of this package read every stream at once, so that between them only the
 * network makes a stream wait.
 */
export class SendRoom {
  #used = 0;
  readonly #waiting = new Queue<() => void>();

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

  /** Calls back once, when DATA may be queued; those who wait have their turns. */
  wait(go: () => void): void {
    this.#waiting.push(go);
  }

  /** Lets the next stream go on, if there is room. It calls this when it has queued. */
  serve(): void {
    if (this.isFree) this.#waiting.shift()?.();
  }
}

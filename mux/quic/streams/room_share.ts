import type { DataSource } from "../../wire/frame_source.ts";
import type { SendRoom, WaitingStream } from "./send_room.ts";
import type { StreamQueue } from "./stream_writer.ts";

/** Bytes of DATA from which on a stream queues no more while it writes. */
const BESIDE_WRITE = 1_024;

/** What a stream gathers its DATA in. */
export interface SharingQueue extends StreamQueue {
  /** Whether a write is under way. */
  readonly isWriting: boolean;
  /** Asks `source` for DATA before a coming write. */
  scheduleData(source: DataSource): void;
}

/** What one stream uses of the room that the streams of its session share. */
export class RoomShare implements DataSource, WaitingStream, StreamQueue {
  readonly #room: SendRoom;
  readonly #queue: SharingQueue;
  readonly #hasLeast: boolean;
  /** The channel whose bytes are to be sent. */
  #source: DataSource | undefined;
  /** Bytes of DATA in the queue, apart from those that are being written. */
  #queued = 0;
  /** Set while the stream waits for room, and resolves when that is over. */
  #parked: PromiseWithResolvers<void> | undefined;

  /**
   * Makes the share of a stream that has nothing queued.
   *
   * @param hasLeast whether the stream may send one frame at a time without room.
   * A peer that may leave streams unread would otherwise stop those that it reads
   */
  constructor(room: SendRoom, queue: SharingQueue, hasLeast: boolean) {
    this.#room = room;
    this.#queue = queue;
    this.#hasLeast = hasLeast;
  }

  /** Whether DATA may be queued now. */
  get isFree(): boolean {
    // More than this would wait beside what the write holds.
    const mayQueue = !this.#queue.isWriting || this.#queued < BESIDE_WRITE;
    return mayQueue && this.#mayTake;
  }

  /** Counts DATA that is queued. */
  take(bytes: number): void {
    this.#queued += bytes;
    this.#room.take(bytes);
  }

  /** Asks `source` for DATA as soon as there is room. */
  schedule(source: DataSource): void {
    this.#source = source;
    this.#queue.scheduleData(this);
  }

  pull(isAlone?: boolean): boolean {
    if (!this.#mayTake) {
      this.#parked ??= Promise.withResolvers();
      this.#room.wait(this);
      return false;
    }
    const isLeft = this.#source!.pull(isAlone);
    this.#room.serve();
    return isLeft;
  }

  goOn(): boolean {
    this.leave();
    this.#queue.scheduleData(this);
    return !this.#queue.isWriting;
  }

  /** Writes what is queued, which takes room until it has ended. */
  async during(write: () => Promise<void>): Promise<void> {
    const size = this.#queued;
    this.#queued = 0;
    try {
      await write();
    } finally {
      this.#room.give(size);
      // Others may never make room.
      if (this.#hasLeast && this.#parked !== undefined) this.goOn();
    }
  }

  async idle(): Promise<void> {
    await this.#queue.idle();
    while (this.#parked !== undefined) {
      await this.#parked.promise;
      await this.#queue.idle();
    }
  }

  /** Waits no longer for room. */
  leave(): void {
    this.#room.leave(this);
    this.#parked?.resolve();
    this.#parked = undefined;
  }

  /** The stream sends nothing more. */
  end(): void {
    this.leave();
    const size = this.#queued;
    this.#queued = 0;
    // It may also have been the next one to queue something.
    this.#room.give(size);
  }

  stop(): void {
    this.#queue.stop();
  }

  get #mayTake(): boolean {
    const isLeast = this.#hasLeast && this.#queued === 0 &&
      !this.#queue.isWriting;
    return isLeast || this.#room.isFree;
  }
}

import type { DataSource } from "../../wire/frame_source.ts";
import type { SharedBuffers } from "./shared_buffers.ts";
import type { SharingQueue } from "./room_share.ts";
import { view } from "../../../view.ts";

/** Passes through the microtask queue in which a turn may add more. */
const PASSES = 4;

/** How a {@linkcode ByteQueue} writes. */
export interface ByteQueueOptions {
  /** Writes all of `bytes`, which may change again once it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Called with the number of bytes of the channel that were written. */
  onWritten(bytes: number): void;
  /** Called once, when a write has failed; there are no writes after that. */
  onError(error: unknown): void;
  /** Where buffers come from. */
  buffers: SharedBuffers;
}

/**
 * What one channel sends on a stream without frames: it gathers the bytes of a turn
 * and writes them at once, as the frame queue does.
 */
export class ByteQueue implements SharingQueue {
  readonly #options: ByteQueueOptions;
  #buffer = new Uint8Array(0);
  #spare = new Uint8Array(0);
  #length = 0;
  #source: DataSource | undefined;
  #state: "idle" | "gathering" | "writing" | "stopped" = "idle";
  #idle: PromiseWithResolvers<void> | undefined;

  /** Makes an empty queue. */
  constructor(options: ByteQueueOptions) {
    this.#options = options;
  }

  /** Whether bytes may be queued now; otherwise {@linkcode scheduleData}. */
  get hasRoom(): boolean {
    return this.#length < this.#options.buffers.writeTarget;
  }

  get isWriting(): boolean {
    return this.#state === "writing";
  }

  /** Queues bytes, which are copied. */
  add(bytes: Uint8Array): void {
    if (this.#state === "stopped") return;
    const at = this.#length;
    this.#length = at + bytes.length;
    if (this.#length > this.#buffer.length) {
      this.#buffer = this.#options.buffers.grow(this.#buffer, at, this.#length);
    }
    this.#buffer.set(bytes, at);
    this.#wake();
  }

  scheduleData(source: DataSource): void {
    if (this.#state === "stopped") return;
    this.#source = source;
    this.#wake();
  }

  idle(): Promise<void> {
    if (this.#state === "idle" || this.#state === "stopped") {
      return Promise.resolve();
    }
    return (this.#idle ??= Promise.withResolvers<void>()).promise;
  }

  /** Drops what is queued and ignores what is queued later. */
  stop(): void {
    this.#state = "stopped";
    this.#buffer = this.#spare = new Uint8Array(0);
    this.#length = 0;
    this.#source = undefined;
    this.#idle?.resolve();
  }

  #wake(): void {
    if (this.#state !== "idle") return;
    this.#state = "gathering";
    void this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      for (let pass = 0; pass < PASSES; pass++) await null;
      this.#fill();
      if (this.#isStopped() || this.#length === 0) break;
      const buffer = this.#buffer;
      const length = this.#length;
      this.#buffer = this.#spare;
      this.#length = 0;
      this.#state = "writing";
      try {
        await this.#options.write(view(buffer, 0, length));
      } catch (error) {
        if (this.#isStopped()) return;
        this.stop();
        return this.#options.onError(error);
      }
      if (this.#isStopped()) return;
      this.#spare = this.#options.buffers.exchange(buffer) ?? buffer;
      this.#state = "gathering";
      this.#options.onWritten(length);
    }
    if (this.#isStopped()) return;
    this.#state = "idle";
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  #fill(): void {
    while (this.#source !== undefined && this.hasRoom) {
      if (!this.#source.pull()) this.#source = undefined;
    }
  }

  /** Reads the state again: TypeScript cannot know that a callback changes it. */
  #isStopped(): boolean {
    return this.#state === "stopped";
  }
}

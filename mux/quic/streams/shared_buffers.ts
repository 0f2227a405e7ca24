import { growBuffer, type WriteBuffers } from "../../wire/frame_queue.ts";

/** Bytes of the largest buffer that a stream keeps for itself between writes. */
const SMALL = 1024;
/**
 * Bytes up to which a buffer is made for a write, and dropped after it: a peer that
 * does not read keeps it, and a large one would be many times what is counted.
 */
const MEDIUM = 16 * 1024;
/** Bytes of a shared buffer: a frame of DATA, and small ones before it. */
const LARGE = 68 * 1024;
/** Shared buffers that are kept while no stream fills or writes them. */
const MAX_FREE = 16;

type Bytes = Uint8Array<ArrayBuffer>;

/** In place of a buffer that is not needed now. */
const NO_BUFFER = new Uint8Array(0);

/**
 * The large buffers in which the streams of a session gather what they send. A stream
 * has one only while it fills and writes it: when each kept its own, 200 streams that
 * waited held 36 MiB.
 */
export class SharedBuffers implements WriteBuffers {
  /** One frame of DATA. */
  readonly writeTarget = 64 * 1024;
  readonly #free: Bytes[] = [];

  readonly grow = (buffer: Uint8Array, used: number, needed: number): Bytes => {
    if (needed <= MEDIUM) return growBuffer(buffer, used, needed);
    const free = needed <= LARGE ? this.#free.pop() : undefined;
    const larger = free ?? new Uint8Array(Math.max(needed, LARGE));
    larger.set(buffer.subarray(0, used));
    return larger;
  };

  exchange(written: Bytes): Bytes | undefined {
    if (written.length <= SMALL) return undefined;
    const isShared = written.length === LARGE;
    if (isShared && this.#free.length < MAX_FREE) this.#free.push(written);
    return NO_BUFFER;
  }
}

import type { StreamTap } from "../../transport/types.ts";
import type { QuicReceiveStreamLike } from "../types.ts";

/** Bytes of the buffer that each stream has. */
const SMALL = 1024;
/** Bytes of a buffer that a stream borrows while much arrives. */
const LARGE = 64 * 1024;
/** Large buffers that the streams of a session share. */
const MAX_LARGE = 16;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The large buffers of a session. A read that waits keeps its buffer, and thousands
 * of streams may wait. So each stream has a small buffer of its own, and borrows a
 * large one when a read has filled it.
 */
export class ReadBuffers {
  readonly #free: Bytes[] = [];
  #made = 0;

  /** Borrows a buffer; undefined if all are in use. */
  take(): Bytes | undefined {
    const buffer = this.#free.pop();
    if (buffer !== undefined || this.#made >= MAX_LARGE) return buffer;
    this.#made++;
    return new Uint8Array(LARGE);
  }

  /** Gives one back; undefined if it is lost. */
  give(buffer: Bytes | undefined): void {
    if (buffer === undefined) this.#made--;
    else this.#free.push(buffer);
  }
}

/** Reads a stream of QUIC. There is one read at a time. */
export class StreamReader {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #buffers: ReadBuffers;
  readonly #tap: StreamTap | undefined;
  #small: Bytes | undefined;
  #large: Bytes | undefined;
  /** Whether the last read has filled its buffer: there is probably more. */
  #filled = false;

  /** Takes the reader of a stream; `tap` hears what arrives. */
  constructor(
    stream: QuicReceiveStreamLike,
    buffers: ReadBuffers,
    tap?: StreamTap,
  ) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#buffers = buffers;
    this.#tap = tap;
  }

  /**
   * Reads the next bytes, at most `limit`, which are valid until the next read;
   * `null` at the end of the stream.
   *
   * @throws {unknown} the runtime's error, if the stream was reset or the connection
   * is lost
   */
  async read(limit = Infinity): Promise<Bytes | null> {
    const large = this.#takeLarge(limit);
    const buffer = large ?? this.#small ?? new Uint8Array(SMALL);
    this.#small = large === undefined ? undefined : this.#small;
    this.#large = undefined;
    const size = Math.min(limit, buffer.length);
    let read: ReadableStreamReadResult<Bytes>;
    try {
      read = await this.#reader.read(buffer.subarray(0, size));
    } catch (error) {
      if (large !== undefined) this.#buffers.give(undefined);
      this.#tap?.receivedEnd();
      throw error;
    }
    const { value, done } = read;
    const back = value && new Uint8Array(value.buffer);
    if (done) {
      if (large !== undefined) this.#buffers.give(back);
      this.#tap?.receivedEnd();
      return null;
    }
    if (large === undefined) this.#small = back;
    else this.#large = back;
    this.#filled = value.length === size;
    this.#tap?.received(value);
    return value;
  }

  /** Asks the other side to stop sending; a pending read resolves to `null`. */
  async cancel(): Promise<void> {
    try {
      await this.#reader.cancel();
    } catch {
      // It has ended already.
    }
    this.#tap?.receivedEnd();
  }

  /** The buffer of the last read, or another one, if more than a little is awaited. */
  #takeLarge(limit: number): Bytes | undefined {
    const isWorth = this.#filled && limit > SMALL;
    if (isWorth) return this.#large ?? this.#buffers.take();
    if (this.#large !== undefined) this.#buffers.give(this.#large);
    return undefined;
  }
}

import { loadedInTime } from "../../time_limit.ts";
import type { RawChannel } from "../raw.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Bytes that a `writable` accepts ahead of the channel, so that `pipeTo()` reads
 * its next chunk while one waits for credit.
 */
const WRITE_AHEAD = 64 * 1024;

/** The web streams of a channel, created on first use. */
export class ChannelStreams {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #source: Source;
  readonly #sink: Sink;

  /** Makes the streams of `channel`. */
  constructor(channel: RawChannel) {
    this.#source = new Source(channel);
    this.readable = readableFrom(this.#source);
    this.#sink = new Sink(channel);
    this.writable = writableTo(this.#sink);
  }

  /** Whether `writable` has accepted chunks that the channel has not been given. */
  get holdsWrites(): boolean {
    return this.#sink.held > 0;
  }

  /**
   * Ends the channel's sending direction after the chunks that `writable` holds;
   * returns false if it holds none.
   */
  endAfterHeld(): boolean {
    return this.#sink.endAfterHeld();
  }

  /** Makes `writable` fail: the channel can no longer send. */
  fail(reason: unknown): void {
    this.#sink.fail(reason);
  }

  /** Makes `readable` fail, even if nothing is read. */
  failRead(reason: unknown): void {
    this.#source.fail(reason);
  }
}

/**
 * The underlying source of `readable`: a channel, read when a reader asks.
 *
 * Its states:
 *
 * - `idle`: no read is pending.
 * - `waiting`: a read is pending, and the channel has no bytes yet.
 * - `waiting-default`: as `waiting`, but the reader that asked has left and a
 *   default reader has asked after it. The stream still has the BYOB request of
 *   the first; an answer to that would be lost.
 * - `cancelled`: the stream is cancelled or has failed, and its controller must
 *   not be used.
 */
class Source {
  readonly channel: RawChannel;
  #controller!: ReadableByteStreamController | ReadableStreamDefaultController;
  #state: "idle" | "waiting" | "waiting-default" | "cancelled" = "idle";

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  /** Whether no bytes are between the channel and a reader, or on their way. */
  get isIdle(): boolean {
    return this.#state === "idle" && this.#controller.desiredSize === 0 &&
      this.#request === null;
  }

  start(
    controller: ReadableByteStreamController | ReadableStreamDefaultController,
  ): void {
    this.#controller = controller;
  }

  pull(): void {
    if (this.#state !== "idle") {
      // A second pull() while the first is pending is for a default reader.
      if (this.#state === "waiting") this.#state = "waiting-default";
      return;
    }
    if (this.#deliver()) return;
    this.#state = "waiting";
    this.channel.whenReadable(() => this.#readable());
  }

  cancel(): void {
    this.#state = "cancelled";
    this.channel.cancelRead();
  }

  fail(reason: unknown): void {
    if (this.#state === "cancelled") return;
    this.#state = "cancelled";
    // Has no effect on a stream that has ended.
    this.#controller.error(reason);
  }

  get #request(): ReadableStreamBYOBRequest | null {
    const controller = this.#controller;
    return "byobRequest" in controller ? controller.byobRequest : null;
  }

  #readable(): void {
    const state = this.#state;
    if (state === "cancelled") return;
    this.#state = "idle";
    this.#deliver(state === "waiting-default");
  }

  /**
   * Delivers bytes, or the end; returns false if there is neither yet. It must
   * not throw, because the session's read loop may call it.
   */
  #deliver(toDefaultReader = false): boolean {
    const { channel } = this;
    const controller = this.#controller;
    const request = this.#request;
    if (request !== null && !toDefaultReader) {
      const copied = copyTo(request.view as Bytes, channel);
      if (copied > 0) {
        request.respond(copied);
        return true;
      }
    } else {
      const chunk = channel.take();
      if (chunk !== undefined) {
        // A byte stream detaches the chunk's buffer, which holds nothing else.
        controller.enqueue(chunk);
        return true;
      }
    }
    if (!channel.ended) return false;
    if (channel.failure !== undefined) controller.error(channel.failure);
    else this.#end(request);
    return true;
  }

  #end(request: ReadableStreamBYOBRequest | null): void {
    try {
      this.#controller.close();
    } catch {
      return; // The end is inside an element: the stream has failed its reader.
    }
    request?.respond(0);
  }
}

/** Copies what has arrived into a reader's buffer; returns how many bytes. */
function copyTo(view: Bytes, channel: RawChannel): number {
  let at = 0;
  while (at < view.length) {
    const piece = channel.peek()?.subarray(0, view.length - at);
    if (piece === undefined) break;
    view.set(piece, at);
    at += piece.length;
    channel.consume(piece.length);
  }
  return at;
}

/** The underlying sink of `writable`: a channel. */
class Sink {
  readonly channel: RawChannel;
  /** Chunks that the stream has measured and not passed on. */
  held = 0;
  #controller!: WritableStreamDefaultController;
  /** Whether the stream has ended, so that `error()` would be too late. */
  #finished = false;
  /** How many held chunks are still to come before the end, once that is due. */
  #beforeEnd: number | undefined;

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller;
    // abort() of a sink runs after the pending write, which may wait for credit
    // forever; the signal does not wait.
    controller.signal.addEventListener("abort", () => {
      this.#finished = true;
      this.channel.abort(controller.signal.reason);
    }, { once: true });
  }

  /** The size of a chunk that a writer gives to the stream. */
  measure(chunk: unknown): number {
    this.held++;
    return chunk instanceof Uint8Array ? chunk.length : 0;
  }

  endAfterHeld(): boolean {
    // What the stream has refused after its close() was measured, too.
    if (this.#finished) return false;
    // Chunks that a program writes from now on are not sent.
    this.#beforeEnd ??= this.held;
    return this.#beforeEnd > 0;
  }

  write(chunk: unknown): Promise<void> | undefined {
    this.held--;
    if (chunk instanceof Uint8Array) {
      const sent = this.channel.send(chunk);
      if (this.#beforeEnd !== undefined) this.#countDown(this.#beforeEnd);
      return sent;
    }
    // No callback follows the failure of a sink, and the peer would wait.
    const error = new TypeError(
      "Cannot write to channel: the chunk is not a Uint8Array",
    );
    this.channel.abort(error);
    throw error;
  }

  /** A chunk before the end has been passed on; the channel sends it first. */
  #countDown(left: number): void {
    this.#beforeEnd = Math.max(left - 1, 0);
    if (left === 1) this.channel.closeWrite();
  }

  close(): void {
    this.#finished = true;
    this.channel.closeWrite();
  }

  fail(reason: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#controller.error(reason);
  }
}

/** The channels of `writable`s, for piping into them directly. */
const channelByWritable = new WeakMap<WritableStream, RawChannel>();

function writableTo(sink: Sink): WritableStream<Uint8Array> {
  const writable = new WritableStream<Uint8Array>({
    start: (controller) => sink.start(controller),
    write: (chunk) => sink.write(chunk),
    close: () => sink.close(),
  }, {
    highWaterMark: WRITE_AHEAD,
    // A ByteLengthQueuingStrategy would fail on other chunks before write() does.
    size: (chunk) => sink.measure(chunk),
  });
  channelByWritable.set(writable, sink.channel);
  return writable;
}

/**
 * Makes a `readable`. It is no subclass: Deno loads web streams, which takes two
 * milliseconds, when a program first uses one of their classes, and most programs
 * never do.
 */
function readableFrom(source: Source): ReadableStream<Bytes> {
  const readable = new ReadableStream({
    // Safari has no byte streams yet; there, BYOB readers are not available.
    type: typeof ReadableByteStreamController === "function"
      ? "bytes"
      : undefined,
    start: (controller) => source.start(controller),
    pull: () => source.pull(),
    cancel: () => source.cancel(),
    // With a high water mark of 0, pull() runs only for a pending read, so that
    // credit is returned for bytes that a reader has received.
  } as UnderlyingSource<Bytes>, { highWaterMark: 0 });
  /**
   * Like any `pipeTo()`. From one channel into another, it moves the bytes
   * without a buffer for each chunk.
   */
  function pipeTo(
    this: ReadableStream<Bytes>,
    destination: WritableStream<Bytes>,
    options?: StreamPipeOptions,
  ): Promise<void> {
    return this === readable && options === undefined &&
        pipeDirectly(source, readable, destination) ||
      ReadableStream.prototype.pipeTo.call(this, destination, options);
  }
  const hidden = { configurable: true, writable: true };
  return Object.defineProperty(readable, "pipeTo", {
    value: pipeTo,
    ...hidden,
  });
}

/** Does nothing and returns undefined if only the runtime's `pipeTo()` can pipe. */
function pipeDirectly(
  source: Source,
  readable: ReadableStream<Bytes>,
  writable: WritableStream<Uint8Array>,
): Promise<void> | undefined {
  const to = channelByWritable.get(writable);
  if (to === undefined || !source.isIdle) return undefined;
  if (readable.locked || writable.locked) return undefined;
  const writer = writable.getWriter();
  // Pending writes must go first.
  if (writer.desiredSize !== WRITE_AHEAD) return void writer.releaseLock();
  return pipeLocked(source.channel, readable, to, writable, writer);
}

/** What pipes them, once it is loaded: most programs pipe no channel into another. */
let piping: typeof import("../internal_server.ts") | undefined;

/** Does what `pipeTo()` does; `writable` is locked by `writer` for it. */
async function pipeLocked(
  from: RawChannel,
  readable: ReadableStream<Bytes>,
  to: RawChannel,
  writable: WritableStream<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const reader = readable.getReader();
  const unlock = () => {
    reader.releaseLock();
    writer.releaseLock();
  };
  try {
    piping ??= await loadedInTime(import("../internal_server.ts"));
  } catch {
    // A page without a network: the runtime does the same, with more copies.
    unlock();
    return await ReadableStream.prototype.pipeTo.call(readable, writable);
  }
  try {
    await piping.pipeStreams(from, reader, to, writer);
  } finally {
    unlock();
  }
}

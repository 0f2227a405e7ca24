import type { RawChannel } from "../raw.ts";
import { pipeBytes } from "./pipe.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Bytes that a `writable` takes ahead of the channel, so that `pipeTo()` reads
 * its next chunk while one waits for credit.
 */
const WRITE_AHEAD = 64 * 1024;

/** The web streams of a channel, made when somebody first asks for them. */
export class ChannelStreams {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #sink: Sink;

  /** Makes the streams of `channel`. */
  constructor(channel: RawChannel) {
    this.readable = readableFrom(new Source(channel));
    this.#sink = new Sink(channel);
    this.writable = writableTo(this.#sink);
  }

  /** The channel cannot send any more, for a reason outside the stream. */
  fail(reason: unknown): void {
    this.#sink.fail(reason);
  }
}

/** What `readable` reads from: a channel, when somebody waits for its bytes. */
class Source {
  readonly channel: RawChannel;
  #controller!: ReadableByteStreamController | ReadableStreamDefaultController;
  #waiting = false;
  /** Whether it is a default reader that waits, whatever a BYOB reader left. */
  #plain = false;
  #cancelled = false;

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  /** Whether nothing is between the channel and a reader, nor on its way. */
  get isIdle(): boolean {
    return !this.#waiting && this.#controller.desiredSize === 0 &&
      this.#request === null;
  }

  start(
    controller: ReadableByteStreamController | ReadableStreamDefaultController,
  ): void {
    this.#controller = controller;
  }

  pull(): void {
    if (this.#waiting) {
      // Asked again, by a default reader: behind the request of a BYOB reader
      // that left while it waited, whose answer would go to nobody.
      this.#plain = true;
      return;
    }
    if (this.#deliver()) return;
    this.#waiting = true;
    this.channel.whenReadable(() => {
      this.#waiting = false;
      // A controller of a cancelled stream throws, whatever it is told.
      if (!this.#cancelled) this.#deliver();
    });
  }

  cancel(): void {
    this.#cancelled = true;
    this.channel.cancelRead();
  }

  get #request(): ReadableStreamBYOBRequest | null {
    const controller = this.#controller;
    return "byobRequest" in controller ? controller.byobRequest : null;
  }

  /**
   * Hands bytes over, or the end; false if there is neither yet. Must not throw:
   * the session's read loop may be what calls it.
   */
  #deliver(): boolean {
    const { channel } = this;
    const controller = this.#controller;
    const request = this.#request;
    if (request !== null && !this.#plain) {
      const copied = copyTo(request.view as Bytes, channel);
      if (copied > 0) {
        request.respond(copied);
        return true;
      }
    } else {
      const chunk = channel.take();
      if (chunk !== undefined) {
        this.#plain = false;
        // A byte stream detaches the chunk's buffer, in which it is alone.
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
      return; // It ended within an element, and the stream says so to its reader.
    }
    request?.respond(0);
  }
}

/** Copies what arrived into a reader's own buffer; returns how many bytes. */
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

/** What `writable` writes to: a channel. */
class Sink {
  readonly channel: RawChannel;
  #controller!: WritableStreamDefaultController;
  #finished = false;

  constructor(channel: RawChannel) {
    this.channel = channel;
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller;
    // `abort()` of the sink waits for a write under way; the signal does
    // not, and a write that waits for credit may wait for ever.
    controller.signal.addEventListener("abort", () => {
      this.#finished = true;
      this.channel.abort(controller.signal.reason);
    }, { once: true });
  }

  write(chunk: unknown): Promise<void> | undefined {
    if (chunk instanceof Uint8Array) return this.channel.send(chunk);
    // A stream tells nobody that its sink failed; the peer would wait.
    const error = new TypeError("Cannot write: chunk is not a Uint8Array");
    this.channel.abort(error);
    throw error;
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

/** By their `writable`, the channels that can be piped into directly. */
const channelsOf = new WeakMap<WritableStream, RawChannel>();

function writableTo(sink: Sink): WritableStream<Uint8Array> {
  const writable = new WritableStream<Uint8Array>({
    start: (controller) => sink.start(controller),
    write: (chunk) => sink.write(chunk),
    close: () => sink.close(),
  }, {
    highWaterMark: WRITE_AHEAD,
    // The ready-made strategy fails on what has no length, before `write`.
    size: (chunk) => chunk instanceof Uint8Array ? chunk.length : 0,
  });
  channelsOf.set(writable, sink.channel);
  return writable;
}

/**
 * No subclasses: Deno loads web streams, which takes it two milliseconds, when
 * a program first names one of their classes, and most programs never do.
 */
function readableFrom(source: Source): ReadableStream<Bytes> {
  const readable = new ReadableStream({
    // Safari has no byte streams yet; there, readers bring no buffers.
    type: typeof ReadableByteStreamController === "function"
      ? "bytes"
      : undefined,
    start: (controller) => source.start(controller),
    pull: () => source.pull(),
    cancel: () => source.cancel(),
    // With a high water mark of 0, `pull` runs only for a read that waits, so
    // credit returned is bytes handed over.
  } as UnderlyingSource<Bytes>, { highWaterMark: 0 });
  /**
   * As any `pipeTo()`. From one channel into another, it moves the bytes
   * without making a buffer for each chunk.
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

/** Nothing, with nothing done, if it takes the runtime's own `pipeTo()`. */
function pipeDirectly(
  source: Source,
  readable: ReadableStream<Bytes>,
  writable: WritableStream<Uint8Array>,
): Promise<void> | undefined {
  const to = channelsOf.get(writable);
  if (to === undefined || !source.isIdle) return undefined;
  if (readable.locked || writable.locked) return undefined;
  const writer = writable.getWriter();
  // Writes that wait have to go first.
  if (writer.desiredSize !== WRITE_AHEAD) return void writer.releaseLock();
  const reader = readable.getReader();
  return pipe(source.channel, reader, to, writer).finally(() => {
    reader.releaseLock();
    writer.releaseLock();
  });
}

/** What `pipeTo()` does between two streams that it has locked. */
async function pipe(
  from: RawChannel,
  reader: ReadableStreamDefaultReader<Bytes>,
  to: RawChannel,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  let taken = false;
  const moved = pipeBytes(from, to);
  moved.then(() => taken = true, () => {});
  try {
    // The destination can also fail while nothing comes, or be closing already.
    await Promise.race([moved, writer.closed]);
    if (!taken) throw new TypeError("Cannot pipe: destination is closed");
  } catch (error) {
    await reader.cancel(error);
    throw error;
  }
  try {
    // All is taken: what is left to read is how it ended.
    await reader.read();
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
  await writer.close();
}

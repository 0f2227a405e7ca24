import type { QmuxChannel } from "./channel.ts";

/**
 * Bytes that a `writable` takes ahead of the channel, so that `pipeTo()` reads
 * its next chunk while one waits for credit.
 */
const WRITE_AHEAD = 64 * 1024;

/** The web streams of a channel, made when somebody first asks for them. */
export class ChannelStreams {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array>;
  #writer!: WritableStreamDefaultController;
  #finished = false;
  #cancelled = false;

  /** Makes the streams of `channel`. */
  constructor(channel: QmuxChannel) {
    // Not a byte stream: those detach the buffers that they are given. With a
    // high water mark of 0, `pull` runs only for a read that waits, so credit
    // returned is bytes handed over.
    this.readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => this.#pull(channel, controller),
      cancel: () => {
        this.#cancelled = true;
        channel.cancel();
      },
    }, { highWaterMark: 0 });
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writer = controller;
        // `abort()` of the sink waits for a write under way; the signal does
        // not, and a write that waits for credit may wait for ever.
        controller.signal.addEventListener("abort", () => {
          this.#finished = true;
          channel.abort(controller.signal.reason);
        }, { once: true });
      },
      write: (chunk) => {
        if (!(chunk instanceof Uint8Array)) {
          // A stream tells nobody that its sink failed; the peer would wait.
          const error = new TypeError(
            "Cannot write: chunk is not a Uint8Array",
          );
          channel.abort(error);
          throw error;
        }
        return channel.send(chunk);
      },
      close: () => {
        this.#finished = true;
        channel.finish();
      },
    }, {
      highWaterMark: WRITE_AHEAD,
      // The ready-made strategy fails on what has no length, before `write`.
      size: (chunk) => chunk instanceof Uint8Array ? chunk.length : 0,
    });
  }

  /** The channel cannot send any more, for a reason outside the stream. */
  fail(reason: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#writer.error(reason);
  }

  #pull(
    channel: QmuxChannel,
    controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>,
  ): Promise<void> | void {
    if (deliver(channel, controller)) return;
    return new Promise((resolve) => {
      channel.wait(() => {
        // A controller of a cancelled stream throws, whatever it is told.
        if (!this.#cancelled) deliver(channel, controller);
        resolve();
      });
    });
  }
}

/** Hands over a chunk, or the end; false if there is neither yet. */
function deliver(
  channel: QmuxChannel,
  controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>,
): boolean {
  const chunk = channel.take();
  if (chunk !== undefined) controller.enqueue(chunk);
  else if (!channel.ended) return false;
  else if (channel.failure === undefined) controller.close();
  else controller.error(channel.failure);
  return true;
}

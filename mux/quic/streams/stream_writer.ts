import type { StreamHost } from "./channel_stream.ts";
import type { StreamTap } from "../../transport/types.ts";
import type { QuicStreamLike } from "../types.ts";

/** What is queued for a stream. */
export interface StreamQueue {
  /** Resolves when nothing is queued, or nothing will be written any more. */
  idle(): Promise<void>;
  /** Ignores what is queued later. */
  stop(): void;
}

/** The direction of a stream that this side sends on. */
export class StreamWriter {
  readonly #stream: Promise<QuicStreamLike>;
  readonly #host: Pick<StreamHost, "countSent">;
  readonly #tap: StreamTap | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;

  /**
   * Makes one; the stream may have to wait until the peer allows another. `tap` hears
   * what is sent.
   */
  constructor(
    stream: Promise<QuicStreamLike>,
    host: Pick<StreamHost, "countSent">,
    tap?: StreamTap,
  ) {
    this.#stream = stream;
    this.#host = host;
    this.#tap = tap;
  }

  /** Writes all of `bytes`. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#writer ??= (await this.#stream).writable.getWriter();
    this.#host.countSent(bytes.length);
    this.#tap?.sent(bytes);
    await this.#writer.write(bytes);
  }

  /** Ends the direction, after what is queued. */
  async finish(queue: StreamQueue): Promise<void> {
    await queue.idle();
    queue.stop();
    this.#tap?.sentEnd();
    try {
      this.#writer ??= (await this.#stream).writable.getWriter();
      await this.#writer.close();
    } catch {
      // A stream that the peer has stopped needs no end.
    }
  }
}

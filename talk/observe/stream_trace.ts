/**
 * The streams of a session that has one for each channel (mux/quic/SPEC.md).
 *
 * @module
 */
import type { StreamTap } from "../../mux/internal.ts";
import type { ChannelTrace } from "./channel_trace.ts";
import type { End } from "./events.ts";
import { type ChannelHost, FrameTrace } from "./frame_trace.ts";

/** A stream with the frames of one channel. */
export class FramedStreamTrace implements StreamTap {
  readonly #host: ChannelHost;
  readonly #frames: FrameTrace;

  /** Makes one that has read nothing. */
  constructor(host: ChannelHost) {
    this.#host = host;
    this.#frames = new FrameTrace(host);
  }

  sent(bytes: Uint8Array): void {
    this.#push("near", bytes);
  }

  sentEnd(): void {
    // This side also ends it to close the session, and still reads.
  }

  received(bytes: Uint8Array): void {
    this.#push("far", bytes);
  }

  receivedEnd(): void {
    if (!this.#host.isOver) this.#frames.cut("far");
  }

  #push(by: End, bytes: Uint8Array): void {
    if (this.#host.isOver) return;
    this.#frames.push(by, bytes);
    this.#host.flushSome();
  }
}

/** A stream with the bytes of one channel, after a first one that is a mark. */
export class ByteStreamTrace implements StreamTap {
  readonly #host: ChannelHost;
  readonly #opener: End;
  #channel: ChannelTrace | undefined;
  #hasBegun = false;

  /** Makes one whose mark was not read. */
  constructor(host: ChannelHost, opener: End) {
    this.#host = host;
    this.#opener = opener;
  }

  sent(bytes: Uint8Array): void {
    this.#push("near", bytes);
  }

  sentEnd(): void {
    this.#end("near");
  }

  received(bytes: Uint8Array): void {
    this.#push("far", bytes);
  }

  receivedEnd(): void {
    this.#end("far");
  }

  #push(by: End, bytes: Uint8Array): void {
    if (this.#host.isOver) return;
    let payload = bytes;
    if (!this.#hasBegun && by === this.#opener && bytes.length > 0) {
      this.#hasBegun = true;
      this.#channel = this.#host.begin(by);
      this.#channel?.answered("opened");
      payload = bytes.subarray(1);
    }
    if (payload.length > 0) this.#channel?.take(by, payload);
    this.#host.flushSome();
  }

  /** The end of a direction is all that is said of the end of the channel. */
  #end(by: End): void {
    const channel = this.#channel;
    if (channel === undefined || this.#host.isOver) return;
    if (channel.close(by)) this.#host.retire(channel);
  }
}

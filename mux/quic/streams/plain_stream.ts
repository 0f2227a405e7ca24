import { connectionLost, MuxError, protocolError } from "../../errors.ts";
import { describeBytes } from "../../wire/foreign_bytes.ts";
import type { FrameSource } from "../../wire/frame_sender.ts";
import { ByteQueue } from "./byte_queue.ts";
import {
  type ChannelStream,
  isOfConnection,
  type StreamHost,
} from "./channel_stream.ts";
import { RoomShare } from "./room_share.ts";
import { StreamMemory } from "./stream_memory.ts";
import { StreamReader } from "./stream_reader.ts";
import { StreamWriter } from "./stream_writer.ts";
import type { StreamTap } from "../../transport/types.ts";
import type { QuicStreamLike } from "../types.ts";

/** What the opener of a stream sends first, so that the other side sees it. */
const FIRST_BYTE = 0x21;
/**
 * Bytes that a channel may have queued while there is room: QUIC has windows of its
 * own, and says nothing of them.
 */
const SEND_CREDIT = 256 * 1024;
/**
 * Bytes that a channel passes on at once. Each may queue as many without room, so that
 * 2,048 channels that are not read have 8 MiB beside the room itself.
 */
const PACKET_SIZE = 4 * 1024;

/**
 * A stream of qtalk-go's dialect (mux/quic/SPEC.md): only the bytes of a channel.
 *
 * The channel is the same as in a session of frames. The stream is read only as far
 * as the channel gives credit, so QUIC makes the peer wait; bytes that QUIC has taken
 * return credit to the channel.
 */
export class PlainStream implements ChannelStream {
  readonly id: number;
  readonly #host: StreamHost;
  readonly #stream: Promise<QuicStreamLike>;
  readonly #queue: ByteQueue;
  readonly #share: RoomShare;
  readonly #memory: StreamMemory;
  #channelId: number;
  readonly #writer: StreamWriter;
  readonly #tap: StreamTap | undefined;
  #reader: StreamReader | undefined;
  /** Bytes that may be read now. */
  #credit = 0;
  /** Resolves when more may be read, or nothing will be. */
  #credited: PromiseWithResolvers<void> | undefined;
  #isReceiving = true;
  #isSending = true;
  /** Whether this side has closed the channel, or refused it. */
  #closed = false;
  /** Whether the peer has stopped reading. */
  #stopped = false;
  #finishing: Promise<void> | undefined;
  /** Bytes of the mark, which are not the channel's. */
  #uncounted = 0;

  /** Makes a stream; the parameters are those of `FramedStream`. */
  constructor(
    id: number,
    host: StreamHost,
    stream: Promise<QuicStreamLike>,
    channelId: number | undefined,
    tap?: StreamTap,
  ) {
    this.id = id;
    this.#host = host;
    this.#stream = stream;
    this.#tap = tap;
    this.#writer = new StreamWriter(stream, host, tap);
    this.#channelId = channelId ?? -1;
    this.#memory = new StreamMemory(host.account);
    if (channelId === undefined) this.#memory.take();
    this.#queue = new ByteQueue({
      write: (bytes) => this.#share.during(() => this.#writer.write(bytes)),
      onWritten: (bytes) => this.#written(bytes),
      onError: (error) => this.#broken(error),
      buffers: host.writeBuffers,
    });
    this.#share = new RoomShare(host.sendRoom, this.#queue, true);
    void this.#run(channelId !== undefined);
  }

  // --- ChannelStream -----------------------------------------------------------

  get isReceiving(): boolean {
    return this.#isReceiving;
  }

  get hasRoom(): boolean {
    return this.#queue.hasRoom && this.#share.isFree;
  }

  /** Lets the peer see the stream; nothing answers, so the channel is open. */
  open(windowSize: number): void {
    this.#credit = windowSize;
    this.#uncounted = 1;
    this.#queue.add(Uint8Array.of(FIRST_BYTE));
  }

  accept(channelId: number, windowSize: number): void {
    this.#channelId = channelId;
    this.#addCredit(windowSize);
  }

  refuse(): void {
    this.#end();
  }

  data(payload: Uint8Array): void {
    if (!this.#isSending) return;
    this.#share.take(payload.length);
    this.#queue.add(payload);
  }

  eof(): void {
    void this.#finish();
  }

  close(isReply: boolean): void {
    this.#end();
    // Once this side reads nothing more, the peer's end will not be seen.
    if (!isReply) {
      queueMicrotask(() =>
        this.#tell(() => this.#host.channels.onClose(this.#channelId))
      );
    }
  }

  scheduleData(source: FrameSource): void {
    this.#share.schedule(source);
  }

  scheduleCredit(source: FrameSource): void {
    // Outside of the channel's method, which still counts.
    queueMicrotask(() => this.#addCredit(source.takeCredit()));
  }

  written(): Promise<void> {
    return this.#queue.idle();
  }

  drain(): Promise<void> {
    // Ending the direction would say that it is complete.
    return this.#finishing ?? this.#share.idle();
  }

  end(): void {
    this.#queue.stop();
    this.#memory.end();
    this.#share.leave();
    this.#closed = true;
    this.#credited?.resolve();
  }

  // --- Private -----------------------------------------------------------------

  async #run(isOutgoing: boolean): Promise<void> {
    let failure: unknown;
    try {
      const { readable } = await this.#stream;
      const reader = new StreamReader(readable, this.#host.buffers, this.#tap);
      this.#reader = reader;
      if (isOutgoing) this.#opened();
      if (isOutgoing || await this.#begun(reader)) await this.#read(reader);
    } catch (error) {
      if (error instanceof MuxError) return this.#host.fail(error);
      if (isOfConnection(error)) return;
      failure = error;
    }
    this.#isReceiving = false;
    this.#memory.end();
    this.#tell(() => this.#receiveEnded(failure));
    this.#host.receiveEnded(this);
    this.#releaseIfDone();
  }

  #opened(): void {
    const { channels } = this.#host;
    channels.tick();
    channels.onOpenConfirm(this.#channelId, this.id, SEND_CREDIT, PACKET_SIZE);
  }

  /** Reads the first byte of the peer's stream; returns whether there is one. */
  async #begun(reader: StreamReader): Promise<boolean> {
    const first = await reader.read(1);
    if (first === null) {
      void this.#finish();
      return false;
    }
    this.#host.countReceived(1);
    if (first[0] !== FIRST_BYTE) {
      throw protocolError(
        `received a stream that does not begin with "!": ${
          describeBytes(first)
        }`,
      );
    }
    this.#host.channels.tick();
    this.#memory.end();
    this.#host.channels.onOpen(this.id, SEND_CREDIT, PACKET_SIZE);
    return true;
  }

  /** Reads what the channel has credit for, up to the end. */
  async #read(reader: StreamReader): Promise<void> {
    for (;;) {
      while (this.#credit === 0) {
        if (this.#closed) return;
        this.#credited = Promise.withResolvers<void>();
        await this.#credited.promise;
      }
      const limit = Math.min(this.#credit, this.#host.maxPacketSize);
      const chunk = await reader.read(limit);
      if (chunk === null || this.#closed) return;
      this.#credit -= chunk.length;
      await this.#host.deliver(this.#channelId, chunk);
    }
  }

  #receiveEnded(failure: unknown): void {
    const { channels } = this.#host;
    if (this.#closed || this.#channelId < 0) return;
    if (failure !== undefined) {
      const how = "the peer has reset the stream of the channel";
      channels.lose(this.#channelId, connectionLost(how, failure));
      return this.#end();
    }
    channels.onEof(this.#channelId);
    if (this.#stopped) channels.onClose(this.#channelId);
  }

  #addCredit(bytes: number): void {
    if (bytes === 0) return;
    this.#credit += bytes;
    this.#credited?.resolve();
  }

  /** QUIC has taken bytes: the channel may send as many more. */
  #written(bytes: number): void {
    const credit = bytes - this.#uncounted;
    this.#uncounted = 0;
    if (credit === 0 || this.#closed) return;
    this.#tell(() =>
      this.#host.channels.onWindowAdjust(this.#channelId, credit)
    );
  }

  /** Tells the channel something, outside of the reading of the stream. */
  #tell(step: () => void): void {
    try {
      this.#host.channels.tick();
      step();
    } catch (error) {
      if (!(error instanceof MuxError)) throw error;
      this.#host.fail(error);
    }
  }

  /** Writing has failed. */
  #broken(error: unknown): void {
    this.#sendingEnded();
    if (isOfConnection(error) || this.#closed) return this.#releaseIfDone();
    // qtalk-go closes a channel in this way, and also ends its own direction.
    this.#stopped = true;
    const id = this.#channelId;
    const { channels } = this.#host;
    if (!this.#isReceiving) this.#tell(() => channels.onClose(id));
    else {
      channels.failSend(
        id,
        new MuxError(
          "channel-closed",
          "Cannot write to channel: the peer has stopped reading it",
          { cause: error },
        ),
      );
    }
    this.#releaseIfDone();
  }

  /** Ends both directions. */
  #end(): void {
    this.#closed = true;
    // The channel has no more bytes to send.
    this.#share.leave();
    void this.#finish();
    this.#credited?.resolve();
    if (this.#isReceiving) void this.#reader?.cancel();
  }

  /** Ends this direction, after what is queued. */
  #finish(): Promise<void> {
    return this.#finishing ??= this.#writer.finish(this.#share).then(() => {
      this.#sendingEnded();
      this.#releaseIfDone();
    });
  }

  #sendingEnded(): void {
    this.#isSending = false;
    this.#share.end();
  }

  #releaseIfDone(): void {
    if (!this.#isSending && !this.#isReceiving) this.#host.release(this);
  }
}

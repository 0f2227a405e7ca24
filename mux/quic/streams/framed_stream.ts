import { connectionLost, MuxError, protocolError } from "../../errors.ts";
import { FrameDecoder, type FrameSink } from "../../wire/frame_decoder.ts";
import { FrameQueue } from "../../wire/frame_queue.ts";
import type { CreditSource } from "../../wire/frame_source.ts";
import type { FrameSource } from "../../wire/frame_sender.ts";
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

/**
 * What the peer may send next:
 *
 * - `opening`: the answer to this side's OPEN.
 * - `new`: OPEN.
 * - `waiting`: nothing, until the application has accepted its channel.
 * - `open`: frames for the channel.
 * - `ended`: nothing; one side has sent CLOSE or a refusal.
 */
type Phase = "opening" | "new" | "waiting" | "open" | "ended";

/** A channel ID in a frame: the stream says which channel it is. */
const ID = 0;

/**
 * A stream of this package's own dialect (mux/quic/SPEC.md): the frames of one
 * channel, as a byte stream would carry them.
 */
export class FramedStream implements ChannelStream, FrameSink, CreditSource {
  readonly id: number;
  /** For the queue, which writes it into WINDOW_ADJUST. */
  readonly remoteId = ID;
  readonly #host: StreamHost;
  readonly #stream: Promise<QuicStreamLike>;
  readonly #queue: FrameQueue;
  readonly #share: RoomShare;
  readonly #memory: StreamMemory;
  readonly #decoder = new FrameDecoder(this);
  #channelId: number;
  #phase: Phase;
  readonly #writer: StreamWriter;
  readonly #tap: StreamTap | undefined;
  #reader: StreamReader | undefined;
  /** The channel whose credit is to be returned. */
  #creditSource: CreditSource | undefined;
  #isReceiving = true;
  #finishing: Promise<void> | undefined;
  #isSending = true;

  /**
   * Makes a stream that the peer has opened, or that this side opens for a channel.
   *
   * @param id for the session
   * @param host the session
   * @param stream the stream, which may have to wait until the peer allows another
   * @param channelId the channel that this side opens; undefined if the peer does
   * @param tap hears what passes
   */
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
    this.#phase = channelId === undefined ? "new" : "opening";
    this.#queue = new FrameQueue({
      write: (bytes) => this.#share.during(() => this.#writer.write(bytes)),
      onError: (error) => this.#broken(error),
      maxQueuedReplySize: host.maxQueuedReplySize,
      buffers: host.writeBuffers,
    });
    this.#share = new RoomShare(host.sendRoom, this.#queue, false);
    void this.#read();
  }

  // --- ChannelStream -----------------------------------------------------------

  get isReceiving(): boolean {
    return this.#isReceiving;
  }

  get hasRoom(): boolean {
    return this.#queue.hasRoom && this.#share.isFree;
  }

  /** Sends OPEN. */
  open(windowSize: number, maxPacketSize: number): void {
    this.#queue.open(ID, windowSize, maxPacketSize);
  }

  accept(
    channelId: number,
    windowSize: number,
    maxPacketSize: number,
    isReply: boolean,
  ): void {
    this.#channelId = channelId;
    if (this.#phase === "waiting" && this.#isReceiving) {
      this.#phase = "open";
      this.#queue.openConfirm(ID, ID, windowSize, maxPacketSize, isReply);
    } else {
      // The stream ended while its OPEN waited for the application, which has yet
      // to get the channel.
      queueMicrotask(() => this.#lose(undefined));
    }
  }

  refuse(): void {
    this.#channelEnded();
    this.#queue.openFailure(ID);
    void this.#finish();
  }

  data(payload: Uint8Array): void {
    if (!this.#isSending) return;
    this.#share.take(payload.length);
    this.#queue.data(ID, payload);
  }

  eof(): void {
    this.#queue.eof(ID);
  }

  close(isReply: boolean): void {
    this.#queue.close(ID, isReply);
    // The channel has no more bytes to send.
    this.#share.leave();
    void this.#finish();
  }

  scheduleData(source: FrameSource): void {
    this.#share.schedule(source);
  }

  scheduleCredit(source: FrameSource): void {
    this.#creditSource = source;
    this.#queue.scheduleCredit(this);
  }

  takeCredit(): number {
    return this.#creditSource?.takeCredit() ?? 0;
  }

  written(): Promise<void> {
    return this.#queue.written();
  }

  drain(): Promise<void> {
    return this.#finish();
  }

  end(): void {
    this.#queue.stop();
    this.#memory.end();
    this.#share.leave();
  }

  // --- FrameSink ---------------------------------------------------------------

  onOpen(_id: number, windowSize: number, maxPacketSize: number): void {
    this.#expect("new", "OPEN");
    this.#phase = "waiting";
    this.#memory.give();
    this.#host.channels.onOpen(this.id, windowSize, maxPacketSize);
  }

  onOpenConfirm(
    _recipientId: number,
    _senderId: number,
    windowSize: number,
    maxPacketSize: number,
  ): void {
    this.#expect("opening", "OPEN_CONFIRM");
    this.#phase = "open";
    this.#host.channels.onOpenConfirm(
      this.#channelId,
      this.id,
      windowSize,
      maxPacketSize,
    );
  }

  onOpenFailure(): void {
    this.#expect("opening", "OPEN_FAILURE");
    this.#channelEnded();
    this.#host.channels.onOpenFailure(this.#channelId);
    void this.#finish();
  }

  onWindowAdjust(_id: number, bytesToAdd: number): void {
    this.#expect("open", "WINDOW_ADJUST");
    this.#host.channels.onWindowAdjust(this.#channelId, bytesToAdd);
  }

  onData(_id: number, length: number): void {
    this.#expect("open", "DATA");
    this.#host.channels.onData(this.#channelId, length);
  }

  onPayload(chunk: Uint8Array, from: number, to: number): void {
    this.#host.channels.onPayloadOf(this.#channelId, chunk, from, to);
  }

  onEof(): void {
    this.#expect("open", "EOF");
    this.#host.channels.onEof(this.#channelId);
  }

  onClose(): void {
    this.#expect("open", "CLOSE");
    this.#channelEnded();
    this.#host.channels.onClose(this.#channelId);
  }

  // --- Private -----------------------------------------------------------------

  #expect(phase: Phase, frame: string): void {
    if (this.#phase === phase) return;
    throw protocolError(
      `received ${frame} on a stream ${STATES[this.#phase]}`,
    );
  }

  async #read(): Promise<void> {
    let failure: unknown;
    try {
      const { readable } = await this.#stream;
      const reader = new StreamReader(readable, this.#host.buffers, this.#tap);
      this.#reader = reader;
      for (;;) {
        const chunk = await reader.read();
        if (chunk === null) break;
        await this.#host.decode(this.#decoder, chunk);
      }
    } catch (error) {
      if (error instanceof MuxError) return this.#host.fail(error);
      if (isOfConnection(error)) return;
      failure = error;
    }
    this.#isReceiving = false;
    this.#memory.end();
    this.#lose(failure);
    if (this.#phase !== "waiting") void this.#finish();
    this.#host.receiveEnded(this);
    this.#releaseIfDone();
  }

  /** The channel has ended, and the peer is to end the stream. */
  #channelEnded(): void {
    this.#phase = "ended";
    this.#memory.take();
  }

  /** Ends the channel with an error, unless CLOSE or a refusal has ended it. */
  #lose(cause: unknown): void {
    if (this.#phase === "ended") return;
    // The application may still accept it.
    if (this.#phase === "waiting" && this.#channelId < 0) return;
    this.#phase = "ended";
    if (this.#channelId < 0) return;
    this.#host.channels.lose(
      this.#channelId,
      connectionLost("the stream of the channel ended without CLOSE", cause),
    );
  }

  /** Writing has failed. */
  #broken(error: unknown): void {
    this.#sendingEnded();
    if (isOfConnection(error)) return;
    this.#lose(error);
    void this.#reader?.cancel();
  }

  /** Ends this direction, after what is queued. */
  #finish(): Promise<void> {
    return this.#finishing ??= this.#finishSending();
  }

  async #finishSending(): Promise<void> {
    await this.#writer.finish(this.#share);
    this.#sendingEnded();
    this.#releaseIfDone();
  }

  #sendingEnded(): void {
    this.#isSending = false;
    this.#share.end();
  }

  #releaseIfDone(): void {
    if (!this.#isSending && !this.#isReceiving) this.#host.release(this);
  }
}

/** What errors say about a stream on which a frame was not expected. */
const STATES: Readonly<Record<Phase, string>> = {
  opening: "whose OPEN was not answered",
  new: "without OPEN",
  waiting: "whose OPEN was not answered",
  open: "that has a channel",
  ended: "whose channel has ended",
};

import { ChannelMap } from "../../table/channel_map.ts";
import type { FrameSender, FrameSource } from "../../wire/frame_sender.ts";
import type { ChannelStream } from "./channel_stream.ts";

/**
 * The streams of a session, by the number that their channels have for the ID that
 * the peer assigned. Frames of a channel go to its stream.
 */
export class StreamTable implements FrameSender {
  readonly #open: FrameSender["open"];
  readonly #streams = new ChannelMap<ChannelStream>();
  #lastId: number;

  /**
   * Makes an empty table.
   *
   * @param open makes a stream for a channel of this side
   * @param lastId the number before that of the first stream
   */
  constructor(open: FrameSender["open"], lastId = 0) {
    this.#open = open;
    this.#lastId = lastId;
  }

  /**
   * Takes a number for another stream, of 32 bits as the map needs them. A channel
   * without a stream has 0.
   */
  takeId(): number {
    do {
      this.#lastId = (this.#lastId + 1) >>> 0;
    } while (this.#lastId === 0 || this.#streams.get(this.#lastId));
    return this.#lastId;
  }

  /** Adds a stream. */
  add(stream: ChannelStream): void {
    this.#streams.add(stream);
  }

  /** Removes a stream that has ended. */
  delete(stream: ChannelStream): void {
    this.#streams.delete(stream.id);
  }

  /** Whether the peer may still send on one of them. */
  get isReceiving(): boolean {
    return this.#streams.values().some(({ isReceiving }) => isReceiving);
  }

  /** Sends what is queued and ends this direction of all of them. */
  async drain(): Promise<void> {
    await Promise.all(this.#streams.values().map((stream) => stream.drain()));
  }

  /** Drops what is queued. */
  end(): void {
    for (const stream of this.#streams.values()) stream.end();
  }

  hasRoomFor(id: number): boolean {
    return this.#streams.get(id)?.hasRoom ?? false;
  }

  open(senderId: number, windowSize: number, maxPacketSize: number): void {
    this.#open(senderId, windowSize, maxPacketSize);
  }

  openConfirm(
    id: number,
    senderId: number,
    windowSize: number,
    maxPacketSize: number,
    isReply: boolean,
  ): void {
    const stream = this.#streams.get(id);
    stream?.accept(senderId, windowSize, maxPacketSize, isReply);
  }

  openFailure(id: number): void {
    this.#streams.get(id)?.refuse();
  }

  data(id: number, payload: Uint8Array): void {
    this.#streams.get(id)?.data(payload);
  }

  eof(id: number): void {
    this.#streams.get(id)?.eof();
  }

  close(id: number, isReply: boolean): void {
    this.#streams.get(id)?.close(isReply);
  }

  scheduleData(source: FrameSource): void {
    this.#streams.get(source.remoteId)?.scheduleData(source);
  }

  scheduleCredit(source: FrameSource): void {
    this.#streams.get(source.remoteId)?.scheduleCredit(source);
  }

  sendDeferred(): void {
    // Each frame leaves at once, on a stream of its own.
  }

  written(id: number): Promise<void> {
    return this.#streams.get(id)?.written() ?? Promise.resolve();
  }
}

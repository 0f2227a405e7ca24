/**
 * A QUIC stream that carries one channel, in either of two dialects, and what it
 * needs from its session.
 *
 * @module
 */
import type { FrameDecoder } from "../../wire/frame_decoder.ts";
import type { FrameSource } from "../../wire/frame_sender.ts";
import type { MemoryAccount } from "../../flow/memory_account.ts";
import type { MuxError } from "../../errors.ts";
import type { ChannelTable } from "../../table/channel_table.ts";
import type { SendRoom } from "./send_room.ts";
import type { SharedBuffers } from "./shared_buffers.ts";
import type { ReadBuffers } from "./stream_reader.ts";

/**
 * A stream as its channel sees it: the methods are those of `FrameSender`, without
 * the channel ID.
 */
export interface ChannelStream {
  /** What the channel uses in place of the ID that the peer assigned. */
  readonly id: number;
  /** Whether the peer may still send on it. */
  readonly isReceiving: boolean;
  /** Whether DATA may be queued now. */
  readonly hasRoom: boolean;
  /** Answers the peer's OPEN. */
  accept(
    channelId: number,
    windowSize: number,
    maxPacketSize: number,
    isReply: boolean,
  ): void;
  /** Refuses the peer's OPEN. */
  refuse(): void;
  /** Queues bytes, which are copied. */
  data(payload: Uint8Array): void;
  /** Queues the end of this direction. */
  eof(): void;
  /** Queues the end of the channel. */
  close(isReply: boolean): void;
  /** Asks the channel for bytes before a coming write. */
  scheduleData(source: FrameSource): void;
  /** Lets the peer send as much as the channel says. */
  scheduleCredit(source: FrameSource): void;
  /** Resolves when what was queued is written, or never will be. */
  written(): Promise<void>;
  /** Sends what is queued and ends this direction, as the session is closing. */
  drain(): Promise<void>;
  /** Drops what is queued: the session has ended. */
  end(): void;
}

/** What a stream needs from its session. */
export interface StreamHost {
  /** What the session holds. */
  readonly account: MemoryAccount;
  /** The channels. */
  readonly channels: ChannelTable;
  /** Buffers to read into. */
  readonly buffers: ReadBuffers;
  /** Buffers to gather in what is sent. */
  readonly writeBuffers: SharedBuffers;
  /** What streams may have queued together. */
  readonly sendRoom: SendRoom;
  /** Bytes of replies that may be queued on one stream. */
  readonly maxQueuedReplySize: number;
  /** Bytes that a channel takes at once. */
  readonly maxPacketSize: number;
  /** Counts bytes that are written. */
  countSent(bytes: number): void;
  /** Decodes frames, and lets the program take what they carry. */
  decode(decoder: FrameDecoder, chunk: Uint8Array): Promise<void>;
  /** Passes bytes on to a channel, and lets the program take them. */
  deliver(channelId: number, chunk: Uint8Array): Promise<void>;
  /** Counts bytes that have arrived and belong to no channel. */
  countReceived(bytes: number): void;
  /** Ends the session, as the peer has violated the protocol. */
  fail(error: MuxError): void;
  /** The peer sends nothing more on a stream. */
  receiveEnded(stream: ChannelStream): void;
  /** Both directions of a stream have ended. */
  release(stream: ChannelStream): void;
}

/**
 * Whether an error says that the connection has ended. The stream does not handle
 * that: the session ends, and reports why.
 */
export function isOfConnection(error: unknown): boolean {
  const { name } = error as { name?: unknown };
  return name !== "ConnectionReset";
}

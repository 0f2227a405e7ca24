import type { CreditSource, DataSource } from "./frame_source.ts";

/** A channel, to what sends its frames. */
export type FrameSource = DataSource & CreditSource;

/**
 * What channels send their frames through: the queue of a byte stream or, in a
 * session over QUIC, the table that has a stream for each channel. None of its
 * methods waits.
 */
export interface FrameSender {
  /** Whether DATA may be queued for a channel now; otherwise {@linkcode scheduleData}. */
  hasRoomFor(recipientId: number): boolean;
  /** Queues OPEN. */
  open(senderId: number, windowSize: number, maxPacketSize: number): void;
  /**
   * Queues OPEN_CONFIRM.
   *
   * @param isReply whether it counts as a reply: not if the OPEN had waited for
   * the application, in the backlog, which has a limit of its own
   * @throws {MuxError} `limit-exceeded` if the peer does not read its replies
   */
  openConfirm(
    recipientId: number,
    senderId: number,
    windowSize: number,
    maxPacketSize: number,
    isReply: boolean,
  ): void;
  /**
   * Queues OPEN_FAILURE, which is always a reply.
   *
   * @throws {MuxError} `limit-exceeded` if the peer does not read its replies
   */
  openFailure(recipientId: number): void;
  /**
   * Queues DATA; `payload` is copied.
   *
   * @param shareable the size, in bytes, up to which a frame may carry it together
   * with earlier DATA of the channel; 0 if it needs a frame of its own
   */
  data(recipientId: number, payload: Uint8Array, shareable: number): void;
  /** Queues EOF. */
  eof(recipientId: number): void;
  /**
   * Queues CLOSE.
   *
   * @param isReply whether it answers the peer's CLOSE
   * @param mayWait whether it may leave with other frames, some 100 ms later at most.
   * Default: false
   * @throws {MuxError} `limit-exceeded` if the peer does not read its replies
   */
  close(recipientId: number, isReply: boolean, mayWait?: boolean): void;
  /** Sends the frames that may wait for others, and do. */
  sendDeferred(): void;
  /**
   * Asks `source` for DATA before a coming write. A source must not be scheduled
   * twice.
   */
  scheduleData(source: FrameSource): void;
  /**
   * Sends WINDOW_ADJUST for the credit of `source` with the next write. A source
   * must not be scheduled twice.
   */
  scheduleCredit(source: FrameSource): void;
  /**
   * Resolves when the frames queued so far for a channel are written, or never will
   * be.
   */
  written(recipientId: number): Promise<void>;
}

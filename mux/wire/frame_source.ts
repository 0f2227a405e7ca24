/**
 * What a channel implements for the frame queue, which asks channels for DATA and
 * credit just before it writes.
 *
 * @module
 */

/**
 * Bytes of DATA that one channel sends before the next one may. A value of
 * 64 KiB with its length fits: qtalk-js needs it in one frame.
 */
export const SEND_QUANTUM = 64 * 1024 + 64;

/** A channel with DATA to send. */
export interface DataSource {
  /**
   * Puts at most {@linkcode SEND_QUANTUM} bytes of DATA into the queue. Returns
   * whether the channel could send more now.
   */
  pull(): boolean;
}

/** A channel with credit to return. */
export interface CreditSource {
  /** The channel ID that the peer assigned. */
  readonly remoteId: number;
  /** Takes the credit to return, in bytes; 0 if the channel may not send. */
  takeCredit(): number;
}

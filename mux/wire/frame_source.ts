/**
 * What a channel implements for the frame queue, which asks channels for DATA and
 * credit just before it writes.
 *
 * @module
 */

/** A channel with DATA to send. */
export interface DataSource {
  /**
   * Puts at most `SEND_QUANTUM` bytes of DATA into the queue, or `LONE_QUANTUM` of a
   * value, not of a stream, if nothing else waits for the same write. Returns whether
   * the channel could send more now.
   *
   * @param isAlone whether nothing else waits. Default: something may
   */
  pull(isAlone?: boolean): boolean;
}

/** A channel with credit to return. */
export interface CreditSource {
  /** The channel ID that the peer assigned. */
  readonly remoteId: number;
  /** Takes the credit to return, in bytes; 0 if the channel may not send. */
  takeCredit(): number;
}

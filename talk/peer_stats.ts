/** Figures of a session at one moment, for logs and metrics. */
export interface PeerStats {
  /** Bytes that have passed over the session, including the headers of frames. */
  bytes: {
    /** Bytes that came from the other side. */
    received: number;
    /** Bytes that were sent to the other side. */
    sent: number;
  };
  /**
   * Channels of both directions. A call takes one, which another call may take after
   * it.
   */
  channels: {
    /** Those that are open, including spare ones, which wait for a call. */
    open: number;
    /** All that there have been. */
    total: number;
  };
  /** Calls. */
  calls: {
    /** Calls of the other side that have begun. */
    total: number;
    /** Those of them whose handlers run. */
    answering: number;
    /** Calls of this side that wait for a channel. */
    waiting: number;
  };
  /** As {@linkcode Peer.callbackCount}. */
  callbacks: number;
  /** Bytes of memory that the session holds for the other side. */
  held: number;
  /** As {@linkcode Peer.rtt}. */
  rtt: number | undefined;
}

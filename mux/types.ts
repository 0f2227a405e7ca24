/**
 * The vocabulary of the mux: what other layers, other sessions and other
 * transports agree on.
 *
 * @module
 */

/** Anything that bytes come out of and go into: the web's own pair. */
export interface Duplex {
  /** Bytes from the other end. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the other end. */
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * A byte pipe driven by calls and not by streams, which is what sockets are
 * fastest at. A {@linkcode Duplex} is made one by the session itself.
 */
export interface Transport {
  /**
   * The next bytes, or `null` at the end. They are the transport's own and
   * valid until the next `read()`. Never called again before it settled.
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Writes all of `bytes`, which are the caller's again when it resolves.
   * Never called again before it settled.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the writing side; the other end reads its end of data. */
  closeWrite(): Promise<void>;
  /** Ends both sides; a `read()` or `write()` under way settles. Idempotent. */
  close(): void | Promise<void>;
}

/** Waits that a caller can give up. */
export interface WaitOptions {
  /** Rejects the wait with `signal.reason` and takes back what was asked. */
  signal?: AbortSignal | undefined;
}

/** One flow-controlled, full-duplex stream of bytes inside a session. */
export interface Channel {
  /** The number that this side gave the channel. */
  readonly id: number;
  /**
   * Bytes from the peer, as they arrive. Taking them returns their credit; not
   * taking them holds the peer back. Each chunk is the reader's to keep, and
   * alone in its buffer.
   *
   * It is a byte stream where the runtime has them (Safari has not): a reader
   * made by `getReader({ mode: "byob" })` brings a buffer of its own, again and
   * again, which is the fastest way to read much (256 KiB are a good size). `pipeTo()` another channel's
   * `writable` needs none.
   *
   * Ends after EOF or CLOSE; errors with `connection-lost` if the session went
   * away before either. `cancel()` drops what is still to come.
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * Bytes to the peer. A write waits while the peer grants no credit; its chunk
   * must not change until it resolves. `close()` sends EOF and leaves
   * `readable` open; `abort()` sends CLOSE and drops what waited.
   */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Closes both directions: CLOSE, behind what was already accepted. Unread
   * bytes are dropped. Resolves when CLOSE has gone to the transport.
   * Idempotent.
   */
  close(): Promise<void>;
  /**
   * Resolves when CLOSE went both ways, or the session ended behind this
   * side's; rejects with a {@linkcode MuxError} if it ended before, or broke.
   * Never an unhandled rejection.
   */
  readonly closed: Promise<void>;
}

/** What a session holds at one moment. */
export interface SessionUsage {
  /** Channels whose ID is still in use: CLOSE has not gone both ways. */
  channels: number;
  /**
   * Channels that count towards `maxChannels`, because they may hold memory.
   * Incoming channels that wait to be accepted are included.
   */
  slots: number;
}

/**
 * A connection that carries channels; either side opens them. The vocabulary
 * is WebTransport's, so that a QUIC connection can be one without frames.
 */
export interface Session extends AsyncIterable<Channel>, AsyncDisposable {
  /** Opens a channel; resolves when the peer has accepted it. */
  open(options?: WaitOptions): Promise<Channel>;
  /**
   * Gives every incoming channel to `handler`, from now on and in the order
   * they were opened. Once; iterating the session throws after it.
   */
  accept(handler: (channel: Channel) => void): void;
  /**
   * Resolves when the session has ended cleanly, from either side; rejects with
   * a {@linkcode MuxError} otherwise. Never an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /** What the session holds now: for logs, metrics and tests. */
  readonly usage: SessionUsage;
  /** Ends the session after what is queued has left. Idempotent. */
  close(): Promise<void>;
}

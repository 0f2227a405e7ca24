/**
 * The interfaces of the mux layer: sessions, channels and what carries them.
 *
 * @module
 */

/** A pair of byte streams, such as a `Deno.TcpConn`. */
export interface Duplex {
  /** Bytes from the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the peer. */
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * A byte stream in each direction, driven by calls instead of web streams, which
 * is faster for sockets. The transports of this package are such objects; a
 * program that has a {@linkcode Duplex} can pass that instead.
 */
export interface Transport {
  /**
   * Reads the next bytes; `null` at the end. The bytes belong to the transport
   * and are valid until the next `read()`. A session has one read pending at a
   * time.
   */
  read(): Promise<Uint8Array | null>;
  /**
   * Writes all of `bytes`, which must not change until the promise resolves. A
   * session has one write pending at a time.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the sending direction: the peer reads the end of the stream. */
  closeWrite(): Promise<void>;
  /**
   * Closes both directions; a pending `read()` or `write()` resolves or rejects.
   * Idempotent.
   */
  close(): void | Promise<void>;
}

/** Options of an operation that waits. */
export interface WaitOptions {
  /**
   * Ends the wait: it rejects with `signal.reason`, and the operation is
   * cancelled. Default: no signal.
   */
  signal?: AbortSignal | undefined;
}

/** A flow-controlled byte stream in each direction, inside a session. */
export interface Channel {
  /** The channel ID that this side assigned. */
  readonly id: number;
  /**
   * The bytes from the peer. Reading them returns credit to the peer; a peer
   * without credit waits. Each chunk has a buffer of its own, which the reader may
   * keep.
   *
   * This is a byte stream wherever the runtime has those (Safari does not). To
   * read a lot of data, use a BYOB reader (`getReader({ mode: "byob" })`) and
   * reuse its buffer; 256 KiB are a good size. `pipeTo()` the `writable` of
   * another channel is fast without one.
   *
   * The stream ends after EOF or CLOSE. It errors with `connection-lost` if the
   * session ends before either. On the channel of a call between two peers of this
   * package, CLOSE without EOF is an error, too: the bytes are incomplete. `cancel()`
   * drops all bytes that still arrive.
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * The bytes to the peer. A write waits until the peer has granted enough credit;
   * do not change its chunk before the write resolves. `close()` sends EOF and
   * leaves `readable` open. `abort()` sends CLOSE and rejects pending writes.
   */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Closes both directions: EOF and CLOSE follow the bytes that are queued already,
   * or CLOSE alone if a write is pending, because the bytes are then incomplete.
   * Pending writes reject, and unread bytes are dropped. Resolves when CLOSE has
   * been written to the transport. Idempotent.
   */
  close(): Promise<void>;
  /**
   * Resolves when both sides have closed the channel, or the session has ended
   * cleanly after this side closed it. Otherwise rejects with a
   * {@linkcode MuxError} when the session ends. It never causes an unhandled
   * rejection.
   */
  readonly closed: Promise<void>;
}

/**
 * The memory that a session holds at one moment, in bytes. Everything that the
 * peer can cause is counted; `maxHeldSize` bounds the total.
 */
export interface HeldMemory {
  /** Credit that was granted to the peer, and bytes that have not been read. */
  windows: number;
  /** Encoded values that have arrived in part, with the bytes still to come. */
  values: number;
  /**
   * Decoded arguments of running calls, by an estimate of the memory that they
   * take, and the functions in them until the call is answered.
   */
  arguments: number;
  /** Encoded values that have not been sent yet. */
  responses: number;
  /**
   * Functions of this side that the peer can call, and streams that it can read.
   */
  callbacks: number;
  /** Channels, apart from their bytes, and streams of QUIC without a channel. */
  channels: number;
  /** Headers that have arrived in part, and those that are remembered. */
  headers: number;
  /**
   * Buffers for bytes that the other side has not acknowledged, in a session that
   * survives its connection (the option `resume`).
   */
  unacknowledged: number;
  /** All of these together. */
  total: number;
}

/** What a session holds at one moment, for logs and metrics. */
export interface SessionUsage {
  /** Channels whose ID is in use, because they are not closed by both sides yet. */
  channels: number;
  /**
   * Channels of both directions that count towards `maxChannels`, because they
   * may hold memory. This includes channels that wait to be accepted.
   */
  slots: number;
  /** Memory, by kind. */
  held: HeldMemory;
}

/**
 * A connection that carries channels, which either side can open.
 *
 * A channel corresponds to a bidirectional stream of WebTransport: it has a
 * `readable` and a `writable` of the same kind. A session has no unidirectional
 * streams and no datagrams, and the names of its methods follow qtalk-go.
 */
export interface Session extends AsyncIterable<Channel>, AsyncDisposable {
  /**
   * Opens a channel; resolves when the peer has accepted it.
   *
   * @param options `signal`: abandons the channel, which is closed as soon as the
   * peer confirms it
   * @throws {MuxError} `open-refused` if the peer refused it, `limit-exceeded` if
   * this side has `maxChannels` open, `session-closed` or `connection-lost` if the session
   * has ended
   * @throws {unknown} `signal.reason`
   */
  open(options?: WaitOptions): Promise<Channel>;
  /**
   * Passes every channel that the peer opens to `handler`, in order, beginning
   * with those that wait. If the handler throws, the channel is closed. A session
   * has one handler, or is iterated instead: iteration ends with the session, and
   * leaving the loop leaves the session open.
   *
   * @param handler accepts a channel
   * @throws {MuxError} `invalid-state` if there is a handler already, or the
   * session is being iterated
   */
  accept(handler: (channel: Channel) => void): void;
  /**
   * Resolves when the session has ended cleanly: this side closed it, or the peer
   * did between two frames. Otherwise rejects with a {@linkcode MuxError}. It
   * never causes an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /** What the session holds now. */
  readonly usage: SessionUsage;
  /**
   * Closes the session: sends what is queued, for at most `closeTimeout`, then
   * closes the transport. Everything that still waits rejects with
   * `session-closed`. Idempotent; never rejects.
   */
  close(): Promise<void>;
}

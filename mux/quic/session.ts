import { checkMethods } from "../../check_option.ts";
import { printableText } from "../../printable_text.ts";
import { connectionLost, MuxError, sessionClosed } from "../errors.ts";
import { MemoryAccount } from "../flow/memory_account.ts";
import type { SharedPool } from "../flow/memory_pool.ts";
import {
  type Clock,
  nextPass,
  nextTurn,
  SYSTEM_CLOCK,
  TurnBudget,
} from "../flow/turns.ts";
import { keepAliveOf } from "../flow/silence_watch.ts";
import { resolveOptions, type SessionOptions } from "../options.ts";
import type { OpenCallbacks, RawSession } from "../raw.ts";
import { ChannelTable } from "../table/channel_table.ts";
import { settlesWithin, timeLimit } from "../../time_limit.ts";
import type { SessionTap } from "../transport/types.ts";
import type { Channel, Session, SessionUsage, WaitOptions } from "../types.ts";
import type { FrameDecoder } from "../wire/frame_decoder.ts";
import type { ChannelStream, StreamHost } from "./streams/channel_stream.ts";
import { ClosingNotice, readNotices } from "./closing.ts";
import { maxPlainChannels } from "./endpoint.ts";
import { FramedStream } from "./streams/framed_stream.ts";
import { PlainStream } from "./streams/plain_stream.ts";
import { CLOSE_CODE, FRAMED_PROTOCOL, VIOLATION_CODE } from "./protocol.ts";
import { SendRoom } from "./streams/send_room.ts";
import { SharedBuffers } from "./streams/shared_buffers.ts";
import { ReadBuffers } from "./streams/stream_reader.ts";
import { StreamTable } from "./streams/stream_table.ts";
import type {
  QuicCloseInfoLike,
  QuicConnLike,
  QuicStreamLike,
} from "./types.ts";

/**
 * Frames that are decoded before the event loop may turn. A piece of payload counts as
 * three frames, in addition to its DATA.
 */
const FRAMES_AT_ONCE = 2_048;
/** The work of a chunk of fewer bytes is not timed. */
const TIMED_SIZE = 1024;
/** Reads, of all streams, after which the event loop turns in any case. */
const READS_PER_TURN = 128;
/**
 * Milliseconds that the last write gets to reach a peer that does not use this
 * package: such a peer does not say when it has received everything, and closing the
 * connection would lose what is on its way.
 */
const GRACE = 250;

/**
 * Starts a session over a QUIC connection. Each channel is a stream, so a channel
 * that is stalled, or has lost a packet, does not hold up the others.
 *
 * The connection must have been made with the protocol (ALPN) `qtalk-quic/2`, or
 * `qtalk-quic` for qtalk-go, for which the session has fewer channels: QUIC may hold
 * 1.25 MB of each that is not read, and of those that each side has opened, together,
 * as much as `maxHeldSize`. The session owns the connection and closes it.
 *
 * @param conn a `Deno.QuicConn`; nothing else may accept its streams
 * @param options limits. `maxChannels` is also how many streams the other side may
 * have, so allow twice as many in `QuicEndpoint.listen()`. The times of `keepAlive`
 * belong to the connection, and have no effect here
 * @throws {RangeError} if an option is out of range
 */
export function quicSession(
  conn: QuicConnLike,
  options: SessionOptions = {},
): Session {
  const expected = "a connection of Deno over QUIC";
  checkMethods("connection", conn, expected, "createBidirectionalStream");
  return new QuicSession(conn, options);
}

/** A session over QUIC, as {@linkcode quicSession} makes it. */
export class QuicSession implements RawSession, StreamHost {
  readonly account: MemoryAccount;
  readonly refusesPings: boolean;
  /** Not called: QUIC itself finds out whether the peer has vanished. */
  onSilence: RawSession["onSilence"];
  readonly opensWait = true;
  readonly channels: ChannelTable;
  readonly buffers = new ReadBuffers();
  readonly writeBuffers = new SharedBuffers();
  readonly sendRoom = new SendRoom();
  readonly maxQueuedReplySize: number;
  readonly maxPacketSize: number;
  readonly #conn: QuicConnLike;
  readonly #isFramed: boolean;
  readonly #tap: SessionTap | undefined;
  readonly #streams: StreamTable;
  readonly #closeTimeout: number;
  readonly #clock: Clock;
  readonly #turns: TurnBudget;
  readonly #closed = Promise.withResolvers<void>();
  /** Resolves when nothing that this side has sent is on its way any more. */
  readonly #delivered = Promise.withResolvers<void>();
  readonly #notice: ClosingNotice;
  #state: "open" | "closing" | "ended" = "open";
  #closing: Promise<void> | undefined;
  #received = 0;
  #sent = 0;
  /** When anything was last written, if nothing answers it. */
  #sentAt = -Infinity;
  #reads = 0;
  /** Streams that this side has opened. */
  #openedHere = 0;
  /** Streams of the peer that have arrived. */
  #openedThere = 0;
  /** Streams that the peer has opened, once it has said that it is closing. */
  #peerClosing: number | undefined;
  #saidDone = false;
  #cancelLimit: (() => void) | undefined;

  /**
   * As {@linkcode quicSession}; tests pass a clock of their own, and observers a tap.
   */
  constructor(
    conn: QuicConnLike,
    options: SessionOptions = {},
    clock: Clock = SYSTEM_CLOCK,
    tap?: SessionTap,
  ) {
    const resolved = resolveOptions(options);
    this.#conn = conn;
    this.#clock = clock;
    this.#tap = tap;
    this.#isFramed = conn.protocol === FRAMED_PROTOCOL;
    this.#closeTimeout = resolved.closeTimeout;
    this.maxQueuedReplySize = resolved.maxQueuedReplySize;
    this.maxPacketSize = resolved.maxPacketSize;
    this.refusesPings = keepAliveOf(options.keepAlive, true) === "refused";
    this.#closed.promise.catch(() => {});
    this.#notice = new ClosingNotice(conn);
    const share = (options.memoryPool as SharedPool | undefined)?.admit();
    this.#turns = share?.pool.turns ?? new TurnBudget();
    this.account = new MemoryAccount(resolved.maxHeldSize, share);
    this.#streams = new StreamTable((id, windowSize, maxPacketSize) => {
      const stream = this.#addStream(this.#createStream(), id);
      stream.open(windowSize, maxPacketSize);
    });
    this.channels = new ChannelTable(
      this.#streams,
      this.#isFramed
        ? resolved
        : { ...resolved, maxChannels: maxPlainChannels(resolved) },
      this.account,
      clock,
    );
    conn.closed.then(
      (info) => this.#end(failureOf(info)),
      (error) => this.#end(lossOf(error)),
    );
    void this.#accept();
    if (this.#isFramed) void this.#listen();
  }

  // --- Session -----------------------------------------------------------------

  open(options: WaitOptions = {}): Promise<Channel> {
    return this.channels.openUntil(options);
  }

  openRaw(callbacks: OpenCallbacks, isPing = false): void {
    this.channels.open(callbacks, isPing ? 1 : 0);
  }

  accept(handler: (channel: Channel) => void): void {
    this.channels.accept(handler);
  }

  [Symbol.asyncIterator](): AsyncIterator<Channel, undefined> {
    return this.channels.acceptQueue.iterate();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get usage(): SessionUsage {
    return this.channels.usage;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // --- RawSession --------------------------------------------------------------

  get received(): number {
    return this.#received;
  }

  get sent(): number {
    return this.#sent;
  }

  get ended(): boolean {
    return this.#state !== "open";
  }

  /** The peer has agreed on the protocol in the handshake. */
  get heard(): boolean {
    return true;
  }

  /** Undefined in the plain dialect, in which no frame asks for an answer. */
  get roundTrip(): number | undefined {
    return this.#isFramed ? this.channels.roundTrip : undefined;
  }

  // --- StreamHost --------------------------------------------------------------

  countSent(bytes: number): void {
    this.#sent += bytes;
    if (!this.#isFramed) this.#sentAt = this.#clock();
  }

  countReceived(bytes: number): void {
    this.#received += bytes;
  }

  async decode(decoder: FrameDecoder, chunk: Uint8Array): Promise<void> {
    this.#received += chunk.length;
    for (let at = 0; at < chunk.length;) {
      await this.#process(chunk.length, () => {
        decoder.allowance = FRAMES_AT_ONCE;
        at = decoder.push(chunk, at);
      });
    }
  }

  async deliver(channelId: number, chunk: Uint8Array): Promise<void> {
    this.#received += chunk.length;
    await this.#process(chunk.length, () => {
      this.channels.onData(channelId, chunk.length);
      this.channels.onPayloadOf(channelId, chunk, 0, chunk.length);
    });
  }

  fail(error: MuxError): void {
    this.#end(error);
  }

  receiveEnded(): void {
    this.#checkComplete();
  }

  release(stream: ChannelStream): void {
    this.#streams.delete(stream);
  }

  // --- Private -----------------------------------------------------------------

  /** Does what a chunk of bytes asks for, and then what follows from that. */
  async #process(size: number, step: () => void): Promise<void> {
    const turns = this.#turns;
    const isTimed = size >= TIMED_SIZE;
    // A read of what has arrived does not wait, and other streams may have more.
    if (++this.#reads % READS_PER_TURN === 0) await nextPass();
    let waited = isTimed && turns.isSpent;
    if (waited) await turns.wait();
    let left = true;
    try {
      left = this.#timed(isTimed, step);
      while (left) {
        if (waited) turns.done();
        await turns.wait();
        waited = true;
        left = this.#timed(true, () => {});
      }
    } finally {
      if (waited) turns.done();
    }
  }

  /** Takes a step; returns whether readers are left for the next turn. */
  #timed(isTimed: boolean, step: () => void): boolean {
    if (this.#state === "ended") return false;
    this.channels.tick();
    const startedAt = isTimed ? this.channels.now() : 0;
    step();
    const left = this.channels.endTurn();
    if (isTimed) this.#turns.count(this.#clock() - startedAt);
    return left;
  }

  async #createStream(): Promise<QuicStreamLike> {
    const stream = await this.#conn.createBidirectionalStream({
      waitUntilAvailable: true,
    });
    this.#openedHere++;
    return stream;
  }

  #addStream(
    opened: Promise<QuicStreamLike>,
    channelId: number | undefined,
  ): FramedStream | PlainStream {
    const Stream = this.#isFramed ? FramedStream : PlainStream;
    const tap = this.#tap?.stream(
      channelId !== undefined,
      this.#isFramed ? "frames" : "bytes",
    );
    const id = this.#streams.takeId();
    const stream = new Stream(id, this, opened, channelId, tap);
    this.#streams.add(stream);
    return stream;
  }

  /** Accepts the streams of the peer. */
  async #accept(): Promise<void> {
    const reader = this.#conn.incomingBidirectionalStreams.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.#state === "ended") return;
        this.#openedThere++;
        const stream = this.#addStream(Promise.resolve(value), undefined);
        // The peer waits for the end of each.
        if (this.#state === "closing") void stream.drain();
      }
    } catch {
      // The connection has ended, which says why.
    }
  }

  /** Handles the peer's notice that it is closing. */
  async #listen(): Promise<void> {
    const reader = this.#conn.incomingUnidirectionalStreams.getReader();
    try {
      const { value, done } = await reader.read();
      if (done) return;
      await readNotices(value, {
        onClosing: (opened) => {
          // A notice may be read after the connection has ended.
          if (this.#state === "ended") return;
          this.#peerClosing = opened;
          this.#cancelLimit ??= timeLimit(
            this.#closeTimeout,
            () => this.#end(undefined),
          );
          this.#checkComplete();
        },
        onDone: () => {
          this.#delivered.resolve();
        },
      });
    } catch (error) {
      if (error instanceof MuxError) this.#end(error);
    }
  }

  /** Ends the session if the peer is closing and all that it sent has arrived. */
  #checkComplete(): void {
    if (this.#state === "ended" || this.#saidDone) return;
    const opened = this.#peerClosing;
    if (opened === undefined || this.#openedThere < opened) return;
    if (this.#streams.isReceiving) return;
    if (this.#state === "open") return this.#end(undefined);
    this.#saidDone = true;
    this.#notice.done().catch(() => {});
  }

  async #close(): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "closing";
    this.channels.close(sessionClosed());
    await settlesWithin(this.#closeTimeout, this.#drain());
    this.#end(undefined);
    // Deno sends the last packet when its event loop turns. A program that exits at
    // this point may prevent that.
    await nextTurn();
  }

  /**
   * Sends what is queued and waits until the peer has it: closing a QUIC connection
   * loses what is on its way.
   */
  async #drain(): Promise<void> {
    await this.#streams.drain();
    if (!this.#isFramed) {
      const left = Math.max(0, this.#sentAt + GRACE - this.#clock());
      const cancel = timeLimit(left, this.#delivered.resolve);
      await this.#delivered.promise;
      cancel();
      return;
    }
    try {
      await this.#notice.closing(this.#openedHere);
    } catch {
      return; // The connection has ended: there is nothing to wait for.
    }
    this.#checkComplete();
    await this.#delivered.promise;
  }

  #end(failure: MuxError | undefined): void {
    if (this.#state === "ended") return;
    const closedHere = this.#state === "closing";
    this.#state = "ended";
    this.#cancelLimit?.();
    this.#delivered.resolve();
    // Once this side closes the session, a failure no longer matters.
    const reason = closedHere
      ? sessionClosed()
      : failure ?? connectionLost("the peer ended it");
    this.#streams.end();
    const cleanly = failure === undefined || closedHere;
    this.#tap?.closed(cleanly ? undefined : failure);
    this.channels.end(reason, cleanly);
    if (cleanly) this.#closed.resolve();
    else this.#closed.reject(failure);
    this.#conn.close(
      cleanly
        ? { closeCode: CLOSE_CODE, reason: "" }
        : { closeCode: VIOLATION_CODE, reason: failure!.message },
    );
  }
}

/** The error of a session whose connection was closed; undefined if it is none. */
function failureOf(info: QuicCloseInfoLike): MuxError | undefined {
  const { closeCode } = info;
  const reason = printableText(info.reason);
  // quic-go closes with 0, unless the program gives a code.
  if (closeCode === CLOSE_CODE || closeCode === 0) return undefined;
  return connectionLost(
    closeCode === VIOLATION_CODE
      ? `the peer refused what this side sent: ${reason}`
      : `the peer closed it with code ${closeCode}${reason && `: ${reason}`}`,
  );
}

/** The error of a session whose connection was lost. */
function lossOf(cause: unknown): MuxError {
  const { message } = cause as Error;
  return /timed out/.test(message)
    ? connectionLost("no packet arrived for the idle time of QUIC", cause)
    : /reset by peer/.test(message)
    ? connectionLost("the other process no longer knows the connection", cause)
    : connectionLost(message, cause);
}

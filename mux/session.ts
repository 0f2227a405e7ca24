import { checkMethods } from "../check_option.ts";
import { ChannelTable } from "./table/channel_table.ts";
import {
  connectionLost,
  DESCRIPTION_TIMEOUT,
  MuxError,
  peerSilent,
  protocolError,
  sessionClosed,
} from "./errors.ts";
import {
  type Clock,
  nextPass,
  nextTurn,
  SYSTEM_CLOCK,
  TurnBudget,
} from "./flow/turns.ts";
import {
  keepAliveOf,
  SilenceWatch,
  type Watched,
} from "./flow/silence_watch.ts";
import {
  FrameDecoder,
  isClientHello,
  isHalfForeignHeader,
  isTextFrame,
  TLS_ALERT,
} from "./wire/frame_decoder.ts";
import { FrameQueue, WRITE_TARGET } from "./wire/frame_queue.ts";
import { resolveOptions, type SessionOptions } from "./options.ts";
import { loadedInTime, settlesWithin, timeLimit } from "../time_limit.ts";
import { duplexTransport } from "./transport/duplex.ts";
import type {
  AbortableTransport,
  AccountedTransport,
  AdoptingTransport,
  AdvisingTransport,
  DividedTransport,
  GatheringTransport,
  KeepAliveMeans,
  KeptTransport,
  SessionTransport,
  WatchingTransport,
} from "./transport/types.ts";
import { MemoryAccount } from "./flow/memory_account.ts";
import type { SharedPool } from "./flow/memory_pool.ts";
import { DEFERRED_WRITES } from "./flow/deferred_writes.ts";
import type { OpenCallbacks, RawSession } from "./raw.ts";
import type {
  Channel,
  Duplex,
  Session,
  SessionUsage,
  Transport,
  WaitOptions,
} from "./types.ts";

/**
 * Frames that a session decodes at once, where a piece of payload counts as three
 * more. What they make the program do follows before the next ones are decoded.
 * How many there are depends on how long that took, because it differs by a
 * factor of a hundred: between frames of credit and calls of a program whose code
 * the engine has not compiled yet.
 */
const FRAMES_AT_ONCE = { first: 64, least: 128, most: 4_096 } as const;
/** Milliseconds that this should take. */
const TIME_AT_ONCE = 2;
/** The work of a chunk of fewer bytes is not timed. */
const TIMED_SIZE = 1024;
/** Frames after which it turns in any case. */
const FRAMES_PER_TURN = 8_192;
/** Bytes read that count as a frame. */
const BYTES_PER_FRAME = 1024;
/** What the DATA frames that are sent before the event loop turns may cost. */
const COST_PER_TURN = 2 * WRITE_TARGET;

/**
 * Starts a qmux session over a pair of byte streams.
 *
 * Either side can open channels. The session reads from the moment it starts,
 * and never waits for the application to accept a channel or to read its bytes,
 * nor for a write.
 *
 * @example Two sessions, one channel
 * ```ts
 * import { qmux } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const up = new TransformStream<Uint8Array, Uint8Array>();
 * const down = new TransformStream<Uint8Array, Uint8Array>();
 * await using a = qmux({
 *   readable: down.readable,
 *   writable: up.writable,
 * });
 * await using b = qmux({
 *   readable: up.readable,
 *   writable: down.writable,
 * });
 *
 * // One side echoes what it receives;
 * b.accept((channel) => channel.readable.pipeTo(channel.writable));
 *
 * // the other sends "hi" and reads it back.
 * const { readable, writable } = await a.open();
 * const writer = writable.getWriter();
 * await writer.write(new TextEncoder().encode("hi"));
 * await writer.close();
 * assertEquals(await new Response(readable).text(), "hi");
 * ```
 *
 * @param transport a pair of byte streams, or a transport made by this module;
 * the session owns it and closes it
 * @param options limits; each has a finite default
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `memoryPool` was not made by `memoryPool()`
 */
export function qmux(
  transport: Duplex | Transport,
  options: SessionOptions = {},
): Session {
  return new QmuxSession(transport, options);
}

/** A qmux session, as {@linkcode qmux} makes it. */
export class QmuxSession implements RawSession {
  readonly account: MemoryAccount;
  readonly channels: ChannelTable;
  readonly refusesPings: boolean;
  onSilence: RawSession["onSilence"];
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #closeTimeout: number;
  readonly #queue: FrameQueue;
  readonly #decoder: FrameDecoder;
  readonly #turns: TurnBudget;
  readonly #closed = Promise.withResolvers<void>();
  #readerDone = false;
  /** Called when it is; made when something waits for it. */
  #onReaderDone: (() => void) | undefined;
  #state: "open" | "closing" | "ended" = "open";
  /** Bytes that have arrived. */
  #received = 0;
  /** Bytes that were given to the transport. */
  #written = 0;
  /** The cost of DATA written since the event loop last turned for a write. */
  #sent = 0;
  #closing: Promise<void> | undefined;
  /** Cancels the time limit that starts when a write fails. */
  #cancelLimit: (() => void) | undefined;
  /** Ends the session if the peer vanishes. */
  readonly #silence: SilenceWatch | undefined;
  /** Whether bytes have arrived since the silence was last looked at. */
  #heard = false;
  /** Writes that have begun. */
  #writes = 0;

  /**
   * Starts a session.
   *
   * @param transport as for {@linkcode qmux}
   * @param options as for {@linkcode qmux}
   * @param clock measures round trips; tests pass their own
   * @throws {RangeError} if an option is out of range
   */
  constructor(
    transport: Duplex | Transport,
    options: SessionOptions = {},
    clock: Clock = SYSTEM_CLOCK,
  ) {
    const resolved = resolveOptions(options);
    const { readable } = (transport ?? {}) as Partial<Duplex>;
    checkMethods(
      "transport",
      readable ?? transport,
      "a transport or a pair of streams",
      readable === undefined ? "read" : "getReader",
    );
    this.#clock = clock;
    this.#closeTimeout = resolved.closeTimeout;
    this.#transport = "readable" in transport
      ? duplexTransport(transport)
      : transport;
    this.#closed.promise.catch(() => {});
    const adopting = "writeOwned" in this.#transport
      ? this.#transport as AdoptingTransport
      : undefined;
    const share = (options.memoryPool as SharedPool | undefined)?.admit();
    this.#queue = new FrameQueue({
      write: (bytes, dataCost) => {
        this.channels.tick();
        this.#writes++;
        const writing = adopting === undefined
          ? this.#transport.write(bytes)
          : adopting.writeOwned(bytes);
        this.#written += bytes.length;
        this.#sent += dataCost;
        if (this.#sent < COST_PER_TURN) return writing;
        // A transport that takes everything at once never waits, and a program
        // that sends small values in a loop would not either. The transport itself
        // lets sockets have their turn.
        this.#sent = 0;
        return writing.then(nextPass);
      },
      onError: (error) => this.#writeFailed(error),
      maxQueuedReplySize: resolved.maxQueuedReplySize,
      buffers: adopting,
      earlyWrite: (this.#transport as Partial<GatheringTransport>).earlyWrite,
      clock,
      deferred: share?.pool.deferred ?? DEFERRED_WRITES,
    });
    this.#turns = share?.pool.turns ?? new TurnBudget();
    this.account = new MemoryAccount(resolved.maxHeldSize, share);
    (this.#transport as Partial<AccountedTransport>).useAccount?.(this.account);
    this.channels = new ChannelTable(
      this.#queue,
      resolved,
      this.account,
      clock,
    );
    this.#decoder = new FrameDecoder(this.channels);
    const { keepAlive: means } = this.#transport as Partial<KeptTransport>;
    const keepAlive = keepAliveOf(options.keepAlive, means !== undefined);
    this.refusesPings = keepAlive === "refused";
    const { watchesItself } = this.#transport as Partial<WatchingTransport>;
    if (typeof keepAlive === "object" && !watchesItself) {
      this.#silence = new SilenceWatch(this.#watched(means), keepAlive);
    }
    void this.#read();
  }

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

  get received(): number {
    return this.#received;
  }

  get sent(): number {
    return this.#written;
  }

  get ended(): boolean {
    return this.#state !== "open";
  }

  /** Whether what was heard is not that of a peer. */
  #refused = false;

  get heard(): boolean {
    return this.#decoder.heard && !this.#refused;
  }

  refuse(error: MuxError): void {
    this.#refused = true;
    this.#end(error);
  }

  get roundTrip(): number | undefined {
    return this.channels.roundTrip;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Reads until the byte stream ends.
   *
   * A read of a socket that a peer keeps filled resolves without waiting, and so
   * would a loop of them: the event loop turns when the frames have made enough
   * work. Time spent waiting for reads does not count.
   */
  async #read(): Promise<void> {
    const decoder = this.#decoder;
    const channels = this.channels;
    const turns = this.#turns;
    let frames = 0;
    let begun = false;
    /** The first bytes, if they are no frame. */
    let foreign: Uint8Array | undefined;
    let atOnce: number = FRAMES_AT_ONCE.first;
    /** Whether this session has its turn among those that are busy. */
    let hasTurn = false;
    const divided = "more" in this.#transport
      ? this.#transport as DividedTransport
      : undefined;
    try {
      for (;;) {
        let chunk = await this.#transport.read();
        if (chunk === null || this.#hasEnded()) break;
        this.#received += chunk.length;
        this.#heard = true;
        if (!begun) {
          begun = true;
          const what = foreignStart(chunk);
          if (what !== undefined) {
            foreign = chunk;
            throw protocolError(`received ${what} in place of a frame`);
          }
        }
        frames += Math.ceil(chunk.length / BYTES_PER_FRAME);
        // A few frames are counted, and not timed: that would cost more.
        let isTimed = chunk.length >= TIMED_SIZE;
        for (let at = 0; at < chunk.length;) {
          if (isTimed && turns.isSpent || frames >= FRAMES_PER_TURN) {
            await turns.wait();
            hasTurn = true;
            frames = this.#sent = 0;
          }
          if (this.#hasEnded()) break;
          channels.tick();
          let startedAt = isTimed ? channels.now() : 0;
          decoder.allowance = atOnce;
          at = decoder.push(chunk, at);
          while (at === chunk.length && decoder.allowance > 0) {
            const more = divided?.more();
            if (more === undefined) break;
            chunk = more;
            if (!isTimed && chunk.length >= TIMED_SIZE) {
              isTimed = true;
              startedAt = channels.now();
            }
            this.#received += chunk.length;
            frames += Math.ceil(chunk.length / BYTES_PER_FRAME);
            at = decoder.push(chunk);
          }
          let left = channels.endTurn();
          // The next read takes time, and the responses of this turn are ready:
          // let them leave first. This waits for microtasks only, not for the
          // write.
          const { gathering } = this.#queue;
          if (gathering !== undefined) await gathering;
          const decoded = atOnce - decoder.allowance;
          frames += decoded;
          if (isTimed) {
            const taken = this.#clock() - startedAt;
            turns.count(taken);
            if (decoded >= Math.min(atOnce, FRAMES_AT_ONCE.least)) {
              atOnce = framesAtOnce(decoded, taken);
            }
          }
          while (left) {
            if (hasTurn) turns.done();
            await turns.wait();
            hasTurn = true;
            frames = this.#sent = 0;
            const startedAt = this.#clock();
            left = channels.endTurn();
            turns.count(this.#clock() - startedAt);
          }
          if (hasTurn) turns.done();
          hasTurn = false;
        }
      }
      if (decoder.atBoundary) this.#end(undefined);
      else this.#end(await this.#endInFrame());
    } catch (error) {
      // Readers still get what arrived before the bad frame.
      while (channels.endTurn()) await nextTurn();
      if (hasTurn) turns.done();
      hasTurn = false;
      const refusal = !decoder.heard && isClientHello(decoder.suspect)
        ? TLS_ALERT
        : undefined;
      this.#end(await this.#readFailure(error, foreign), refusal);
    } finally {
      if (hasTurn) turns.done();
      this.#readerDone = true;
      this.#onReaderDone?.();
    }
  }

  /** Reads the state again: TypeScript cannot know that others change it. */
  #hasEnded(): boolean {
    return this.#state === "ended";
  }

  /** The error of a byte stream that ended inside a frame. */
  async #endInFrame(): Promise<MuxError> {
    const { suspect, heard } = this.#decoder;
    const how = "the byte stream ended inside a frame";
    // The IDs of peers begin at small numbers.
    const isStranger = !heard && suspect !== undefined && suspect[1]! > 0;
    const error = isStranger ? protocolError(how) : connectionLost(how);
    return suspect === undefined
      ? error
      : await this.#notFrames(error, suspect);
  }

  /** The error for bytes that are no frames, with what they look like. */
  async #notFrames(error: MuxError, bytes: Uint8Array): Promise<MuxError> {
    const { advice } = this.#transport as AdvisingTransport;
    try {
      // Loaded on first use: most peers speak this protocol.
      const loading = import("./foreign_peer.ts");
      const { notFrames } = await loadedInTime(loading, DESCRIPTION_TIMEOUT);
      return notFrames(error, bytes, advice);
    } catch {
      // It cannot be loaded, as by a page without a network: the error says less.
      return error;
    }
  }

  /** The error of the session for an error of reading; undefined if it is none. */
  async #readFailure(
    error: unknown,
    foreign: Uint8Array | undefined,
  ): Promise<MuxError | undefined> {
    if (error instanceof MuxError) {
      const suspect = foreign ?? this.#decoder.suspect;
      return suspect === undefined || error.code !== "protocol-error"
        ? error
        : await this.#notFrames(error, suspect);
    }
    if (isReset(error) && this.#decoder.atBoundary) return undefined;
    // Many programs print only the message: it says that TLS failed, for example.
    return connectionLost(
      (error as Error)?.message || "reading failed",
      error,
    );
  }

  /** What the session knows about its peer's silence. */
  #watched(means: KeepAliveMeans | undefined): Watched {
    let started = false;
    let signs = 0;
    return {
      heard: () => {
        // Not sooner: short connections have no use for it.
        started ||= means?.start?.() ?? true;
        const before = signs;
        signs = means?.signs ?? 0;
        const heard = this.#heard || signs !== before;
        this.#heard = false;
        return heard;
      },
      write: () => this.#queue.isWriting ? this.#writes : 0,
      ask: () => {
        // The time of the last turn is of no use for measuring a round trip.
        this.channels.tick();
        const asked = this.onSilence?.();
        if (asked !== undefined || means?.ping === undefined) {
          return asked ?? false;
        }
        means.ping();
        return true;
      },
      lost: (silence) => this.#end(peerSilent(silence)),
    };
  }

  /**
   * Handles a failed write. What the peer sent before it went away may still
   * arrive, so reading continues until it ends or `closeTimeout` has passed.
   */
  #writeFailed(error: unknown): void {
    if (this.#state === "ended") return;
    const lost = connectionLost("writing failed", error);
    this.channels.onWriteFailed(lost);
    this.#cancelLimit = timeLimit(this.#closeTimeout, () => this.#end(lost));
  }

  async #close(): Promise<void> {
    // The session may have ended by itself while its transport is being closed.
    if (this.#state === "ended") return await this.#closeTransport();
    this.#state = "closing";
    this.channels.close(sessionClosed());
    const drained = await settlesWithin(this.#closeTimeout, this.#drain());
    // The peer had its time: closing the transport must not take more.
    if (!drained) (this.#transport as AbortableTransport).abort?.();
    this.#end(undefined);
    await this.#closeTransport();
  }

  async #closeTransport(): Promise<void> {
    try {
      await this.#transport.close();
    } catch {
      // The connection is gone either way, and no caller could do more.
    }
  }

  /**
   * Sends what is queued, ends this side of the byte stream and waits for the
   * peer to end its own. To close a socket with unread bytes would reset it, and
   * the peer's application could lose what was sent last.
   */
  async #drain(): Promise<void> {
    await this.#queue.idle();
    this.#queue.stop();
    try {
      await this.#transport.closeWrite();
    } catch {
      return; // The peer is gone: there is nothing to wait for.
    }
    if (this.#readerDone) return;
    await new Promise<void>((resolve) => this.#onReaderDone = resolve);
  }

  /** @param lastWords what is written before the transport is closed */
  #end(failure: MuxError | undefined, lastWords?: Uint8Array): void {
    if (this.#state === "ended") return;
    const isWriting = this.#queue.isWriting;
    const closedHere = this.#state === "closing";
    this.#state = "ended";
    this.#cancelLimit?.();
    this.#silence?.stop();
    // Once this side closes the session, a failure no longer matters.
    const reason = closedHere
      ? sessionClosed()
      : failure ?? connectionLost("the peer ended it");
    this.#queue.stop();
    const cleanly = failure === undefined || closedHere;
    this.channels.end(reason, cleanly);
    if (cleanly) this.#closed.resolve();
    else this.#closed.reject(failure);
    if (lastWords === undefined || isWriting) {
      void this.#closeTransport();
    } else void this.#closeAfter(lastWords);
  }

  /** Writes some bytes, which the peer may not read, and closes the transport. */
  async #closeAfter(bytes: Uint8Array): Promise<void> {
    await settlesWithin(this.#closeTimeout, this.#transport.write(bytes));
    await this.#closeTransport();
  }
}

/** What a session begins with, if that is no frame. */
function foreignStart(chunk: Uint8Array): "text" | "bytes" | undefined {
  if (isTextFrame(chunk)) return "text";
  return isHalfForeignHeader(chunk) ? "bytes" : undefined;
}

/**
 * Whether the peer reset the connection, as it does when it closes a socket with
 * unread bytes. Between two frames, that is a clean end.
 */
function isReset(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "ConnectionReset" ||
      (error as { code?: unknown }).code === "ECONNRESET");
}

/** How many frames to decode at once, after so many took `ms` milliseconds. */
function framesAtOnce(frames: number, ms: number): number {
  const { least, most } = FRAMES_AT_ONCE;
  // Twice as many at most, since these may have been cheaper than others.
  const next = Math.min(2, TIME_AT_ONCE / ms) * frames;
  return Math.max(least, Math.min(most, Math.floor(next)));
}

/**
 * Starts the session that a connection is for: its own kind, or else qmux.
 *
 * @param transport the connection, which the session owns
 * @param options limits
 * @throws {RangeError} if an option is out of range
 */
export function sessionOver(
  transport: Transport,
  options?: SessionOptions,
): Session {
  return isSessionTransport(transport)
    ? transport.startSession(options)
    : qmux(transport, options);
}

/**
 * The raw interface of a session.
 *
 * @throws {TypeError} if the session does not come from this package
 */
export function rawSession(session: Session): RawSession {
  checkMethods("session", session, "a qtalk session", "openRaw");
  return session as RawSession;
}

/** Whether a connection has sessions of a kind of its own, and no byte stream. */
export function isSessionTransport(
  transport: Transport,
): transport is SessionTransport {
  return "startSession" in transport;
}

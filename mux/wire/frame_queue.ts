import { view } from "../../view.ts";
import { MuxError } from "../errors.ts";
import {
  CLOSE_SIZE,
  DATA_HEADER_SIZE,
  EOF_SIZE,
  OPEN_CONFIRM_SIZE,
  OPEN_FAILURE_SIZE,
  OPEN_SIZE,
  WINDOW_ADJUST_SIZE,
  writeClose,
  writeData,
  writeEof,
  writeOpen,
  writeOpenConfirm,
  writeOpenFailure,
  writeWindowAdjust,
} from "./frame.ts";
import { Queue } from "../../queue.ts";
import { writeUint32 } from "../../uint32.ts";
import type { CreditSource, DataSource } from "./frame_source.ts";
import type { FrameSender } from "./frame_sender.ts";
import type { EarlyWrites } from "../flow/early_writes.ts";
import type { Clock } from "../flow/turns.ts";
import type {
  DeferredWrites,
  DeferringWriter,
} from "../flow/deferred_writes.ts";

// The sizes of write buffers: they grow with the traffic and shrink again, so that
// an idle session holds little memory.

/** Initial bytes of a write buffer, and of one that has been idle. */
const SMALL_BUFFER = 256;
/** Bytes of a buffer in place of 1 MiB if they suffice, as for half of a large value. */
const VALUE_BUFFER = 576 * 1024;
/** Consecutive small writes after which a large buffer is released. */
const SHRINK_AFTER = 64;

/** A buffer of at least `needed` bytes, with the first `used` of `buffer`. */
export function growBuffer(
  buffer: Uint8Array,
  used: number,
  needed: number,
): Uint8Array<ArrayBuffer> {
  let size = Math.max(buffer.length, SMALL_BUFFER);
  while (size < needed) size *= 2;
  if (size > VALUE_BUFFER && needed <= VALUE_BUFFER) size = VALUE_BUFFER;
  const grown = new Uint8Array(size);
  grown.set(buffer.subarray(0, used));
  return grown;
}

/** Decides when to release a buffer that was large. */
export class BufferRetention {
  #smallWrites = 0;

  /** The buffer to use after one of which `written` bytes were written. */
  retain(
    buffer: Uint8Array<ArrayBuffer>,
    written: number,
  ): Uint8Array<ArrayBuffer> {
    if (buffer.length <= SMALL_BUFFER) return buffer;
    if (written > buffer.length / 4) {
      this.#smallWrites = 0;
      return buffer;
    }
    if (++this.#smallWrites < SHRINK_AFTER) return buffer;
    this.#smallWrites = 0;
    return new Uint8Array(SMALL_BUFFER);
  }
}

/**
 * A write of this many bytes takes no further DATA from waiting channels, unless the
 * transport wants smaller ones.
 */
export const WRITE_TARGET = 256 * 1024;
/**
 * A DATA frame counts towards {@linkcode WRITE_TARGET} as if it had as many bytes
 * more: a write has at most 2,048 of them, and of one channel in a row 256. Making
 * them takes a program milliseconds, and only a write lets the event loop turn.
 * The former is for the responses to a thousand calls, the latter for a stream of
 * small values.
 */
const DATA_COST = { any: WRITE_TARGET / 2048, inRow: WRITE_TARGET / 256 };
/**
 * Passes through the microtask queue without a new frame after which a turn has
 * ended. A handler that responds after a few `await`s still shares one write with
 * others; a pass takes well under a microsecond.
 */
const QUIET_PASSES = 4;
/**
 * The same after a large chunk of a stream: a web stream takes more than four
 * passes from one chunk to the next, and they had left in two writes. That is 4 to
 * 9 % of the CPU time of a transfer.
 */
const STREAM_PASSES = 12;
/** Passes after which a turn is cut off, so that a busy one cannot delay frames. */
const MAX_PASSES = 64;
/**
 * Bytes of small frames that leave without waiting for the end of the turn: the
 * peer starts to work on them meanwhile, if it has a processor of its own. With 64
 * calls in flight, that is 1.6 times as many calls per second as one write for all
 * of them; on a single processor it is 0.8 (tests/bench/LOG.md), so `EarlyWrites`
 * finds out what pays. A transport whose writes are dear may say a larger number.
 */
const EARLY_WRITE = 2 * 1024;
/**
 * Bytes of DATA from which on it belongs to a stream or to a large value. More
 * often follows in the same turn, and leaves with it: to write each piece early
 * takes twice as many writes, and a fifth more CPU time (tests/bench/LOG.md).
 */
const LARGE_DATA = 16 * 1024;
/**
 * Writes, from one with a small value on, in which large DATA is treated as if it were
 * small. Calls beside a transfer would otherwise wait for twice as many of its bytes,
 * and take 0.8 to 1.0 in place of 0.4 to 0.5 ms (the median, on a busy machine).
 */
const BESIDE_WRITES = 64;
/** Bytes of frames that may wait for the next write: those of 16 CLOSEs. */
const MOST_DEFERRED = 16 * CLOSE_SIZE;
/** After so many writes of their own at most, frames that may wait do so again. */
const MAX_UNDEFERRED = 64;
/** In place of a buffer that was not needed yet. */
const NO_BUFFER = new Uint8Array(0);
/** `await resolved` takes one pass, as `await null` does, but allocates less. */
const resolved = Promise.resolve();

/** What a transport has to say about the buffers of a queue. */
export interface WriteBuffers {
  /** Bytes of a buffer that are left free before the frames. Default: 0. */
  readonly headroom?: number | undefined;
  /**
   * Bytes of a write from which on it takes no further DATA from waiting channels; at
   * most, and by default, {@linkcode WRITE_TARGET}.
   */
  readonly writeTarget?: number | undefined;
  /** As {@linkcode growBuffer}, which is the default. */
  readonly grow?: typeof growBuffer;
  /** A buffer in place of that of a write; undefined if the queue keeps that one. */
  exchange(
    written: Uint8Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> | undefined;
}

/** How the queue writes. */
export interface FrameQueueOptions {
  /**
   * Writes all of `bytes`, which may change again once it resolves. What the DATA
   * frames among them cost is at most `writeTarget`, and one frame more: one of
   * `SEND_QUANTUM`, or of `LONE_QUANTUM` if a value has the write for itself.
   */
  write: (bytes: Uint8Array, dataCost: number) => Promise<void>;
  /** Called once, when a write has failed; there are no writes after that. */
  onError: (error: unknown) => void;
  /** Bytes of replies that may be queued. */
  maxQueuedReplySize: number;
  /** Where buffers come from. Default: the queue makes and keeps them. */
  buffers?: WriteBuffers | undefined;
  /** Bytes of small frames that do not wait for the end of the turn. Default: 2 KiB. */
  earlyWrite?: number | undefined;
  /** Times whether it pays that they do not. Default: they never wait. */
  clock?: Clock | undefined;
  /** What limits how long frames may wait for others. Default: none may. */
  deferred?: DeferredWrites | undefined;
}

/**
 * Everything that a session sends goes through its frame queue, which alone
 * writes to the transport. It gathers the frames of one turn (see `TurnClock`) and
 * writes them at once.
 *
 * Frames without payload and small DATA are queued as they come. Channels with
 * more DATA than fits are asked for it just before a write, in round-robin order,
 * so that an OPEN, a credit or a small call never waits for bulk data.
 *
 * A reply is a frame that the peer has caused: OPEN_CONFIRM, OPEN_FAILURE, or the
 * CLOSE that answers its CLOSE. A peer could cause any number of them without
 * reading, so their bytes are limited.
 *
 * Frames that nothing depends on do not cause a write: they wait for the next one,
 * or for a while ({@linkcode DeferredWrites}). They keep their place among the
 * others, so that nothing overtakes them.
 */
export class FrameQueue implements FrameSender, DeferringWriter {
  readonly #write: FrameQueueOptions["write"];
  readonly #onError: FrameQueueOptions["onError"];
  readonly #maxQueuedReplySize: number;
  readonly #buffers: FrameQueueOptions["buffers"];
  readonly #writeTarget: number;
  readonly #clock: Clock | undefined;
  /** Bytes from which on small frames may be an early write. */
  readonly #leastEarly: number;
  /** Bytes from which on they are one now. */
  #earlyWrite: number;
  /** Finds out whether they should be; `loading` from when there first are as many. */
  #earlyWrites: EarlyWrites | "loading" | undefined;
  /** Small values that were queued. */
  #values = 0;
  readonly #deferred: DeferredWrites | undefined;
  deferredAt = -1;
  isWatched = false;
  /** Where the frames begin in a buffer. */
  readonly #start: number;
  #state: "idle" | "deferring" | "gathering" | "writing" | "stopped" = "idle";
  #buffer: Uint8Array<ArrayBuffer> = NO_BUFFER;
  #length = 0;
  /** What the DATA frames in the buffer count as, beside their bytes. */
  #dataCost = 0;
  /** The channel of the last one. */
  #dataId = -1;
  /** Where it begins, and where it ends; -1 if it may not be shared, or has left. */
  #dataAt = 0;
  #dataEnd = -1;
  /** For how many more writes large DATA does not gather, because of a small value. */
  #besideSmall = 0;
  /**
   * The other buffer: one is filled while the other is written. It is made when that
   * happens for the first time, since most connections never need it.
   */
  #spare: Uint8Array<ArrayBuffer> = NO_BUFFER;
  /** How much of it is being written. */
  #spareLength = 0;
  readonly #retention = new BufferRetention();
  #replySize = 0;
  /** Bytes of the frames in the buffer that may wait. */
  #deferredSize = 0;
  /**
   * How often such frames do not wait, and how often they will not after the next
   * time that they have waited in vain: on a connection with a call now and then,
   * they only cost a timer.
   */
  #undeferred = 0;
  #nextUndeferred = 1;
  // Both are made when a channel needs them: small calls never do, and of a thousand
  // sessions each is out of the processor's cache when it is looked at.
  #dataSources: Queue<DataSource> | undefined;
  #creditSources: CreditSource[] | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #gathering: Promise<void> | undefined;
  /** Resolves when the buffer being filled has been written. */
  #filledWritten: PromiseWithResolvers<void> | undefined;
  /** Resolves when the write under way has ended. */
  #currentWritten: PromiseWithResolvers<void> | undefined;

  /** Makes a queue for a transport. */
  constructor(options: FrameQueueOptions) {
    this.#write = options.write;
    this.#onError = options.onError;
    this.#maxQueuedReplySize = options.maxQueuedReplySize;
    this.#buffers = options.buffers;
    this.#writeTarget = options.buffers?.writeTarget ?? WRITE_TARGET;
    this.#clock = options.clock;
    this.#earlyWrite = this.#leastEarly = options.earlyWrite ?? EARLY_WRITE;
    this.#deferred = options.deferred;
    this.#start = this.#length = options.buffers?.headroom ?? 0;
  }

  /** Whether DATA may be queued now. */
  get hasRoom(): boolean {
    return this.#length + this.#dataCost < this.#writeTarget;
  }

  hasRoomFor(_recipientId: number): boolean {
    return this.hasRoom;
  }

  /** Whether a write is under way. */
  get isWriting(): boolean {
    return this.#state === "writing";
  }

  open(senderId: number, windowSize: number, maxPacketSize: number): void {
    if (this.#state === "stopped") return;
    const at = this.#reserve(OPEN_SIZE);
    writeOpen(this.#buffer, at, senderId, windowSize, maxPacketSize);
    this.#wake();
  }

  openConfirm(
    recipientId: number,
    senderId: number,
    windowSize: number,
    maxPacketSize: number,
    isReply: boolean,
  ): void {
    if (this.#state === "stopped") return;
    const at = this.#reserve(OPEN_CONFIRM_SIZE);
    writeOpenConfirm(
      this.#buffer,
      at,
      recipientId,
      senderId,
      windowSize,
      maxPacketSize,
    );
    this.#wake();
    if (isReply) this.#countReply(OPEN_CONFIRM_SIZE);
  }

  openFailure(recipientId: number): void {
    if (this.#state === "stopped") return;
    const at = this.#reserve(OPEN_FAILURE_SIZE);
    writeOpenFailure(this.#buffer, at, recipientId);
    this.#wake();
    this.#countReply(OPEN_FAILURE_SIZE);
  }

  data(recipientId: number, payload: Uint8Array, shareable = 0): void {
    if (this.#state === "stopped") return;
    const isSmall = payload.length < LARGE_DATA;
    // A value: transfers have small pieces, too, where a read or a window ends.
    if (isSmall && shareable === 0) {
      this.#besideSmall = BESIDE_WRITES;
      this.#values++;
    }
    const isOwnFrame = this.#besideSmall > 0 ||
      !this.#extendData(recipientId, payload, shareable);
    if (isOwnFrame) {
      const at = this.#reserve(DATA_HEADER_SIZE + payload.length);
      writeData(this.#buffer, at, recipientId, payload);
      this.#dataAt = at;
      this.#dataEnd = this.#besideSmall > 0 || isSmall || shareable === 0
        ? -1
        : this.#length;
    }
    this.#dataCost += recipientId === this.#dataId
      ? DATA_COST.inRow
      : DATA_COST.any;
    this.#dataId = recipientId;
    if (
      this.#state === "gathering" && this.#length >= this.#earlyWrite &&
      (this.#besideSmall > 0 || isSmall && isOwnFrame || !this.hasRoom)
    ) {
      this.#flush();
    } else this.#wake();
  }

  /**
   * Adds a payload to the frame before it, if that is DATA of the same channel and
   * does not become larger than `most` bytes. The peer then has one frame in place
   * of four to decode: 8 % less CPU time of an echo at both ends.
   */
  #extendData(
    recipientId: number,
    payload: Uint8Array,
    most: number,
  ): boolean {
    const end = this.#length;
    if (this.#dataEnd !== end || this.#dataId !== recipientId) return false;
    const size = end - this.#dataAt - DATA_HEADER_SIZE + payload.length;
    if (size > most) return false;
    this.#reserve(payload.length);
    this.#buffer.set(payload, end);
    writeUint32(this.#buffer, this.#dataAt + 5, size);
    this.#dataEnd = this.#length;
    return true;
  }

  eof(recipientId: number): void {
    if (this.#state === "stopped") return;
    const at = this.#reserve(EOF_SIZE);
    writeEof(this.#buffer, at, recipientId);
    this.#wake();
  }

  close(recipientId: number, isReply: boolean, mayWait = false): void {
    if (this.#state === "stopped") return;
    const at = this.#reserve(CLOSE_SIZE);
    writeClose(this.#buffer, at, recipientId);
    if (mayWait) this.#deferredSize += CLOSE_SIZE;
    this.#wake();
    if (isReply) this.#countReply(CLOSE_SIZE);
  }

  scheduleData(source: DataSource): void {
    if (this.#state === "stopped") return;
    (this.#dataSources ??= new Queue()).push(source);
    this.#wake();
  }

  scheduleCredit(source: CreditSource): void {
    if (this.#state === "stopped") return;
    (this.#creditSources ??= []).push(source);
    this.#wake();
  }

  written(_recipientId?: number): Promise<void> {
    if (this.#state === "stopped") return Promise.resolve();
    if (this.#length > this.#start) {
      const { promise } = this.#filledWritten ??= Promise.withResolvers<void>();
      this.sendDeferred();
      return promise;
    }
    if (this.#state !== "writing") return Promise.resolve();
    this.#currentWritten ??= Promise.withResolvers<void>();
    return this.#currentWritten.promise;
  }

  /**
   * Resolves when the frames of this turn have been passed to the transport,
   * which takes no longer than the turn; undefined if there are none.
   */
  get gathering(): Promise<void> | undefined {
    return this.#state === "gathering" ? this.#gathering : undefined;
  }

  /** Resolves when nothing is queued, or nothing will be written any more. */
  idle(): Promise<void> {
    if (this.#state === "idle" || this.#state === "stopped") {
      return Promise.resolve();
    }
    const { promise } = this.#idle ??= Promise.withResolvers<void>();
    this.sendDeferred();
    return promise;
  }

  sendDeferred(): void {
    // Frames that are still being gathered then leave at the end of their turn.
    this.#deferredSize = 0;
    if (this.#state !== "deferring") return;
    this.#deferred!.delete(this);
    this.#flush();
  }

  /** Drops what is queued and ignores what is queued later. */
  stop(): void {
    if (this.#state === "deferring") this.#deferred!.delete(this);
    this.#state = "stopped";
    this.#deferred?.writerEnded();
    this.#buffer = this.#spare = NO_BUFFER;
    this.#length = this.#start;
    this.#dataSources = this.#creditSources = undefined;
    this.#currentWritten?.resolve();
    this.#filledWritten?.resolve();
    this.#idle?.resolve();
  }

  #windowAdjust(recipientId: number, bytesToAdd: number): void {
    const at = this.#reserve(WINDOW_ADJUST_SIZE);
    writeWindowAdjust(this.#buffer, at, recipientId, bytesToAdd);
  }

  #countReply(size: number): void {
    this.#replySize += size;
    if (this.#replySize > this.#maxQueuedReplySize) {
      throw new MuxError(
        "limit-exceeded",
        `Cannot continue session: ${this.#replySize} bytes of replies are queued for a peer that does not read them`,
      );
    }
  }

  /**
   * Makes room for a frame of `size` bytes; returns its offset. It may replace
   * the buffer.
   */
  #reserve(size: number): number {
    const at = this.#length;
    const needed = this.#length = at + size;
    if (needed > this.#buffer.length) {
      this.#buffer = (this.#buffers?.grow ?? growBuffer)(
        this.#buffer,
        at,
        needed,
      );
    }
    return at;
  }

  deferralExpired(): void {
    this.#undeferred = this.#nextUndeferred;
    this.#nextUndeferred = Math.min(MAX_UNDEFERRED, 2 * this.#nextUndeferred);
    this.sendDeferred();
  }

  #wake(): void {
    if (this.#state === "deferring") {
      this.#deferred!.delete(this);
      this.#nextUndeferred = 1;
    } else if (this.#state !== "idle") return;
    this.#gathering = this.#gather();
  }

  /** Waits until the turn adds no more frames, then writes. */
  async #gather(): Promise<void> {
    this.#state = "gathering";
    let seen = this.#length;
    let quiet = 0;
    let needed = QUIET_PASSES;
    for (let pass = 0; pass < MAX_PASSES && quiet < needed; pass++) {
      await resolved;
      if (this.#state !== "gathering") return;
      quiet = this.#length === seen ? quiet + 1 : 0;
      needed = this.#dataEnd < 0 ? QUIET_PASSES : STREAM_PASSES;
      seen = this.#length;
    }
    if (this.#deferredSize > 0 && this.#mayDefer()) {
      if (this.#undeferred === 0) return this.#defer();
      this.#undeferred--;
    }
    this.#flush();
  }

  /** Whether all that is queued may wait for what comes later. */
  #mayDefer(): boolean {
    const size = this.#length - this.#start;
    return size === this.#deferredSize && size <= MOST_DEFERRED &&
      !this.#hasSources &&
      this.#filledWritten === undefined && this.#idle === undefined &&
      this.#deferred !== undefined;
  }

  /** Whether channels wait to be asked for frames. */
  get #hasSources(): boolean {
    return (this.#dataSources?.length ?? 0) > 0 ||
      (this.#creditSources?.length ?? 0) > 0;
  }

  #defer(): void {
    this.#state = "deferring";
    this.#deferred!.add(this);
  }

  /**
   * Writes what is queued. It is not `async`, which would cost half a kilobyte and
   * a fortieth of the time of a call that is alone.
   */
  #flush(): void {
    this.#state = "writing";
    this.#fill();
    if (this.#length === this.#start) return this.#rest();
    const bytes = view(this.#buffer, this.#start, this.#length);
    const dataCost = this.#dataCost;
    if (this.#besideSmall > 0) {
      this.#besideSmall--;
      if (bytes.length >= this.#leastEarly) this.#compareWays();
    }
    this.#swap();
    let writing: Promise<void>;
    try {
      writing = this.#write(bytes, dataCost);
    } catch (error) {
      writing = Promise.reject(error);
    }
    writing.then(this.#onWritten, this.#onFailed);
  }

  /** Whether the small frames of a turn should leave early may change. */
  #compareWays(): void {
    if (this.#clock === undefined || this.#earlyWrites === "loading") return;
    if (this.#earlyWrites === undefined) {
      void this.#loadEarlyWrites(this.#clock);
    } else this.#earlyWrite = this.#earlyWrites.next(this.#values);
  }

  /**
   * Loads it when a turn has as much to send for the first time, as in few programs.
   * Small frames leave early until it is loaded, and if it cannot be.
   */
  async #loadEarlyWrites(clock: Clock): Promise<void> {
    this.#earlyWrites = "loading";
    try {
      const { EarlyWrites } = await import("../flow/early_writes.ts");
      this.#earlyWrites = new EarlyWrites(this.#leastEarly, clock);
    } catch {
      // A page without a network.
    }
  }

  readonly #onWritten = (): void => {
    if (this.#state === "stopped") return;
    this.#currentWritten?.resolve();
    this.#currentWritten = undefined;
    this.#spare = this.#buffers?.exchange(this.#spare) ??
      this.#retention.retain(this.#spare, this.#spareLength);
    if (this.#length > this.#start || this.#hasSources) {
      this.#gathering = this.#gather();
    } else this.#rest();
  };

  readonly #onFailed = (error: unknown): void => {
    if (this.#state === "stopped") return;
    this.stop();
    this.#onError(error);
  };

  #rest(): void {
    // A channel's callback may have ended the session while frames were gathered.
    if (this.#state === "stopped") return;
    this.#state = "idle";
    if (this.#buffer === NO_BUFFER) {
      this.#buffer = this.#spare;
      this.#spare = NO_BUFFER;
    }
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Adds the credit to return, then DATA of waiting channels, in order. */
  #fill(): void {
    const credits = this.#creditSources;
    if (credits !== undefined) {
      for (let i = 0; i < credits.length; i++) {
        const source = credits[i]!;
        const credit = source.takeCredit();
        if (credit > 0) this.#windowAdjust(source.remoteId, credit);
      }
      credits.length = 0;
    }
    // At least one source: small DATA could fill every write and starve bulk.
    let source = this.#dataSources?.shift();
    while (source !== undefined) {
      // A call after this write waits for all of it, so it is small beside calls.
      // A transport that wants smaller writes wants smaller frames, too.
      const isAlone = this.#writeTarget === WRITE_TARGET &&
        this.#besideSmall === 0 &&
        this.#dataSources!.length === 0 && this.#length < LARGE_DATA;
      // A channel's callback may end the session, and with it the queue.
      if (source.pull(isAlone)) this.#dataSources?.push(source);
      source = this.hasRoom ? this.#dataSources?.shift() : undefined;
    }
  }

  #swap(): void {
    const filled = this.#buffer;
    this.#buffer = this.#spare;
    this.#spare = filled;
    this.#spareLength = this.#length;
    this.#length = this.#start;
    this.#dataCost = 0;
    this.#dataEnd = -1;
    this.#replySize = 0;
    this.#deferredSize = 0;
    this.#currentWritten = this.#filledWritten;
    this.#filledWritten = undefined;
  }
}

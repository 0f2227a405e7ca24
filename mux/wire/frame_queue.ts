/**
 * The one way out of a session: everything that it sends goes through a
 * {@linkcode FrameQueue}, the sole owner of the transport's writing side.
 *
 * @module
 */
import { MuxError } from "../errors.ts";
import {
  DATA_HEADER_SIZE,
  FrameType,
  MAX_FRAME_HEADER_SIZE,
  writeHeader,
} from "./frame.ts";

/** Bytes gathered in one write beyond which DATA waits in its channel. */
export const WRITE_TARGET = 256 * 1024;
/**
 * Bytes of DATA that one channel sends before the next has its turn. A value
 * of 64 KiB with its length prefix fits: qtalk-js wants it in one frame.
 */
export const SEND_QUANTUM = 64 * 1024 + 64;
/** Bytes that a buffer for writing has at first, and again when idle. */
const SMALL_BUFFER = 256;
/**
 * Rounds of the microtask queue without a new frame after which the turn
 * counts as over. A handler that answers through a few `await`s still shares
 * one write with its neighbours; a round costs well under a microsecond.
 */
const QUIET_ROUNDS = 4;
/** Rounds after which a turn is cut, so that a busy one cannot hold frames. */
const MAX_ROUNDS = 64;
/**
 * Bytes of small frames that are not held back for the rest of the turn: the
 * other end begins to work on them while this one goes on. Doubles the calls
 * per second of two processes with 64 in flight (tests/bench/LOG.md).
 */
const EARLY_WRITE = 2 * 1024;
/** Small writes in a row after which a grown buffer is let go. */
const SHRINK_AFTER = 64;

/** To await this takes one round, as to await nothing does, but makes less. */
const resolved = Promise.resolve();

/** A channel whose DATA waits its turn. */
export interface FrameSource {
  /**
   * Writes at most {@linkcode SEND_QUANTUM} bytes of DATA into the queue;
   * returns whether more could go at once.
   */
  pull(): boolean;
}

/** A channel that has credit to return. */
export interface CreditSource {
  /** The number that the peer gave the channel. */
  readonly remoteId: number;
  /** Takes the credit to return, in bytes; 0 if the channel may not send. */
  takeAdjust(): number;
}

/** How the queue reaches the world. */
export interface FrameQueueOptions {
  /** Writes all of `bytes`, which are the caller's again once it resolves. */
  write: (bytes: Uint8Array) => Promise<void>;
  /** Told once, when a write failed; nothing is written after that. */
  onError: (error: unknown) => void;
  /** Bytes of answers that may wait for the peer. */
  maxQueuedReplySize: number;
}

/**
 * Gathers frames during one turn of the event loop and writes them at once.
 *
 * Frames without payload and small DATA go in as they come. Channels with more
 * to send than fits are asked for it just before a write, in turn, so that an
 * OPEN, a credit or a small call never stands behind a queue of bulk.
 */
export class FrameQueue {
  readonly #write: FrameQueueOptions["write"];
  readonly #onError: FrameQueueOptions["onError"];
  readonly #maxQueuedReplySize: number;
  #state: "idle" | "gathering" | "writing" | "stopped" = "idle";
  #buffer = new Uint8Array(0);
  #length = 0;
  /** The other buffer: one is filled while the other is written. */
  #spare = new Uint8Array(0);
  #smallWrites = 0;
  #replies = 0;
  #ready: FrameSource[] = [];
  #adjusts: CreditSource[] = [];
  #idle: PromiseWithResolvers<void> | undefined;
  #turn: Promise<void> | undefined;
  /** Who waits for the buffer being filled, and for the one being written. */
  #gathered: PromiseWithResolvers<void> | undefined;
  #underWay: PromiseWithResolvers<void> | undefined;

  /** Makes a queue in front of a transport. */
  constructor(options: FrameQueueOptions) {
    this.#write = options.write;
    this.#onError = options.onError;
    this.#maxQueuedReplySize = options.maxQueuedReplySize;
  }

  /** Whether DATA may go in now; otherwise it waits for its turn. */
  get hasRoom(): boolean {
    return this.#length < WRITE_TARGET;
  }

  /** Puts a frame without payload into the queue. */
  frame(type: number, a: number, b?: number, c?: number, d?: number): void {
    if (this.#state === "stopped") return;
    this.#reserve(MAX_FRAME_HEADER_SIZE);
    this.#length = writeHeader(this.#buffer, this.#length, type, a, b, c, d);
    this.#wake();
  }

  /**
   * Puts an answer into the queue that the peer asked for.
   *
   * @throws {MuxError} `limit-exceeded` if the peer does not read its answers
   */
  reply(type: number, a: number, b?: number, c?: number, d?: number): void {
    if (this.#state === "stopped") return;
    const before = this.#length;
    this.frame(type, a, b, c, d);
    this.#replies += this.#length - before;
    if (this.#replies > this.#maxQueuedReplySize) {
      throw new MuxError(
        "limit-exceeded",
        `Cannot go on with session: ${this.#replies} bytes of answers wait for a peer that does not read`,
      );
    }
  }

  /** Puts `bytes` as one DATA frame into the queue; they are copied. */
  data(recipient: number, bytes: Uint8Array): void {
    if (this.#state === "stopped") return;
    this.#reserve(DATA_HEADER_SIZE + bytes.length);
    const at = writeHeader(
      this.#buffer,
      this.#length,
      FrameType.DATA,
      recipient,
      bytes.length,
    );
    this.#buffer.set(bytes, at);
    this.#length = at + bytes.length;
    if (this.#state === "gathering" && this.#length >= EARLY_WRITE) {
      void this.#flush();
    } else this.#wake();
  }

  /** Asks `source` for DATA when its turn comes; call once per wait. */
  ready(source: FrameSource): void {
    if (this.#state === "stopped") return;
    this.#ready.push(source);
    this.#wake();
  }

  /** Returns the credit of `source` with the next write; call once per wait. */
  adjust(source: CreditSource): void {
    if (this.#state === "stopped") return;
    this.#adjusts.push(source);
    this.#wake();
  }

  /** Resolves when the frames queued so far are written, or never will be. */
  written(): Promise<void> {
    if (this.#state === "stopped") return Promise.resolve();
    if (this.#length > 0) {
      this.#gathered ??= Promise.withResolvers<void>();
      return this.#gathered.promise;
    }
    if (this.#state !== "writing") return Promise.resolve();
    this.#underWay ??= Promise.withResolvers<void>();
    return this.#underWay.promise;
  }

  /**
   * Resolves when what is being gathered has gone to the transport, which takes
   * no longer than the turn; nothing if there is none.
   */
  get turn(): Promise<void> | undefined {
    return this.#state === "gathering" ? this.#turn : undefined;
  }

  /** Resolves when nothing waits any more, or never will be written. */
  idle(): Promise<void> {
    if (this.#state === "idle" || this.#state === "stopped") {
      return Promise.resolve();
    }
    this.#idle ??= Promise.withResolvers<void>();
    return this.#idle.promise;
  }

  /** Drops what is queued and takes no more. */
  stop(): void {
    this.#state = "stopped";
    this.#buffer = this.#spare = new Uint8Array(0);
    this.#length = 0;
    this.#ready = [];
    this.#adjusts = [];
    this.#underWay?.resolve();
    this.#gathered?.resolve();
    this.#idle?.resolve();
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    let size = Math.max(this.#buffer.length, SMALL_BUFFER);
    while (size < needed) size *= 2;
    const grown = new Uint8Array(size);
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }

  #wake(): void {
    if (this.#state !== "idle") return;
    this.#turn = this.#gather();
  }

  /** Lets the turn go on until it adds nothing any more, then writes. */
  async #gather(): Promise<void> {
    this.#state = "gathering";
    let seen = this.#length;
    let quiet = 0;
    for (let round = 0; round < MAX_ROUNDS && quiet < QUIET_ROUNDS; round++) {
      await resolved;
      if (this.#state !== "gathering") return;
      quiet = this.#length === seen ? quiet + 1 : 0;
      seen = this.#length;
    }
    void this.#flush();
  }

  async #flush(): Promise<void> {
    this.#state = "writing";
    this.#fill();
    if (this.#length === 0) return this.#rest();
    const buffer = this.#buffer;
    const length = this.#length;
    this.#swap();
    try {
      await this.#write(buffer.subarray(0, length));
    } catch (error) {
      if (this.#isStopped()) return;
      this.stop();
      return this.#onError(error);
    }
    if (this.#isStopped()) return;
    this.#underWay?.resolve();
    this.#underWay = undefined;
    this.#spare = this.#retire(buffer, length);
    const more = this.#length > 0 || this.#ready.length > 0 ||
      this.#adjusts.length > 0;
    if (more) this.#turn = this.#gather();
    else this.#rest();
  }

  /** The state, read afresh: awaits and callbacks change it. */
  #isStopped(): boolean {
    return this.#state === "stopped";
  }

  #rest(): void {
    this.#state = "idle";
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Adds the credit to return, then DATA of the channels that wait, in turn. */
  #fill(): void {
    for (let i = 0; i < this.#adjusts.length; i++) {
      const source = this.#adjusts[i]!;
      const credit = source.takeAdjust();
      if (credit > 0) {
        this.frame(FrameType.WINDOW_ADJUST, source.remoteId, credit);
      }
    }
    this.#adjusts.length = 0;
    // One at least: small DATA could fill every write, and bulk starve.
    let source = this.#ready.shift();
    while (source !== undefined) {
      if (source.pull()) this.#ready.push(source);
      source = this.hasRoom ? this.#ready.shift() : undefined;
    }
  }

  #swap(): void {
    this.#buffer = this.#spare;
    this.#length = 0;
    this.#replies = 0;
    this.#underWay = this.#gathered;
    this.#gathered = undefined;
  }

  /** What to keep of a buffer that was written: an idle session holds little. */
  #retire(
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

/**
 * What RPC needs of a session and its channels beyond `types.ts`: synchronous
 * methods that copy a few bytes, where a pair of web streams would cost more than
 * a whole call. Every kind of session implements these interfaces, and RPC depends
 * on nothing else of the mux layer.
 *
 * @module
 */
import type { MemoryAccount } from "./flow/memory_account.ts";
import type { MuxError } from "./errors.ts";
import type { Channel, Session } from "./types.ts";

/** What the errors of a channel are named after. */
export interface ErrorOwner {
  /** The error, or one in its place that says more. */
  named(error: unknown): unknown;
}

/** A channel that can be read and written without streams. */
export interface RawChannel extends Channel {
  /** Bytes that have arrived and were not taken. */
  readonly buffered: number;
  /** Whether nothing more will arrive; buffered bytes can still be taken. */
  readonly ended: boolean;
  /** Whether the peer ended its direction with EOF, and not with CLOSE alone. */
  readonly eofReceived: boolean;
  /**
   * Why nothing more arrives: the reason of {@linkcode fail} or the error of the
   * session; undefined if because of EOF or CLOSE.
   */
  readonly failure: unknown;
  /** Whether the peer's CLOSE has arrived or the session has ended. */
  readonly peerClosed: boolean;
  /** Whether its streams have been made, or a read is pending. */
  readonly inUse: boolean;
  /** Whether its `readable` is locked, or a read is pending. */
  readonly isBeingRead: boolean;

  /**
   * The first contiguous bytes that have arrived, without taking them. They are
   * valid until the end of the turn of the event loop.
   */
  peek(): Uint8Array | undefined;
  /**
   * What the bytes of {@linkcode peek} are a range of: from {@linkcode chunkStart} to
   * {@linkcode chunkEnd}. A view of them would cost a small call more than they do.
   */
  readonly chunk: Uint8Array | undefined;
  /** Where the first contiguous bytes start in {@linkcode chunk}. */
  readonly chunkStart: number;
  /** Where they end. */
  readonly chunkEnd: number;
  /** Takes `bytes`, at most what {@linkcode peek} returned. */
  consume(bytes: number): void;
  /** Takes a chunk that the caller may keep; undefined if none has arrived. */
  take(): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Announces that the caller will take the next `bytes` as they arrive, so
   * that the peer can be granted credit for them at once, within the limits of
   * the session.
   */
  expect(bytes: number): void;
  /**
   * Calls `callback` once, when there are bytes to take or nothing more will
   * arrive: now, or at the end of the turn in which they arrive.
   *
   * @throws {MuxError} `invalid-state` if another read is pending
   */
  whenReadable(callback: () => void): void;
  /** Forgets a callback of {@linkcode whenReadable} that still waits. */
  cancelWhenReadable(callback: () => void): void;
  /**
   * Calls `callback` once, when the peer's CLOSE has arrived or the session has
   * ended. Several callbacks may wait; they are called in order, each once, however
   * often it was given.
   */
  whenClosed(callback: () => void): void;
  /** Forgets a callback of {@linkcode whenClosed} that still waits. */
  cancelWhenClosed(callback: () => void): void;
  /**
   * Says whether the answer to the peer's CLOSE may leave with other frames of the
   * session, because nothing at the peer waits for it. It then leaves within some
   * 100 ms; `false` sends it at once if it waits already. Default: it may not.
   */
  deferClose(mayWait: boolean): void;
  /**
   * Calls `callback` once, when the channel is closed on this side and no bytes
   * are left to take. There is one such callback.
   */
  whenDrained(callback: () => void): void;
  /**
   * Calls `callback` with the bytes of this channel that nothing takes: those that
   * {@linkcode cancelRead} and the methods that close the channel drop, and those
   * that arrive after that, until the peer's CLOSE. They are valid during the call.
   * There is one such callback.
   */
  whenDropped(callback: (bytes: Uint8Array) => void): void;
  /**
   * Makes CLOSE without EOF an error of this direction, which is then its
   * {@linkcode failure}. Only the protocol above the channel knows whether its
   * peer sends EOF: qtalk-go ends complete data with CLOSE alone. Undefined makes
   * it a clean end again.
   */
  requireEof(makeError: (() => unknown) | undefined): void;
  /**
   * Lets errors of the channel and of the session say what the channel is for:
   * `owner` has the last word on those that readers and writers get from now on. A
   * reason that this side gave stays what it is.
   */
  nameErrors(owner: ErrorOwner | undefined): void;

  /**
   * Sends `bytes`. Returns undefined if they were copied at once. Otherwise
   * returns a promise that resolves when they were; they must not change until
   * then.
   *
   * @throws {unknown} the reason why this direction is closed
   */
  send(bytes: Uint8Array): Promise<void> | undefined;
  /**
   * Takes back `bytes`, the same object that {@linkcode send} was given. If none
   * of them was sent, the promise of `send()` rejects with `reason` and this
   * returns true. Otherwise nothing changes, and it returns false.
   */
  withdraw(bytes: Uint8Array, reason: unknown): boolean;
  /**
   * What was left of the first pending write when this direction was closed: a view
   * of the bytes that {@linkcode send} was given. Default: nothing was pending.
   */
  readonly cutWrite?: Uint8Array | undefined;
  /** Sends as many leading `bytes` as can be copied at once; returns how many. */
  trySend(bytes: Uint8Array): number;
  /**
   * Calls `callback` once, when {@linkcode trySend} may send something or this
   * direction closes. There is one such callback.
   *
   * @throws {unknown} the reason why this direction is closed
   */
  whenWritable(callback: () => void): void;

  /**
   * Ends the sending direction: EOF, after pending writes and what the channel's
   * `writable` holds.
   */
  closeWrite(): void;
  /**
   * Something is to be sent and cannot be given to the channel yet. Until the
   * function that this returns is called, {@linkcode closeWrite} waits, and the
   * `close()` of a program sends no EOF: the data is not complete.
   */
  holdEnd(): () => void;
  /** Drops what has arrived and will arrive, and returns its credit. */
  cancelRead(): void;
  /** Does {@linkcode closeWrite} and {@linkcode cancelRead}: EOF, then CLOSE. */
  shutdown(): void;
  /**
   * Sends CLOSE at once. Pending writes reject with `reason`; buffered bytes stay
   * readable.
   */
  abort(reason: unknown): void;
  /**
   * Gives the channel up: sends CLOSE at once and drops what has arrived. Readers
   * and writers get `reason`, also those that wait.
   */
  fail(reason: unknown): void;
  /**
   * Sends CLOSE without EOF, after what was accepted: what this side sent is not
   * complete, or nothing is lost if it looks cut. Pending writes reject, and unread
   * bytes are dropped.
   */
  discard(): void;
  /**
   * Does what {@linkcode discard} does, but sends EOF first, also if writes are
   * pending, which are dropped: RPC uses it to say that an answer was taken.
   */
  discardWithEof(): void;
}

/** The channels of a session as a whole. */
export interface SessionChannels {
  /** Channels that this side may have open at the same time. */
  readonly maxChannels: number;
  /** Slots of the channels that this side opened. */
  readonly outgoingSlots: number;
  /** How many more channels this side may open now; 0 or less for none. */
  readonly openable: number;
  /** Whether at most a quarter of those, or half of the memory for channels, is free. */
  readonly crowded: boolean;
  /** How many channels the peer has opened, or tried to. */
  readonly openedByPeer: number;
  /** How many channels there have been, of both directions. */
  readonly opened: number;
  /**
   * Resolves when the next channel slot is freed. It stays pending once the
   * session has ended.
   */
  whenSlotFreed(): Promise<void>;
}

/**
 * Callbacks for the answer to an OPEN. Exactly one of them is called; neither may
 * throw.
 */
export interface OpenCallbacks {
  /** The channel is open. */
  resolve(channel: RawChannel): void;
  /** There is none. */
  reject(reason: unknown): void;
}

/** A session whose channels are {@linkcode RawChannel}s. */
export interface RawSession extends Session {
  /** Its channels. */
  readonly channels: SessionChannels;
  /** Whether it has ended or is closing: no channel can be opened any more. */
  readonly ended: boolean;
  /** Whether the opening of a channel waits until the peer has room for it. */
  readonly opensWait?: boolean | undefined;
  /**
   * Whether the other end has sent frames. If a violation of the protocol has ended a
   * session without any, what is at the other end is not a peer.
   */
  readonly heard: boolean;
  /**
   * Ends the session: the layer above has found that what is at the other end is no
   * peer. Nothing has been {@linkcode heard} then.
   */
  refuse?(error: MuxError): void;
  /** Bytes that have arrived, those of frames included. */
  readonly received: number;
  /** Bytes that were given to the transport, those of frames included. */
  readonly sent: number;
  /** What counts and bounds the memory that the session holds. */
  readonly account: MemoryAccount;
  /**
   * Opens a channel by callbacks, without a promise, for a layer that opens a
   * channel per message.
   *
   * @param isPing whether the channel may be one more than `maxChannels` allows:
   * it asks for a sign of life, and there is one such channel at a time
   */
  openRaw(callbacks: OpenCallbacks, isPing?: boolean): void;
  /**
   * Asks the peer for a sign of life, because nothing arrives; set by the layer
   * above. It returns whether it has asked; false also if the peer must not be
   * asked, and undefined if this layer cannot ask, so that the transport should.
   */
  onSilence?: (() => boolean | undefined) | undefined;
  /** Whether the peer is to be told not to ping this side. Default: false. */
  readonly refusesPings?: boolean;
  /** The usual round trip in milliseconds; undefined if it is not known. */
  readonly roundTrip?: number | undefined;
}

/**
 * What RPC needs of a session and its channels beyond the vocabulary of
 * `types.ts`: calls that copy a few bytes at once, where making a pair of web
 * streams would cost more than the whole call. Each kind of session implements
 * both; RPC depends on nothing else of the mux.
 *
 * @module
 */
import type { Channel, Session } from "./types.ts";

/** A channel that can be read and written without streams. */
export interface RawChannel extends Channel {
  /** Bytes that arrived and were not taken. */
  readonly buffered: number;
  /** Whether nothing more will arrive; what is buffered can still be taken. */
  readonly ended: boolean;
  /** Whether the peer ended its direction with EOF, and not with CLOSE alone. */
  readonly eofReceived: boolean;
  /** Why nothing more arrives, unless EOF or CLOSE is the reason. */
  readonly failure: unknown;
  /** Whether the peer's CLOSE came, or the session is gone. */
  readonly peerClosed: boolean;

  /**
   * The first bytes that arrived and are contiguous, without taking them; valid
   * until the current turn of the event loop ends.
   */
  peek(): Uint8Array | undefined;
  /** Takes `bytes`, at most what {@linkcode peek} returned. */
  consume(bytes: number): void;
  /** Takes a chunk that the caller may keep. */
  take(): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Announces that the caller will take the next `bytes` as they arrive, so
   * that the peer can be granted credit for them at once.
   */
  expect(bytes: number): void;
  /**
   * Calls `callback` once, when there is something to take or the end is
   * reached: now, or at the end of the turn in which it arrives.
   *
   * @throws {MuxError} `invalid-state` if another read is waiting
   */
  whenReadable(callback: () => void): void;
  /** Forgets a callback of {@linkcode whenReadable} that still waits. */
  cancelWhenReadable(callback: () => void): void;
  /**
   * Calls `callback` once, when the peer's CLOSE comes or the session ends.
   * Several callbacks may wait.
   */
  whenClosed(callback: () => void): void;

  /**
   * Sends `bytes`. Returns nothing if they were copied at once; else a promise
   * that resolves when they were, until which they must not change.
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
  /** Sends as many of the first of `bytes` as can be copied at once. */
  trySend(bytes: Uint8Array): number;

  /** Ends the sending direction: EOF, after what was sent. */
  closeWrite(): void;
  /** Drops what arrived and will arrive, and returns its credit. */
  cancelRead(): void;
  /** {@linkcode closeWrite} and {@linkcode cancelRead}: EOF, then CLOSE. */
  shutdown(): void;
  /** Closes the channel at once; pending writes reject with `reason`. */
  abort(reason: unknown): void;
  /** Does what {@linkcode close} does, without a promise for it. */
  discard(): void;
}

/** A session whose channels are {@linkcode RawChannel}s. */
export interface RawSession extends Session {
  /** Whether it has ended or is ending: no channel can be opened any more. */
  readonly ended: boolean;
  /** Whether fewer than half of the channel slots are free. */
  readonly crowded: boolean;
  /**
   * Opens a channel by callbacks, without a promise. Exactly one of them is
   * called, and neither may throw.
   */
  openRaw(
    resolve: (channel: RawChannel) => void,
    reject: (reason: unknown) => void,
  ): void;
  /**
   * Resolves when the next channel slot is freed. Never, once the session has
   * ended.
   */
  whenSlotFreed(): Promise<void>;
}

/**
 * The raw face of a session.
 *
 * @throws {TypeError} if the session has none: this library did not make it
 */
export function rawSession(session: Session): RawSession {
  if (typeof (session as Partial<RawSession>).openRaw === "function") {
    return session as RawSession;
  }
  throw new TypeError(
    "Cannot use session: it was not made by a function of this package",
  );
}

/** Whether a channel has a raw face. */
export function isRawChannel(channel: Channel): channel is RawChannel {
  return typeof (channel as Partial<RawChannel>).trySend === "function";
}

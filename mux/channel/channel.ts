import {
  type CloseState,
  isConfirmed,
  maySend,
  nextClose,
  nextReceive,
  nextSend,
  type ReceiveState,
  type SendState,
} from "./channel_state.ts";
import { ChannelStreams } from "./channel_streams.ts";
import { MuxError } from "../errors.ts";
import { FrameType } from "../wire/frame.ts";
import {
  type CreditSource,
  type FrameQueue,
  type FrameSource,
  SEND_QUANTUM,
} from "../wire/frame_queue.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import type { RawChannel } from "../raw.ts";
import {
  ReceiveWindow,
  SendWindow,
  type WindowPolicy,
} from "../flow/window.ts";

/** What a channel needs of its session. */
export interface ChannelHost {
  /** The way out. */
  readonly queue: FrameQueue;
  /** What the windows of the session share. */
  readonly windows: WindowPolicy;
  /** A frame is on its way that the peer answers as soon as it gets it. */
  probe(channel: QmuxChannel): void;
  /** The channel costs no memory any more: nothing is held, nothing can come. */
  slotFreed(channel: QmuxChannel): void;
  /** The channel is over; its number names nothing from now on. */
  forget(channel: QmuxChannel): void;
}

/** Who waits for the answer to an OPEN. */
export interface Opening {
  resolve(channel: RawChannel): void;
  reject(reason: unknown): void;
}

/** Bytes handed to `send()` that wait for credit or for their turn. */
interface Outgoing {
  bytes: Uint8Array;
  resolve(): void;
  reject(reason: unknown): void;
}

/** Shared by all channels that have nothing waiting; never added to. */
const NOTHING: Outgoing[] = [];

/**
 * A channel of a qmux session: the receive queue, both windows and the state.
 *
 * It has two faces. Programs use the {@linkcode Channel} face, whose streams
 * are made when somebody first asks for them. RPC, which moves a few small
 * values a call, uses the direct one (`peek`, `skip`, `wait`, `send`, `finish`,
 * `cancel`): making a pair of streams costs more than a whole call.
 *
 * The methods under "From the session" are the read loop's; none of them waits.
 */
export class QmuxChannel implements RawChannel, FrameSource, CreditSource {
  readonly id: number;
  /** The number that the peer gave the channel, once it is confirmed. */
  remoteId = 0;
  /** Who is told of the answer to its OPEN, until there is one. */
  opening: Opening | undefined;
  /** Whether the session has to call {@linkcode endTurn} after this turn. */
  touched = false;

  readonly #host: ChannelHost;
  #sendState: SendState = "open";
  #receiveState: ReceiveState = "open";
  #closeState: CloseState;
  readonly #sendWindow = new SendWindow();
  readonly #receiveWindow: ReceiveWindow;
  readonly #received = new ReceiveBuffer();
  #outgoing: Outgoing[] = NOTHING;
  /** Payload bytes that the peer accepts in one DATA frame. */
  #remoteMaxPacketSize = 0;
  #creditDue = 0;
  #inReadyQueue = false;
  #inAdjustQueue = false;
  #vacated = false;
  #eof = false;
  #reader: (() => void) | undefined;
  #watcher: (() => void) | undefined;
  #streams: ChannelStreams | undefined;
  #closed: PromiseWithResolvers<void> | undefined;
  /** Makes the reason why writes fail, once they do; mostly nobody asks. */
  #sendFailure: () => unknown = channelClosed;
  /** Why the session ended, if that is what ended the channel. */
  #lost: unknown;

  /** Makes a channel in the state `opening` (ours) or `open` (the peer's). */
  constructor(id: number, host: ChannelHost, state: "opening" | "open") {
    this.id = id;
    this.#host = host;
    this.#closeState = state;
    this.#receiveWindow = new ReceiveWindow(host.windows);
  }

  // --- The face of programs -------------------------------------------------

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return (this.#streams ??= new ChannelStreams(this)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    const streams = this.#streams ??= new ChannelStreams(this);
    if (this.#sendState !== "open") streams.fail(this.#sendFailure());
    return streams.writable;
  }

  get closed(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers<void>();
      this.#closed.promise.catch(() => {});
      if (this.#closeState === "closed") this.#settleClosed();
    }
    return this.#closed.promise;
  }

  close(): Promise<void> {
    this.discard();
    return this.#host.queue.written();
  }

  // --- The direct face ------------------------------------------------------

  /** Bytes that arrived and were not taken. */
  get buffered(): number {
    return this.#received.length;
  }

  /** Bytes of memory kept alive for what arrived and was not taken. */
  get heldBytes(): number {
    return this.#received.heldBytes;
  }

  /** Whether nothing more will arrive; what is buffered can still be taken. */
  get ended(): boolean {
    return this.#receiveState !== "open";
  }

  /** Whether the peer ended its direction by EOF, and not by CLOSE alone. */
  get eofReceived(): boolean {
    return this.#eof;
  }

  /** Why nothing more arrives, if that is not EOF or CLOSE. */
  get failure(): unknown {
    return this.#receiveState === "lost" ? this.#lost : undefined;
  }

  /** Whether the peer's CLOSE came, or the session is gone. */
  get peerClosed(): boolean {
    return this.#closeState === "closed" || this.#closeState === "received";
  }

  /**
   * The first bytes that arrived and lie side by side, without taking them;
   * valid until the current turn ends.
   */
  peek(): Uint8Array | undefined {
    return this.#received.peek();
  }

  /** Takes `bytes`, at most what {@linkcode peek} returned. */
  consume(bytes: number): void {
    this.#returnCredit(this.#received.consume(bytes));
  }

  /** Takes a chunk that the caller may keep. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#received.take();
    if (chunk !== undefined) {
      this.#returnCredit(chunk.byteOffset + chunk.length);
    }
    return chunk;
  }

  /**
   * Lets the peer send the next `bytes` without waiting for credit, as far as
   * the session's limits go: the caller will take them as they come.
   */
  expect(bytes: number): void {
    if (!this.#mayAdjust()) return;
    this.#giveCredit(this.#receiveWindow.expect(bytes - this.buffered));
  }

  /**
   * Calls `callback` once, when there is something to take or the end is
   * reached: now, or at the end of the turn in which it arrives.
   *
   * @throws {MuxError} `invalid-state` if somebody waits already
   */
  whenReadable(callback: () => void): void {
    if (this.#received.length > 0 || this.ended) return callback();
    if (this.#reader !== undefined) {
      throw new MuxError(
        "invalid-state",
        "Cannot read: another read of this channel is waiting",
      );
    }
    this.#reader = callback;
  }

  cancelWhenReadable(callback: () => void): void {
    if (this.#reader === callback) this.#reader = undefined;
  }

  /**
   * Calls `callback` once, when the peer's CLOSE comes or the session ends.
   * Several may watch.
   */
  whenClosed(callback: () => void): void {
    if (this.peerClosed) return callback();
    const others = this.#watcher;
    this.#watcher = others === undefined ? callback : () => {
      others();
      callback();
    };
  }

  /**
   * Sends `bytes`. Returns nothing if they were copied at once; else a promise
   * that resolves when they were, until which they must not change.
   *
   * @throws {unknown} the reason why this direction is closed
   */
  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#sendState !== "open") throw this.#sendFailure();
    if (bytes.length === 0) return;
    if (this.#roomNow(bytes.length) === bytes.length) {
      this.#sendData(bytes);
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#outgoing === NOTHING) this.#outgoing = [];
    this.#outgoing.push({ bytes, resolve, reject });
    this.#awaitTurn();
    return promise;
  }

  withdraw(bytes: Uint8Array, reason: unknown): boolean {
    // Bytes that were sent in part have been replaced by what is left of them.
    const at = this.#outgoing.findIndex((outgoing) => outgoing.bytes === bytes);
    if (at < 0) return false;
    const [withdrawn] = this.#outgoing.splice(at, 1);
    withdrawn!.reject(reason);
    this.#flushed();
    return true;
  }

  /** Sends as many of the first of `bytes` as can be copied at once. */
  trySend(bytes: Uint8Array): number {
    if (this.#sendState !== "open") return 0;
    const size = this.#roomNow(bytes.length);
    if (size > 0) this.#sendData(bytes.subarray(0, size));
    return size;
  }

  /** Ends this direction with EOF, behind what was sent. */
  closeWrite(): void {
    if (this.#sendState !== "open") return;
    this.#sendState = nextSend(this.#sendState, "end");
    this.#flushed();
  }

  /** Drops what arrived and will arrive; its credit is returned. */
  cancelRead(): void {
    this.#receiveState = nextReceive(this.#receiveState, "cancel");
    this.#returnCredit(this.#received.clear());
    this.#tellReader();
    this.#closeIfDone();
  }

  /** Closes the channel at once; what waits to be sent rejects with `reason`. */
  abort(reason: unknown): void {
    this.#failSend(() => reason);
    this.#endReceive();
    this.#closeNow();
  }

  /** What {@linkcode close} does, without a promise for when CLOSE has left. */
  discard(): void {
    this.#failSend(channelClosed);
    this.#received.clear();
    this.#endReceive();
    this.#closeNow();
    this.#vacate();
  }

  /** What {@linkcode closeWrite} and {@linkcode cancelRead} do: EOF, then CLOSE. */
  shutdown(): void {
    this.closeWrite();
    this.cancelRead();
  }

  // --- From the queue -------------------------------------------------------

  pull(): boolean {
    const first = this.#outgoing[0];
    const size = first === undefined ? 0 : this.#frameSize(first.bytes.length);
    if (first === undefined || size === 0) return this.#inReadyQueue = false;
    this.#sendData(first.bytes.subarray(0, size));
    if (size < first.bytes.length) {
      first.bytes = first.bytes.subarray(size);
    } else {
      this.#outgoing.shift();
      first.resolve();
    }
    if (this.#outgoing.length > 0 && this.#sendWindow.credit > 0) return true;
    this.#inReadyQueue = false;
    this.#flushed();
    return false;
  }

  takeAdjust(): number {
    const credit = this.#creditDue;
    this.#creditDue = 0;
    this.#inAdjustQueue = false;
    if (!this.#mayAdjust()) return 0;
    if (this.#receiveWindow.granted === credit) this.#host.probe(this);
    return credit;
  }

  // --- From the session -----------------------------------------------------

  /** Whether the answer to our OPEN is still to come. */
  get awaitsConfirm(): boolean {
    return !isConfirmed(this.#closeState);
  }

  /** The peer's number, window and packet size are known. */
  onConfirm(remoteId: number, window: number, maxPacketSize: number): void {
    this.remoteId = remoteId;
    this.#remoteMaxPacketSize = maxPacketSize;
    this.#sendWindow.grant(window);
    this.#closeState = nextClose(this.#closeState, "confirm");
    if (this.#closeState !== "open") this.#sendClose();
  }

  /** The peer granted credit. */
  onAdjust(bytes: number): void {
    this.#sendWindow.grant(bytes);
    if (this.#outgoing.length > 0) this.#awaitTurn();
  }

  /** A DATA frame of `length` bytes begins. */
  onData(length: number): void {
    if (this.#mayReceive()) this.#receiveWindow.receive(length);
  }

  /** A piece of payload arrived, valid until {@linkcode endTurn}. */
  onPayload(piece: Uint8Array): void {
    if (!this.#mayReceive()) return;
    if (this.#receiveState === "cancelled") {
      this.#returnCredit(piece.length);
    } else {
      this.#received.borrow(piece);
    }
  }

  /** EOF arrived; a second one changes nothing. */
  onEof(): void {
    this.#eof = true;
    this.#endReceive();
    this.#closeIfDone();
  }

  /** CLOSE arrived. */
  onClose(): void {
    this.#failSend(peerClosedChannel);
    this.#endReceive();
    this.#closeState = nextClose(this.#closeState, "peer-close");
    if (this.#closeState === "received") this.#sendClose();
    else if (this.#closeState === "closed") this.#finished();
    this.#tellWatcher();
  }

  /** The session cannot send any more, but goes on reading for a while. */
  onWriteFailed(reason: unknown): void {
    this.#failSend(() => reason);
  }

  /** The session is over; `cleanly` says whether it broke or just ended. */
  onSessionEnd(reason: unknown, cleanly: boolean): void {
    if (this.#closeState === "closed") return;
    // A peer that leaves need not answer our CLOSE first.
    const closed = cleanly && this.#closeState === "sent";
    this.#lost = closed ? undefined : reason;
    this.#failSend(() => reason);
    this.#receiveState = nextReceive(this.#receiveState, "lose");
    this.#closeState = nextClose(this.#closeState, "over");
    this.#vacate();
    this.#finished();
    this.#tellReader();
    this.#tellWatcher();
  }

  /** The turn ends: tells the reader, then keeps what it left. */
  endTurn(): void {
    this.touched = false;
    if (this.#received.length > 0 || this.ended) this.#tellReader();
    this.#received.own(this.#receiveWindow.granted);
  }

  // --- Inside ---------------------------------------------------------------

  /** Whether the peer sends nothing more: its EOF or CLOSE came, or it is gone. */
  #peerIsDone(): boolean {
    return this.#receiveState === "ended" || this.#receiveState === "lost";
  }

  /** Whether DATA counts: not behind EOF, nor behind this side's CLOSE. */
  #mayReceive(): boolean {
    return !this.#peerIsDone() && this.#closeState !== "sent";
  }

  #mayAdjust(): boolean {
    return !this.#peerIsDone() && maySend(this.#closeState);
  }

  #returnCredit(bytes: number): void {
    if (bytes === 0) return;
    if (!this.#mayAdjust()) return this.#vacate();
    this.#giveCredit(this.#receiveWindow.consume(bytes));
  }

  #giveCredit(credit: number): void {
    if (credit === 0) return;
    this.#creditDue += credit;
    if (this.#inAdjustQueue) return;
    this.#inAdjustQueue = true;
    this.#host.queue.adjust(this);
  }

  /** How many of `bytes` the next DATA frame may carry. */
  #frameSize(bytes: number): number {
    return Math.min(
      bytes,
      this.#sendWindow.credit,
      this.#remoteMaxPacketSize,
      SEND_QUANTUM,
    );
  }

  /** How many of `bytes` can go into the queue before anything else does. */
  #roomNow(bytes: number): number {
    return this.#outgoing.length === 0 && this.#host.queue.hasRoom
      ? this.#frameSize(bytes)
      : 0;
  }

  #sendData(bytes: Uint8Array): void {
    this.#sendWindow.take(bytes.length);
    this.#host.queue.data(this.remoteId, bytes);
  }

  #awaitTurn(): void {
    if (this.#inReadyQueue || this.#sendWindow.credit === 0) return;
    this.#inReadyQueue = true;
    this.#host.queue.ready(this);
  }

  /** Sends the EOF that waits behind DATA, if nothing is left before it. */
  #flushed(): void {
    if (this.#outgoing.length > 0 || this.#sendState !== "ending") return;
    this.#sendState = nextSend(this.#sendState, "flushed");
    if (maySend(this.#closeState)) {
      this.#host.queue.frame(FrameType.EOF, this.remoteId);
    }
    this.#streams?.fail(this.#sendFailure());
    this.#closeIfDone();
  }

  /** Sends CLOSE once neither direction is of use any more. */
  #closeIfDone(): void {
    if (this.#sendState === "ended" && this.#receiveState !== "open") {
      this.#closeNow();
    }
  }

  #closeNow(): void {
    this.#closeState = nextClose(this.#closeState, "close");
    if (this.#closeState === "closing") this.#sendClose();
  }

  /** Sends CLOSE, ours or the answer to the peer's: the channel's last frame. */
  #sendClose(): void {
    const { queue } = this.#host;
    if (this.#closeState === "received") {
      queue.reply(FrameType.CLOSE, this.remoteId);
    } else {
      queue.frame(FrameType.CLOSE, this.remoteId);
    }
    this.#closeState = nextClose(this.#closeState, "sent");
    this.#vacate();
    if (this.#closeState === "closed") this.#finished();
  }

  /**
   * Gives up the channel's place in its session, once this side's CLOSE is on
   * its way and its reader has what arrived. A peer could otherwise fill and
   * close one channel after the other, and we would hold all of it.
   */
  #vacate(): void {
    const over = this.#closeState === "sent" || this.#closeState === "closed";
    if (this.#vacated || !over || this.#received.length > 0) return;
    this.#vacated = true;
    this.#receiveWindow.release();
    this.#host.slotFreed(this);
  }

  #failSend(reason: () => unknown): void {
    const failed = nextSend(this.#sendState, "fail");
    if (failed === this.#sendState) return;
    if (this.#sendState !== "ended") this.#sendFailure = reason;
    this.#sendState = failed;
    const waiting = this.#outgoing;
    if (waiting.length > 0) {
      this.#outgoing = NOTHING;
      const error = reason();
      for (const { reject } of waiting) reject(error);
    }
    this.#streams?.fail(reason());
  }

  #endReceive(): void {
    if (this.#peerIsDone()) return;
    this.#receiveState = nextReceive(this.#receiveState, "end");
    // A read loop in the middle of a turn tells the reader when it settles.
    if (!this.touched) this.#tellReader();
  }

  #finished(): void {
    this.#host.forget(this);
    if (this.#closed !== undefined) this.#settleClosed();
  }

  #settleClosed(): void {
    if (this.#lost === undefined) this.#closed?.resolve();
    else this.#closed?.reject(this.#lost);
  }

  #tellReader(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.();
  }

  #tellWatcher(): void {
    const watcher = this.#watcher;
    this.#watcher = undefined;
    watcher?.();
  }
}

function channelClosed(): MuxError {
  return new MuxError(
    "channel-closed",
    "Cannot write: this direction of the channel is closed",
  );
}

function peerClosedChannel(): MuxError {
  return new MuxError(
    "channel-closed",
    "Cannot write: the peer closed the channel",
  );
}

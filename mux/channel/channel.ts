import {
  CLOSE,
  type CloseState,
  isConfirmed,
  maySend,
  RECEIVE,
  receivesNothing,
  type ReceiveState,
  SEND,
  type SendState,
  type SlotState,
} from "./channel_state.ts";
import { type BlockPool, ReceiveBuffer } from "./receive_buffer.ts";
import { ChannelStreams } from "./channel_streams.ts";
import { MuxError } from "../errors.ts";
import type { FrameSender } from "../wire/frame_sender.ts";
import { LONE_QUANTUM, SEND_QUANTUM } from "../wire/frame.ts";
import type { CreditSource, DataSource } from "../wire/frame_source.ts";
import { Queue } from "../../queue.ts";
import type { ErrorOwner, OpenCallbacks, RawChannel } from "../raw.ts";
import { view } from "../../view.ts";
import {
  ReceiveWindow,
  SendWindow,
  type WindowPolicy,
} from "../flow/windows.ts";

/** What a channel needs of its session. */
export interface ChannelHost {
  /** Sends the channel's frames. */
  readonly queue: FrameSender;
  /** What the receive windows of the session share. */
  readonly windows: WindowPolicy;
  /** Where large receive buffers come from. */
  readonly blocks: BlockPool;
  /** Called when a frame leaves that the peer needs to continue: see `RoundTrip`. */
  probeSent(channel: QmuxChannel): void;
  /** Called when the channel can cost no more memory: see `SlotState`. */
  slotFreed(channel: QmuxChannel): void;
  /** Called when the channel has closed: frames no longer use its ID. */
  forget(channel: QmuxChannel): void;
}

/** The buffer of channels that have received nothing; it stays empty. */
const NOTHING = new ReceiveBuffer();

/** Bytes passed to `send()` that wait for credit or for other channels. */
interface PendingWrite {
  bytes: Uint8Array;
  resolve(): void;
  reject(reason: unknown): void;
}

/**
 * A channel of a qmux session: its receive buffer, both windows and the states.
 *
 * Programs use it through the web streams of `Channel`, which are created on
 * first use. RPC, which moves a few small values per call, uses `RawChannel`: a
 * pair of streams costs more than a whole call.
 *
 * A channel ends in several ways:
 *
 * | by | frames | pending writes | unread bytes |
 * | --- | --- | --- | --- |
 * | `closeWrite()` | EOF after the pending DATA, what `writable` holds included | are sent | stay readable |
 * | `cancelRead()` | WINDOW_ADJUST for what is dropped | are sent | are dropped, as is all that arrives later |
 * | both, in any order; `shutdown()` | EOF after the pending DATA, then CLOSE | are sent | are dropped |
 * | `closeWrite()` and the peer's EOF | EOF after the pending DATA, then CLOSE | are sent | stay readable |
 * | `abort(reason)` | CLOSE at once | reject with `reason` | stay readable; what arrives later is dropped |
 * | `fail(reason)` | CLOSE at once | reject with `reason` | are dropped; reads fail with `reason` |
 * | `discard()` | CLOSE at once | reject with `channel-closed` | are dropped |
 * | `discardWithEof()` | EOF, then CLOSE, at once | reject with `channel-closed` | are dropped |
 * | `close()` | EOF unless a write is pending, then CLOSE; resolves when it is written | reject with `channel-closed` | are dropped |
 * | the peer's CLOSE | CLOSE, unless it was sent | reject with `channel-closed` | stay readable, then end |
 * | the end of the session | none | reject with its error | stay readable, then its error, unless EOF or CLOSE had come |
 *
 * "At once" means after the DATA that is queued already and, on a channel that is
 * being opened, after the peer's OPEN_CONFIRM.
 *
 * The session's read loop calls the methods under "Called by the session"; none
 * of them waits.
 */
export class QmuxChannel implements RawChannel, DataSource, CreditSource {
  readonly id: number;
  /** Whether this side opened the channel. */
  readonly outgoing: boolean;
  /** The channel ID that the peer assigned, once the channel is confirmed. */
  remoteId = 0;
  /** Waits for the answer to this channel's OPEN. */
  openCallbacks: OpenCallbacks | undefined;
  /**
   * Whether the channel is in the session's list of channels to call
   * {@linkcode endTurn} on. A list without a search needs this flag.
   */
  awaitsEndTurn = false;
  // Not initialized: few channels have one, and what waits should be small.
  declare cutWrite?: Uint8Array | undefined;

  readonly #host: ChannelHost;
  #onDropped: ((bytes: Uint8Array) => void) | undefined;
  #sendState: SendState = SEND.open;
  #receiveState: ReceiveState = RECEIVE.open;
  #closeState: CloseState;
  #slotState: SlotState = "occupied";
  /** Whether the answer to the peer's CLOSE may leave with other frames. */
  #closeMayWait = false;
  readonly #sendWindow = new SendWindow();
  /** Bytes that the peer was granted at first. */
  readonly #grantedSize: number;
  // These two are made when payload arrives: with a thousand calls in flight, what
  // waits for an answer should be small (tests/bench/LOG.md).
  #receiveWindow: ReceiveWindow | undefined;
  #received = NOTHING;
  /** Undefined while no write is pending; most channels never have one. */
  #pendingWrites: Queue<PendingWrite> | undefined;
  /** Payload bytes that the peer accepts in one DATA frame. */
  #remoteMaxPacketSize = 0;
  /** Payload bytes of the DATA frame being read that have not arrived. */
  #frameLeft = 0;
  #creditDue = 0;
  /** Whether any payload was sent or received. */
  #carried = false;
  // Whether the channel is in one of the frame queue's two lists, which must not
  // contain it twice. Membership is no state of the channel: it ends whenever the
  // queue gets to it, in every state.
  #dataScheduled = false;
  #creditScheduled = false;
  #onReadable: (() => void) | undefined;
  #onWritable: (() => void) | undefined;
  /** Whether the queue asks for a frame. */
  #pulled = false;
  /** One callback, as on most channels that have any, or several. */
  #onClosed: (() => void) | Set<() => void> | undefined;
  #onDrained: (() => void) | undefined;
  /** How many holds of {@linkcode holdEnd} have not ended. */
  #endHolds = 0;
  /** Whether EOF is to follow what holds it up. */
  #endIsDue = false;
  #streams: ChannelStreams | undefined;
  #closed: PromiseWithResolvers<void> | undefined;
  /** Makes the error of later writes, which most channels never need. */
  #sendFailure: () => unknown = channelClosed;
  /** Makes the error of a reader that requires EOF. */
  #makeCutError: (() => unknown) | undefined;
  /** The error of reads, once it is made, or why this side gave the channel up. */
  #receiveFailure: unknown;
  /** What the errors of the channel are named after. */
  #owner: ErrorOwner | undefined;
  /** Why the session ended, if that ended the channel. */
  #sessionError: unknown;

  /**
   * Makes a channel that this side (`opening`) or the peer (`open`) opens, with
   * the window that the peer is granted.
   */
  constructor(
    id: number,
    host: ChannelHost,
    state: "opening" | "open",
    windowSize: number,
  ) {
    this.id = id;
    this.outgoing = state === "opening";
    this.#host = host;
    this.#closeState = CLOSE[state];
    this.#grantedSize = windowSize;
  }

  // --- Channel ---------------------------------------------------------------

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return (this.#streams ??= new ChannelStreams(this)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    const streams = this.#streams ??= new ChannelStreams(this);
    if (this.#sendState.name !== "open") streams.fail(this.#sendError());
    return streams.writable;
  }

  get closed(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers<void>();
      this.#closed.promise.catch(() => {});
      if (this.#closeState.name === "closed") this.#settleClosed();
    }
    return this.#closed.promise;
  }

  close(): Promise<void> {
    // With a write pending, EOF would say that the data is complete.
    const pending = this.#pendingWrites !== undefined || this.#endHolds > 0 ||
      this.#onWritable !== undefined || this.#streams?.holdsWrites;
    if (!pending) this.closeWrite();
    this.discard();
    return this.#host.queue.written(this.remoteId);
  }

  // --- RawChannel ------------------------------------------------------------

  get buffered(): number {
    return this.#received.length;
  }

  /** Bytes of memory that the buffered bytes occupy. */
  get heldBytes(): number {
    return this.#received.heldBytes;
  }

  get ended(): boolean {
    return this.#receiveState.name !== "open";
  }

  get eofReceived(): boolean {
    return this.#receiveState.name === "eof";
  }

  get failure(): unknown {
    const { name } = this.#receiveState;
    if (name === "failed") return this.#receiveFailure;
    if (name === "lost") {
      return this.#receiveFailure ??= this.#named(this.#sessionError);
    }
    if (name !== "cut") return undefined;
    return this.#receiveFailure ??= this.#named(this.#makeCutError?.());
  }

  get peerClosed(): boolean {
    return this.#closeState.name === "closed" ||
      this.#closeState.name === "received";
  }

  get inUse(): boolean {
    return this.#streams !== undefined || this.#onReadable !== undefined;
  }

  get isBeingRead(): boolean {
    return this.#streams?.readable.locked || this.#onReadable !== undefined;
  }

  peek(): Uint8Array | undefined {
    return this.#received.peek();
  }

  get chunk(): Uint8Array | undefined {
    return this.#received.chunk;
  }

  get chunkStart(): number {
    return this.#received.start;
  }

  get chunkEnd(): number {
    return this.#received.end;
  }

  consume(bytes: number): void {
    this.#returnCredit(this.#received.consume(bytes));
  }

  take(): Uint8Array<ArrayBuffer> | undefined {
    const chunk = this.#received.take();
    if (chunk !== undefined) {
      this.#returnCredit(chunk.byteOffset + chunk.length);
    }
    return chunk;
  }

  expect(bytes: number): void {
    if (!this.#mayReturnCredit()) return;
    const coming = this.buffered + this.#frameLeft;
    this.#giveCredit(this.#window.expect(bytes - coming));
  }

  whenReadable(callback: () => void): void {
    if (this.#received.length > 0 || this.ended) return callback();
    if (this.#onReadable !== undefined) {
      throw new MuxError(
        "invalid-state",
        "Cannot read channel: another read is pending",
      );
    }
    this.#onReadable = callback;
  }

  cancelWhenReadable(callback: () => void): void {
    if (this.#onReadable === callback) this.#onReadable = undefined;
  }

  requireEof(makeError: (() => unknown) | undefined): void {
    this.#makeCutError = makeError;
  }

  nameErrors(owner: ErrorOwner | undefined): void {
    this.#owner = owner;
  }

  whenClosed(callback: () => void): void {
    if (this.peerClosed) return callback();
    const waiting = this.#onClosed;
    if (waiting === undefined) this.#onClosed = callback;
    else if (waiting instanceof Set) waiting.add(callback);
    else this.#onClosed = new Set([waiting, callback]);
  }

  cancelWhenClosed(callback: () => void): void {
    const waiting = this.#onClosed;
    if (waiting === callback) this.#onClosed = undefined;
    else if (waiting instanceof Set) waiting.delete(callback);
  }

  deferClose(mayWait: boolean): void {
    this.#closeMayWait = mayWait;
    if (!mayWait) this.#host.queue.sendDeferred();
  }

  whenDrained(callback: () => void): void {
    if (this.#slotState === "freed") callback();
    else this.#onDrained = callback;
  }

  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#sendState.name !== "open") throw this.#sendError();
    if (bytes.length === 0) return;
    if (this.#roomNow(bytes.length) === bytes.length) {
      this.#sendData(bytes);
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    (this.#pendingWrites ??= new Queue()).push({ bytes, resolve, reject });
    this.#scheduleData();
    return promise;
  }

  withdraw(bytes: Uint8Array, reason: unknown): boolean {
    // Bytes that were sent in part have been replaced by what is left of them.
    const withdrawn = this.#pendingWrites?.remove((write) =>
      write.bytes === bytes
    );
    if (withdrawn === undefined) return false;
    this.#dropWrite(withdrawn).reject(reason);
    this.#sendEofIfFlushed();
    return true;
  }

  trySend(bytes: Uint8Array): number {
    if (this.#sendState.name !== "open") return 0;
    const size = this.#pulled
      ? this.#frameSize(bytes.length)
      : this.#roomNow(bytes.length);
    if (size === 0) return 0;
    this.#sendData(view(bytes, 0, size));
    this.#pulled = false;
    return size;
  }

  whenWritable(callback: () => void): void {
    if (this.#sendState.name !== "open") throw this.#sendError();
    this.#onWritable = callback;
    this.#scheduleData();
  }

  holdEnd(): () => void {
    this.#endHolds++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#endHolds--;
      if (this.#endHolds === 0 && this.#endIsDue) this.closeWrite();
    };
  }

  closeWrite(): void {
    if (this.#sendState.name !== "open") return;
    // EOF says that the data is complete, and some of it is still to come.
    this.#endIsDue = true;
    const streamHolds = this.#streams?.endAfterHeld() ?? false;
    if (streamHolds || this.#endHolds > 0) return;
    this.#sendState = this.#sendState.end;
    this.#sendEofIfFlushed();
    if (this.#onWritable !== undefined) this.#notifyWritable();
  }

  whenDropped(callback: (bytes: Uint8Array) => void): void {
    this.#onDropped = callback;
  }

  cancelRead(): void {
    this.#receiveState = this.#receiveState.cancel;
    this.#returnCredit(this.#clearReceived());
    this.#notifyReadable();
    this.#closeIfDone();
  }

  shutdown(): void {
    this.closeWrite();
    this.cancelRead();
  }

  abort(reason: unknown): void {
    this.#failSend(() => reason);
    this.#endReceive(this.#receiveState.close);
    this.#closeNow();
  }

  fail(reason: unknown): void {
    const failed = this.#receiveState.fail;
    if (failed.name === "failed") this.#receiveFailure = reason;
    this.#failSend(() => reason);
    this.#drop(failed);
    this.#streams?.failRead(this.failure);
  }

  discard(): void {
    this.#failSend(channelClosed);
    this.#drop(this.#receiveState.close);
  }

  discardWithEof(): void {
    if (this.#sendState.name === "open" || this.#sendState.name === "ending") {
      if (maySend(this.#closeState)) this.#host.queue.eof(this.remoteId);
    }
    this.discard();
  }

  // --- Called by the frame queue ----------------------------------------------

  pull(isAlone = false): boolean {
    const pending = this.#pendingWrites;
    if (pending === undefined) return this.#pullWriter();
    const first = pending.first!;
    // Chunks of a stream are no values: what is beside them must not wait longer.
    const quantum = isAlone && this.#streams === undefined
      ? LONE_QUANTUM
      : SEND_QUANTUM;
    const size = this.#frameSize(first.bytes.length, quantum);
    if (size === 0) return this.#dataScheduled = false;
    this.#sendData(view(first.bytes, 0, size));
    if (size < first.bytes.length) {
      first.bytes = view(first.bytes, size, first.bytes.length);
    } else {
      this.#dropWrite(pending.shift()!).resolve();
    }
    if (this.#hasMore()) return true;
    this.#dataScheduled = false;
    this.#sendEofIfFlushed();
    return false;
  }

  takeCredit(): number {
    const credit = this.#creditDue;
    this.#creditDue = 0;
    this.#creditScheduled = false;
    if (!this.#mayReturnCredit()) return 0;
    // The peer had used up its window: it needs this credit to continue.
    if (this.#window.granted === credit) this.#host.probeSent(this);
    return credit;
  }

  // --- Called by the session ---------------------------------------------------

  /** Whether this side's OPEN was not answered yet. */
  get awaitsConfirm(): boolean {
    return !isConfirmed(this.#closeState);
  }

  /** The peer's channel ID, window and maximum packet size are known. */
  onConfirm(remoteId: number, windowSize: number, maxPacketSize: number): void {
    this.remoteId = remoteId;
    this.#remoteMaxPacketSize = maxPacketSize;
    this.#sendWindow.grant(windowSize);
    this.#closeState = this.#closeState.confirm;
    if (this.#closeState.name !== "open") this.#sendClose();
  }

  /** OPEN_FAILURE arrived: the channel was never open. */
  onOpenFailure(reason: MuxError): void {
    this.onSessionEnd(reason, true);
    this.discard();
  }

  /** WINDOW_ADJUST arrived. Returns whether it was useful: see `IdleBudget`. */
  onWindowAdjust(bytesToAdd: number): boolean {
    const useful = this.#sendWindow.grant(bytesToAdd);
    if (this.#hasMore()) this.#scheduleData();
    return useful;
  }

  /**
   * The header of a DATA frame with payload arrived. Returns whether it is in time;
   * otherwise the payload is dropped.
   */
  onData(length: number): boolean {
    if (!this.#mayReceive()) return false;
    this.#window.receive(length);
    this.#frameLeft = length;
    return this.#carried = true;
  }

  /** A piece of payload arrived, valid until {@linkcode endTurn}. */
  onPayload(chunk: Uint8Array, from: number, to: number): void {
    if (!this.#mayReceive()) {
      this.#onDropped?.(view(chunk, from, to));
    } else if (this.#receiveState.name === "cancelled") {
      this.#onDropped?.(view(chunk, from, to));
      this.#returnCredit(to - from);
    } else {
      this.#frameLeft -= to - from;
      if (this.#received === NOTHING) {
        this.#received = new ReceiveBuffer(this.#host.blocks);
      }
      this.#received.borrow(chunk, from, to);
    }
  }

  /** EOF arrived; a second one has no effect. Returns whether it was the first. */
  onEof(): boolean {
    const first = this.#receiveState.name !== "eof";
    this.#endReceive(this.#receiveState.eof);
    this.#closeIfDone();
    return first;
  }

  /**
   * CLOSE arrived. Returns whether it was useful: not if the peer closes a channel
   * that carried nothing.
   */
  onClose(): boolean {
    const useful = this.#carried || this.#closeState.name === "sent";
    this.#failSend(peerClosedChannel);
    this.#endReceive(this.#receiveState["peer-close"]);
    this.#closeState = this.#closeState["peer-close"];
    if (this.#closeState.name === "received") this.#sendClose();
    else if (this.#closeState.name === "closed") this.#finish();
    this.#notifyClosed();
    return useful;
  }

  /** The session can no longer send, but continues to read for a while. */
  onWriteFailed(reason: unknown): void {
    this.#failSend(() => this.#named(reason));
  }

  /** The session has ended; `cleanly` tells whether without an error. */
  onSessionEnd(reason: unknown, cleanly: boolean): void {
    if (this.#closeState.name === "closed") return;
    // A peer that ends the session need not answer this side's CLOSE first.
    const closed = cleanly && this.#closeState.name === "sent";
    this.#sessionError = closed ? undefined : reason;
    this.#failSend(() => this.#named(reason));
    this.#receiveState = this.#receiveState["session-end"];
    this.#window.end();
    this.#closeState = this.#closeState["session-end"];
    this.#drainSlot();
    this.#finish();
    this.#notifyReadable();
    this.#notifyClosed();
  }

  /**
   * The turn ends: notifies the reader, then copies what it left unread. Returns
   * how many bytes the reader was offered.
   */
  endTurn(): number {
    this.awaitsEndTurn = false;
    const { length } = this.#received;
    if (length > 0 || this.ended) this.#notifyReadable();
    if (!this.#mayReceive()) this.#window.end();
    this.#received.own(this.#window.granted);
    return length;
  }

  // --- Private ---------------------------------------------------------------

  get #window(): ReceiveWindow {
    return this.#receiveWindow ??= new ReceiveWindow(
      this.#host.windows,
      this.#grantedSize,
    );
  }

  /** Drops what has arrived and sends CLOSE. */
  #drop(state: ReceiveState): void {
    this.#clearReceived();
    this.#window.release();
    this.#endReceive(state);
    this.#closeNow();
    this.#freeSlotIfEmpty();
  }

  /** Drops what has arrived; returns how many bytes, as `ReceiveBuffer.clear()`. */
  #clearReceived(): number {
    const received = this.#received;
    const onDropped = this.#onDropped;
    if (onDropped === undefined) return received.clear();
    let bytes = 0;
    for (;;) {
      const piece = received.peek();
      if (piece === undefined) return bytes + received.clear();
      onDropped(piece);
      bytes += received.consume(piece.length);
    }
  }

  /** Lets what waits to write send a frame; see {@linkcode pull}. */
  #pullWriter(): boolean {
    // Even if the queue is full: it asks one channel in any case.
    this.#pulled = this.#sendWindow.credit > 0;
    if (this.#pulled) this.#notifyWritable();
    this.#pulled = false;
    return this.#dataScheduled = this.#hasMore();
  }

  /** Whether there is more to send now. */
  #hasMore(): boolean {
    return this.#sendWindow.credit > 0 &&
      (this.#pendingWrites !== undefined || this.#onWritable !== undefined);
  }

  /** Forgets the queue if `write` was the last one in it. */
  #dropWrite(write: PendingWrite): PendingWrite {
    if (this.#pendingWrites?.length === 0) this.#pendingWrites = undefined;
    return write;
  }

  /** Whether DATA counts: neither after EOF nor after this side's CLOSE. */
  #mayReceive(): boolean {
    return !receivesNothing(this.#receiveState) &&
      this.#closeState.name !== "sent";
  }

  #mayReturnCredit(): boolean {
    return !receivesNothing(this.#receiveState) && maySend(this.#closeState);
  }

  #returnCredit(bytes: number): void {
    if (bytes === 0) return;
    if (!this.#mayReturnCredit()) {
      this.#window.drain(bytes);
      return this.#freeSlotIfEmpty();
    }
    this.#giveCredit(this.#window.consume(bytes));
  }

  #giveCredit(credit: number): void {
    if (credit === 0) return;
    this.#creditDue += credit;
    if (this.#creditScheduled) return;
    this.#creditScheduled = true;
    this.#host.queue.scheduleCredit(this);
  }

  /** How many of `bytes` the next DATA frame may carry. */
  #frameSize(bytes: number, quantum = SEND_QUANTUM): number {
    return Math.min(
      bytes,
      this.#sendWindow.credit,
      this.#remoteMaxPacketSize,
      quantum,
    );
  }

  /** How many of `bytes` can be queued at once, before anything else. */
  #roomNow(bytes: number): number {
    return this.#pendingWrites === undefined &&
        this.#host.queue.hasRoomFor(this.remoteId)
      ? this.#frameSize(bytes)
      : 0;
  }

  #sendData(bytes: Uint8Array): void {
    this.#carried = true;
    this.#sendWindow.take(bytes.length);
    // A value has a frame of its own: qtalk-js reads each with a single read.
    const shareable = this.#streams === undefined
      ? 0
      : this.#remoteMaxPacketSize;
    this.#host.queue.data(this.remoteId, bytes, shareable);
  }

  #scheduleData(): void {
    if (this.#dataScheduled || this.#sendWindow.credit === 0) return;
    this.#dataScheduled = true;
    this.#host.queue.scheduleData(this);
  }

  /** Sends EOF if this direction is to end and no write is pending. */
  #sendEofIfFlushed(): void {
    if (
      this.#pendingWrites !== undefined || this.#sendState.name !== "ending"
    ) {
      return;
    }
    this.#sendState = this.#sendState.flushed;
    if (maySend(this.#closeState)) this.#host.queue.eof(this.remoteId);
    this.#streams?.fail(this.#sendError());
    this.#closeIfDone();
  }

  /** Sends CLOSE if both directions have ended. */
  #closeIfDone(): void {
    if (
      this.#sendState.name === "ended" && this.#receiveState.name !== "open"
    ) {
      this.#closeNow();
    }
  }

  #closeNow(): void {
    this.#closeState = this.#closeState.close;
    if (this.#closeState.name === "closing") this.#sendClose();
  }

  /** Sends CLOSE, the channel's last frame, or the reply to the peer's. */
  #sendClose(): void {
    const isReply = this.#closeState.name === "received";
    const mayWait = isReply && this.#closeMayWait;
    this.#host.queue.close(this.remoteId, isReply, mayWait);
    this.#closeState = this.#closeState.sent;
    this.#drainSlot();
    if (this.#closeState.name === "closed") this.#finish();
  }

  /**
   * Lets go of the slot as soon as the receive buffer is empty. It is kept until
   * then: a peer could otherwise fill and close one channel after another, and
   * this side would hold all their bytes.
   */
  #drainSlot(): void {
    if (this.#slotState === "occupied") this.#slotState = "draining";
    if (this.#received.length > 0) this.#endWindow();
    else this.#freeSlotIfEmpty();
  }

  #freeSlotIfEmpty(): void {
    if (this.#slotState !== "draining" || this.#received.length > 0) return;
    this.#slotState = "freed";
    this.#window.release();
    this.#host.slotFreed(this);
    this.#onDrained?.();
  }

  #failSend(reason: () => unknown): void {
    const failed = this.#sendState.fail;
    if (failed === this.#sendState) return;
    if (this.#sendState.name !== "ended") this.#sendFailure = reason;
    this.#sendState = failed;
    const pending = this.#pendingWrites;
    this.#pendingWrites = undefined;
    if (pending !== undefined) {
      const error = this.#sendError(reason);
      this.cutWrite = pending.first!.bytes;
      for (const { reject } of pending) reject(error);
    }
    this.#streams?.fail(this.#sendError(reason));
    if (this.#onWritable !== undefined) this.#notifyWritable();
  }

  /** The error of a write, which says what the channel is for, if it is ours. */
  #sendError(makeError: () => unknown = this.#sendFailure): unknown {
    const error = makeError();
    return makeError === channelClosed || makeError === peerClosedChannel
      ? this.#named(error)
      : error;
  }

  #named(error: unknown): unknown {
    const owner = this.#owner;
    return owner === undefined || error === undefined
      ? error
      : owner.named(error);
  }

  #endReceive(state: ReceiveState): void {
    const ended = receivesNothing(this.#receiveState);
    this.#receiveState = state;
    // DATA that comes nevertheless is dropped.
    if (!ended) this.#endWindow();
    // In the middle of a turn, endTurn() notifies the reader.
    if (!ended && !this.awaitsEndTurn) this.#notifyReadable();
  }

  /**
   * Returns the credit that the peer will not use. In the middle of a turn,
   * {@linkcode endTurn} does: the reader may take all that is left, and the channel
   * then gives back everything at once.
   */
  #endWindow(): void {
    if (!this.awaitsEndTurn) this.#window.end();
  }

  #finish(): void {
    this.#host.forget(this);
    if (this.#closed !== undefined) this.#settleClosed();
  }

  #settleClosed(): void {
    if (this.#sessionError === undefined) this.#closed?.resolve();
    else this.#closed?.reject(this.#sessionError);
  }

  #notifyReadable(): void {
    const callback = this.#onReadable;
    this.#onReadable = undefined;
    callback?.();
  }

  #notifyWritable(): void {
    const callback = this.#onWritable;
    this.#onWritable = undefined;
    callback?.();
  }

  #notifyClosed(): void {
    const waiting = this.#onClosed;
    this.#onClosed = undefined;
    if (waiting instanceof Set) { for (const callback of waiting) callback(); }
    else waiting?.();
  }
}

function channelClosed(): MuxError {
  return new MuxError(
    "channel-closed",
    "Cannot write to channel: this direction is closed",
  );
}

function peerClosedChannel(): MuxError {
  return new MuxError(
    "channel-closed",
    "Cannot write to channel: the peer closed it",
  );
}

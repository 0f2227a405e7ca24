import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import { rejectedBy } from "../../check_option.ts";
import { MuxError, protocolError } from "../errors.ts";
import { BlockPool } from "../channel/receive_buffer.ts";
import { type ChannelHost, QmuxChannel } from "../channel/channel.ts";
import { AcceptQueue } from "./accept_queue.ts";
import { ChannelIds, ChannelMap } from "./channel_map.ts";
import type { FrameSink } from "../wire/frame_decoder.ts";
import type { FrameSender } from "../wire/frame_sender.ts";
import { PACKET_LIMITS, type ResolvedSessionOptions } from "../options.ts";
import type { MemoryAccount } from "../flow/memory_account.ts";
import { WindowBudget } from "../flow/window_budget.ts";
import { RoundTrip, type WindowPolicy } from "../flow/windows.ts";
import type { OpenCallbacks, SessionChannels } from "../raw.ts";
import type { Channel, SessionUsage, WaitOptions } from "../types.ts";
import { type Clock, TurnClock } from "../flow/turns.ts";

/**
 * Idle frames that a useful one makes up for. qtalk-go sends a few for a channel:
 * EOF twice, or DATA after its own CLOSE.
 */
const PER_USEFUL_FRAME = 8;

/**
 * Bounds the idle frames of a peer, relative to the useful ones: those that carry
 * payload, or credit for bytes that were sent. An idle frame costs its sender
 * nothing, while a peer that sends useful ones is bounded by windows, or by what
 * this side sends.
 */
export class IdleBudget {
  readonly #limit: number;
  #left: number;

  /** Makes a budget of `limit` idle frames. */
  constructor(limit: number) {
    this.#limit = this.#left = limit;
  }

  /** Counts a useful frame. */
  countUseful(): void {
    if (this.#left === this.#limit) return;
    this.#left = Math.min(this.#limit, this.#left + PER_USEFUL_FRAME);
  }

  /**
   * Counts an idle frame.
   *
   * @throws {MuxError} `limit-exceeded` if the peer has sent too many
   */
  countIdle(frame: string, id: number): void {
    if (this.#left-- > 0) return;
    throw new MuxError(
      "limit-exceeded",
      `Cannot continue session: received more than ${this.#limit} idle frames, the last of them ${frame} for channel ${id}`,
    );
  }
}

/**
 * Bytes offered to the readers of channels, and of answers that they leave in
 * memory, before the event loop turns, so that at most one value is decoded, or
 * encoded, that takes long.
 */
export const OFFERED_PER_TURN = 1024 * 1024;

/**
 * An OPEN of the peer. It becomes a channel when the application accepts it: the
 * peer learns this side's channel ID from OPEN_CONFIRM, and cannot send frames
 * for the channel before.
 */
interface PeerOpen {
  remoteId: number;
  /** Bytes that this side may send. */
  windowSize: number;
  maxPacketSize: number;
  /** Bytes that the peer will be granted; the channel's memory is taken. */
  grantedSize: number;
}

/**
 * The channels of one session. The table assigns their IDs, enforces the limits
 * and passes each incoming frame to its channel. None of its methods waits.
 */
export class ChannelTable implements FrameSink, ChannelHost, SessionChannels {
  readonly maxChannels: number;
  readonly queue: FrameSender;
  readonly windows: WindowPolicy;
  readonly blocks = new BlockPool();
  /** The OPENs of the peer that wait for the application. */
  readonly acceptQueue: AcceptQueue<PeerOpen, QmuxChannel>;
  readonly #options: ResolvedSessionOptions;
  readonly #account: MemoryAccount;
  readonly #budget: WindowBudget;
  readonly #channels = new ChannelMap<QmuxChannel>();
  readonly #ids = new ChannelIds();
  readonly #clock: TurnClock;
  openedByPeer = 0;
  readonly #roundTrip: RoundTrip;
  /** Why no channel can be opened any more, once that is so. */
  #closed: MuxError | undefined;
  /** What the channels that this side opened count. */
  readonly #outgoing = new Places();
  /** What the channels that the peer opened count. */
  readonly #incoming = new Places();
  #slotFreed: PromiseWithResolvers<void> | undefined;
  opened = 0;
  readonly #idle: IdleBudget;
  /** The channel of the DATA frame being read; undefined to drop its payload. */
  #payloadChannel: QmuxChannel | undefined;
  /** The channels that have received payload in this turn. */
  #turnChannels: QmuxChannel[] = [];

  /** Makes an empty table whose channels send through `queue`. */
  constructor(
    queue: FrameSender,
    options: ResolvedSessionOptions,
    account: MemoryAccount,
    clock: Clock,
  ) {
    this.queue = queue;
    this.#options = options;
    this.maxChannels = options.maxChannels;
    this.#account = account;
    this.#budget = new WindowBudget(
      account,
      options.initialWindowSize,
      options.maxWindowSize,
    );
    this.#clock = new TurnClock(clock);
    this.#roundTrip = new RoundTrip(this.#clock);
    this.#idle = new IdleBudget(options.maxIdleFrames);
    this.acceptQueue = new AcceptQueue(
      options.backlog,
      (open, waited) => this.#accept(open, waited),
    );
    this.windows = {
      maxSize: options.maxWindowSize,
      budget: this.#budget,
      roundTrip: this.#roundTrip,
      clock: this.#clock,
    };
  }

  // --- Called by the session ---------------------------------------------------

  /** What the session holds now. */
  get usage(): SessionUsage {
    return {
      channels: this.#channels.size,
      slots: this.#outgoing.slots + this.#incoming.slots +
        this.acceptQueue.length,
      held: this.#account.usage,
    };
  }

  get openable(): number {
    const { maxChannels } = this;
    const { slots, ids } = this.#outgoing;
    return Math.min(maxChannels - slots, 2 * maxChannels - ids);
  }

  /** The usual round trip in milliseconds; undefined before the first. */
  get roundTrip(): number | undefined {
    return this.#roundTrip.smoothed;
  }

  get outgoingSlots(): number {
    return this.#outgoing.slots;
  }

  get crowded(): boolean {
    return this.#outgoing.slots * 4 >= this.maxChannels * 3 ||
      this.#budget.scarce;
  }

  whenSlotFreed(): Promise<void> {
    return (this.#slotFreed ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Opens a channel and calls back with the answer. Returns the channel, unless
   * it cannot be opened.
   *
   * @param extra how many more may be open than the limit allows
   */
  open(callbacks: OpenCallbacks, extra = 0): QmuxChannel | undefined {
    const mayOpen = this.#mayOpen(this.openable + extra);
    const windowSize = mayOpen ? this.#budget.openOwn() : 0;
    if (windowSize === 0) {
      callbacks.reject(this.#closed ?? this.#limitExceeded());
      return undefined;
    }
    const channel = this.#newChannel("opening", windowSize);
    channel.openCallbacks = callbacks;
    this.queue.open(channel.id, windowSize, this.#options.maxPacketSize);
    this.#roundTrip.probeSent(channel.id);
    return channel;
  }

  /** Opens a channel, unless the signal aborts before the answer: `Session.open()`. */
  openUntil({ signal }: WaitOptions): Promise<Channel> {
    const rejected = rejectedBy(signal);
    if (rejected !== undefined) return rejected;
    const opening = Promise.withResolvers<Channel>();
    const { promise } = opening;
    const channel = this.open(opening);
    if (signal === undefined || channel === undefined) return promise;
    const giveUp = () => {
      // An open that is answered can no longer be abandoned.
      if (takeCallbacks(channel) === undefined) return;
      channel.discard();
      opening.reject(reasonOf(signal));
    };
    onAbort(signal, giveUp);
    return promise.finally(() => offAbort(signal, giveUp));
  }

  /** Passes the peer's channels to a handler: `Session.accept()`. */
  accept(handler: (channel: Channel) => void): void {
    this.acceptQueue.handle((channel) => {
      try {
        handler(channel);
      } catch (error) {
        channel.abort(error);
      }
    });
  }

  /** Refuses further channels, from either side. */
  close(reason: MuxError): void {
    this.#closed = reason;
  }

  /** A write of the session failed: no channel can send any more. */
  onWriteFailed(reason: MuxError): void {
    for (const channel of this.#channels.values()) {
      channel.onWriteFailed(reason);
    }
  }

  /** One channel can no longer send, although the session goes on. */
  failSend(id: number, reason: MuxError): void {
    this.#channels.get(id)?.onWriteFailed(reason);
  }

  /**
   * One channel has ended without CLOSE, although the session goes on: what carried
   * it is gone. What it still has can be read, and then its reader gets `reason`.
   */
  lose(id: number, reason: MuxError): void {
    const channel = this.#channels.get(id);
    if (channel === undefined) return;
    channel.onSessionEnd(reason, true);
    const opening = takeCallbacks(channel);
    if (opening === undefined) return;
    channel.discard();
    opening.reject(reason);
  }

  /** The session has ended; `cleanly` tells whether without an error. */
  end(reason: MuxError, cleanly: boolean): void {
    this.#closed = reason;
    const channels = this.#channels.values();
    for (const channel of channels) channel.onSessionEnd(reason, cleanly);
    for (const channel of channels) {
      const opening = takeCallbacks(channel);
      if (opening === undefined) continue;
      // What came before the answer to OPEN has no reader.
      channel.discard();
      opening.reject(reason);
    }
    for (const { grantedSize } of this.acceptQueue.end()) {
      this.#budget.cancelOpen(grantedSize);
    }
    this.#account.close();
  }

  /** The time at which this turn began, in milliseconds. */
  now(): number {
    return this.#clock.now();
  }

  /** Starts a new turn: bytes have arrived, or a write starts. */
  tick(): void {
    this.#clock.tick();
  }

  /**
   * Ends the turn: the transport is about to reuse its buffer. Returns whether
   * there are channels left for the next turn, because readers of the others were
   * offered many bytes: large values take milliseconds to decode.
   */
  endTurn(): boolean {
    // Only frames add to the list, so the callbacks of readers do not.
    const channels = this.#turnChannels;
    const { responses } = this.#account;
    let offered = -responses.held;
    for (let i = 0; i < channels.length; i++) {
      if (offered + responses.held >= OFFERED_PER_TURN) {
        channels.splice(0, i);
        return true;
      }
      offered += channels[i]!.endTurn();
    }
    channels.length = 0;
    return false;
  }

  // --- Called by the channels --------------------------------------------------

  probeSent(channel: QmuxChannel): void {
    this.#roundTrip.probeSent(channel.id);
  }

  slotFreed(channel: QmuxChannel): void {
    this.#placesOf(channel).slots--;
    this.#slotFreed?.resolve();
    this.#slotFreed = undefined;
  }

  forget(channel: QmuxChannel): void {
    this.#roundTrip.forget(channel.id);
    this.#channels.delete(channel.id);
    // An idle session keeps nothing of its last call.
    if (this.#payloadChannel === channel) this.#payloadChannel = undefined;
    this.#placesOf(channel).ids--;
    this.#account.giveChannel();
  }

  // --- Called by the decoder ---------------------------------------------------

  onOpen(remoteId: number, windowSize: number, maxPacketSize: number): void {
    this.openedByPeer++;
    const mayOpen = isPacketSize(maxPacketSize) &&
      this.#mayOpen(this.#acceptable);
    const grantedSize = mayOpen ? this.#budget.open() : 0;
    const accepted = grantedSize > 0 && this.acceptQueue.push({
      remoteId,
      windowSize,
      maxPacketSize,
      grantedSize,
    });
    if (accepted) return;
    if (grantedSize > 0) this.#budget.cancelOpen(grantedSize);
    this.queue.openFailure(remoteId);
  }

  onOpenConfirm(
    recipientId: number,
    senderId: number,
    windowSize: number,
    maxPacketSize: number,
  ): void {
    const channel = this.#findOpening(recipientId, "OPEN_CONFIRM");
    if (!isPacketSize(maxPacketSize)) {
      throw protocolError(
        `received OPEN_CONFIRM with a maximum packet size of ${maxPacketSize}`,
      );
    }
    this.#roundTrip.probeAnswered(recipientId, true);
    channel.onConfirm(senderId, windowSize, maxPacketSize);
    takeCallbacks(channel)?.resolve(channel);
  }

  onOpenFailure(recipientId: number): void {
    const channel = this.#findOpening(recipientId, "OPEN_FAILURE");
    const refused = new MuxError(
      "open-refused",
      "Cannot open channel: the peer refused it",
    );
    this.#roundTrip.probeAnswered(recipientId, true);
    channel.onOpenFailure(refused);
    takeCallbacks(channel)?.reject(refused);
  }

  onWindowAdjust(recipientId: number, bytesToAdd: number): void {
    const channel = this.#find(recipientId, "WINDOW_ADJUST");
    if (channel?.onWindowAdjust(bytesToAdd)) this.#idle.countUseful();
    else this.#idle.countIdle("WINDOW_ADJUST", recipientId);
  }

  onData(recipientId: number, length: number): void {
    const { maxPacketSize } = this.#options;
    if (length > maxPacketSize) {
      throw protocolError(
        `received DATA of ${length} bytes, which exceeds the maximum packet size of ${maxPacketSize}`,
      );
    }
    const channel = this.#find(recipientId, "DATA");
    this.#roundTrip.probeAnswered(recipientId);
    this.#payloadChannel = channel;
    if (channel !== undefined && length > 0 && channel.onData(length)) {
      this.#idle.countUseful();
    } else this.#lateData(recipientId, length);
  }

  onPayload(chunk: Uint8Array, from: number, to: number): void {
    const channel = this.#payloadChannel;
    if (channel === undefined) return;
    if (!channel.awaitsEndTurn) {
      channel.awaitsEndTurn = true;
      this.#turnChannels.push(channel);
    }
    channel.onPayload(chunk, from, to);
  }

  /**
   * A piece of payload for a channel that need not be that of the last DATA frame:
   * each channel has a stream of its own.
   */
  onPayloadOf(
    recipientId: number,
    chunk: Uint8Array,
    from: number,
    to: number,
  ): void {
    this.#payloadChannel = this.#channels.get(recipientId);
    this.onPayload(chunk, from, to);
  }

  onEof(recipientId: number): void {
    const first = this.#find(recipientId, "EOF")?.onEof() ?? false;
    if (!first) this.#idle.countIdle("EOF", recipientId);
  }

  onClose(recipientId: number): void {
    const useful = this.#find(recipientId, "CLOSE")?.onClose() ?? false;
    if (!useful) this.#idle.countIdle("CLOSE", recipientId);
  }

  // --- Private -----------------------------------------------------------------

  /** How many more channels the peer may open now. */
  get #acceptable(): number {
    const { maxChannels } = this;
    const { slots, ids } = this.#incoming;
    const waiting = this.acceptQueue.length;
    // The second limit is for a peer that never answers this side's CLOSE: the
    // IDs of such channels stay in use.
    return Math.min(
      maxChannels - slots - waiting,
      2 * maxChannels - ids - waiting,
    );
  }

  /** Counts DATA that is dropped. */
  #lateData(id: number, length: number): void {
    if (length === 0 || !this.#budget.takeLateCredit(length)) {
      return this.#idle.countIdle("DATA", id);
    }
    // The peer had credit for it, so it sent this in good faith.
    this.#idle.countUseful();
  }

  /**
   * Whether another channel can be opened, if there is memory for it.
   *
   * @param free how many more may be opened by the side that opens this one
   */
  #mayOpen(free: number): boolean {
    return this.#closed === undefined && free > 0;
  }

  #placesOf(channel: QmuxChannel): Places {
    return channel.outgoing ? this.#outgoing : this.#incoming;
  }

  #limitExceeded(): MuxError {
    const { slots, ids } = this.#outgoing;
    const { maxChannels } = this;
    const { maxHeldSize } = this.#options;
    return new MuxError(
      "limit-exceeded",
      slots >= maxChannels
        ? `Cannot open channel: ${slots} of ${maxChannels} are open`
        : ids >= 2 * maxChannels
        ? `Cannot open channel: the peer has not answered the CLOSE of ${ids} channels`
        : `Cannot open channel: the session holds ${this.#account.held} of ${maxHeldSize} bytes`,
    );
  }

  #newChannel(state: "opening" | "open", windowSize: number): QmuxChannel {
    const id = this.#ids.take(this.#channels);
    const channel = new QmuxChannel(id, this, state, windowSize);
    this.#channels.add(channel);
    this.opened++;
    const places = this.#placesOf(channel);
    places.slots++;
    places.ids++;
    return channel;
  }

  #accept(
    { remoteId, windowSize, maxPacketSize, grantedSize }: PeerOpen,
    waited: boolean,
  ): QmuxChannel {
    const channel = this.#newChannel("open", grantedSize);
    // OPENs that waited are limited by the backlog, and an error here would be
    // thrown at the application instead of the read loop.
    const isReply = !waited;
    this.queue.openConfirm(
      remoteId,
      channel.id,
      grantedSize,
      this.#options.maxPacketSize,
      isReply,
    );
    this.#roundTrip.probeSent(channel.id);
    channel.onConfirm(remoteId, windowSize, maxPacketSize);
    return channel;
  }

  /**
   * The channel of a frame. Undefined if it has closed: the frame is late and is
   * dropped, because qtalk-go may send DATA after its own CLOSE.
   */
  #find(id: number, frame: string): QmuxChannel | undefined {
    const channel = this.#channels.get(id);
    if (channel === undefined && !this.#ids.wasAssigned(id)) {
      throw protocolError(
        `received ${frame} for channel ${id}, which was never opened`,
      );
    }
    return channel;
  }

  #findOpening(id: number, frame: string): QmuxChannel {
    const channel = this.#channels.get(id);
    if (channel === undefined || !channel.awaitsConfirm) {
      throw protocolError(
        `received ${frame} for channel ${id}, which is not being opened`,
      );
    }
    return channel;
  }
}

/** What the channels of one direction count towards `maxChannels`. */
class Places {
  /** Slots: channels that may cost memory; see `SlotState`. */
  slots = 0;
  /** IDs in use: channels that not both sides have closed. */
  ids = 0;
}

/** The callbacks that wait for the answer to the channel's OPEN, for one use. */
function takeCallbacks(channel: QmuxChannel): OpenCallbacks | undefined {
  const { openCallbacks } = channel;
  channel.openCallbacks = undefined;
  return openCallbacks;
}

function isPacketSize(bytes: number): boolean {
  return bytes >= PACKET_LIMITS.min && bytes <= PACKET_LIMITS.max;
}

import {
  type ChannelHost,
  type Opening,
  QmuxChannel,
} from "../channel/channel.ts";
import { ChannelIds } from "./channel_ids.ts";
import { ChannelMap } from "./channel_map.ts";
import { MuxError, protocolError } from "../errors.ts";
import { FrameType } from "../wire/frame.ts";
import type { FrameSink } from "../wire/frame_decoder.ts";
import type { FrameQueue } from "../wire/frame_queue.ts";
import { Incoming } from "./incoming.ts";
import { PACKET_LIMITS, type SessionOptions } from "../options.ts";
import { RoundTrip } from "../flow/round_trip.ts";
import type { SessionUsage } from "../types.ts";
import { TurnClock } from "../flow/turn_clock.ts";
import { WindowBudget, type WindowPolicy } from "../flow/window.ts";

/**
 * An OPEN that nobody has accepted yet. It gets its channel then: before the
 * CONFIRM the peer knows no number of ours, and has none to send frames for.
 */
interface Offered {
  remoteId: number;
  window: number;
  maxPacketSize: number;
}

/**
 * The channels of one session: gives them their numbers, keeps to the limits,
 * and takes each frame that comes in to its channel. None of it waits.
 */
export class ChannelTable implements FrameSink, ChannelHost {
  readonly queue: FrameQueue;
  readonly windows: WindowPolicy;
  /** Who takes the channels that the peer opens. */
  readonly incoming: Incoming<Offered, QmuxChannel>;
  readonly #options: Required<SessionOptions>;
  readonly #channels = new ChannelMap<QmuxChannel>();
  readonly #ids = new ChannelIds();
  readonly #clock = new TurnClock();
  readonly #roundTrip = new RoundTrip(() => this.#clock.now());
  /** Why nothing is opened any more, once that is so. */
  #closed: MuxError | undefined;
  /** Channels that may still hold memory. */
  #places = 0;
  /** Who waits for one of them to be given back. */
  #vacancy: PromiseWithResolvers<void> | undefined;
  /** Where the payload that is being read belongs; undefined to drop it. */
  #payloadChannel: QmuxChannel | undefined;
  /** The channels that payload came for in this turn. */
  #touched: QmuxChannel[] = [];

  /** Makes an empty table whose channels send by `queue`. */
  constructor(queue: FrameQueue, options: Required<SessionOptions>) {
    this.queue = queue;
    this.#options = options;
    this.incoming = new Incoming(
      options.backlog,
      (offered, waited) => this.#admit(offered, waited),
    );
    this.windows = {
      initial: options.initialWindowSize,
      max: options.maxWindowSize,
      budget: new WindowBudget(options.windowBudgetSize),
      rtt: () => this.#roundTrip.shortest,
      rttAtMost: (ms) => this.#roundTrip.atMost(ms),
      now: () => this.#clock.now(),
    };
  }

  // --- For the session ------------------------------------------------------

  /** What is held now. */
  get usage(): SessionUsage {
    return {
      channels: this.#channels.size,
      slots: this.#places + this.incoming.waiting,
    };
  }

  /** Whether fewer than half of the places are free. */
  get crowded(): boolean {
    return this.#places * 2 >= this.#options.maxChannels;
  }

  /** Resolves when the next place is given back; see `Session.vacancy()`. */
  whenSlotFreed(): Promise<void> {
    return (this.#vacancy ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Opens a channel and calls back with the answer; returns it, unless it is
   * refused at once.
   */
  open(
    resolve: Opening["resolve"],
    reject: Opening["reject"],
  ): QmuxChannel | undefined {
    if (this.#closed !== undefined || !this.#hasPlace()) {
      const full = `Cannot open channel: ${this.#places} are open`;
      reject(this.#closed ?? new MuxError("limit-exceeded", full));
      return undefined;
    }
    const channel = this.#newChannel("opening");
    channel.opening = { resolve, reject };
    const { initialWindowSize, maxPacketSize } = this.#options;
    this.queue.frame(
      FrameType.OPEN,
      channel.id,
      initialWindowSize,
      maxPacketSize,
    );
    this.#roundTrip.asked(channel.id);
    return channel;
  }

  /** Gives up a channel that is being opened; false if it is answered. */
  abandon(channel: QmuxChannel): boolean {
    if (channel.opening === undefined) return false;
    channel.opening = undefined;
    channel.discard();
    return true;
  }

  /** Opens no more, from either side. */
  close(reason: MuxError): void {
    this.#closed = reason;
  }

  /** Nothing that is written gets anywhere any more. */
  onWriteFailed(reason: MuxError): void {
    for (const channel of this.#channels.values()) {
      channel.onWriteFailed(reason);
    }
  }

  /** The session is over, cleanly or not: so is all that waits on it. */
  end(reason: MuxError, cleanly: boolean): void {
    this.#closed = reason;
    const channels = this.#channels.values();
    for (const channel of channels) channel.onSessionEnd(reason, cleanly);
    for (const channel of channels) answered(channel)?.reject(reason);
    this.incoming.end();
  }

  /** Bytes have come, or leave: the time is another. */
  tick(): void {
    this.#clock.tick();
  }

  /** The turn ends: the transport's buffer is about to be used again. */
  endTurn(): void {
    // Readers that are told may touch no further channel: only frames do.
    for (const channel of this.#touched) channel.endTurn();
    this.#touched.length = 0;
  }

  // --- For the channels -----------------------------------------------------

  probe(channel: QmuxChannel): void {
    this.#roundTrip.asked(channel.id);
  }

  slotFreed(_channel: QmuxChannel): void {
    this.#places--;
    this.#vacancy?.resolve();
    this.#vacancy = undefined;
  }

  forget(channel: QmuxChannel): void {
    this.#roundTrip.forget(channel.id);
    this.#channels.delete(channel.id);
  }

  // --- For the decoder ------------------------------------------------------

  onOpen(remoteId: number, window: number, maxPacketSize: number): void {
    const accepted = this.#closed === undefined && this.#hasPlace() &&
      isPacketSize(maxPacketSize) &&
      this.incoming.offer({ remoteId, window, maxPacketSize });
    if (!accepted) this.queue.reply(FrameType.OPEN_FAILURE, remoteId);
  }

  onConfirm(
    recipient: number,
    sender: number,
    window: number,
    maxPacketSize: number,
  ): void {
    const channel = this.#unconfirmed(recipient, "OPEN_CONFIRM");
    if (!isPacketSize(maxPacketSize)) {
      throw protocolError(`a packet size of ${maxPacketSize} was confirmed`);
    }
    this.#roundTrip.answered(recipient);
    channel.onConfirm(sender, window, maxPacketSize);
    answered(channel)?.resolve(channel);
  }

  onFailure(recipient: number): void {
    const channel = this.#unconfirmed(recipient, "OPEN_FAILURE");
    const refused = new MuxError(
      "open-refused",
      "Cannot open channel: the peer refused it",
    );
    this.#roundTrip.answered(recipient);
    channel.onSessionEnd(refused, true);
    channel.discard();
    answered(channel)?.reject(refused);
  }

  onAdjust(recipient: number, bytes: number): void {
    this.#find(recipient, "WINDOW_ADJUST")?.onAdjust(bytes);
  }

  onData(recipient: number, length: number): void {
    const { maxPacketSize } = this.#options;
    if (length > maxPacketSize) {
      throw protocolError(
        `DATA of ${length} bytes came for a packet size of ${maxPacketSize}`,
      );
    }
    const channel = this.#find(recipient, "DATA");
    this.#roundTrip.answered(recipient);
    channel?.onData(length);
    this.#payloadChannel = channel;
  }

  onPayload(piece: Uint8Array): void {
    const channel = this.#payloadChannel;
    if (channel === undefined) return;
    if (!channel.touched) {
      channel.touched = true;
      this.#touched.push(channel);
    }
    channel.onPayload(piece);
  }

  onEof(recipient: number): void {
    this.#find(recipient, "EOF")?.onEof();
  }

  onClose(recipient: number): void {
    this.#find(recipient, "CLOSE")?.onClose();
  }

  // --- Inside ---------------------------------------------------------------

  #hasPlace(): boolean {
    const { maxChannels } = this.#options;
    const { waiting } = this.incoming;
    // A peer that never answers our CLOSE must not pile up numbers either.
    return this.#places + waiting < maxChannels &&
      this.#channels.size + waiting < 2 * maxChannels;
  }

  #newChannel(state: "opening" | "open"): QmuxChannel {
    const id = this.#ids.take(this.#channels);
    const channel = new QmuxChannel(id, this, state);
    this.#channels.add(channel);
    this.#places++;
    return channel;
  }

  #admit(
    { remoteId, window, maxPacketSize }: Offered,
    waited: boolean,
  ): QmuxChannel {
    const channel = this.#newChannel("open");
    const { initialWindowSize: ours, maxPacketSize: ourPacket } = this.#options;
    const { id } = channel;
    // What waited was bounded by the backlog, and no fault of who takes it now.
    if (waited) {
      this.queue.frame(FrameType.OPEN_CONFIRM, remoteId, id, ours, ourPacket);
    } else {
      this.queue.reply(FrameType.OPEN_CONFIRM, remoteId, id, ours, ourPacket);
    }
    this.#roundTrip.asked(id);
    channel.onConfirm(remoteId, window, maxPacketSize);
    return channel;
  }

  /**
   * The channel that a frame is for; undefined if it is closed already, so that
   * the frame is late and can be dropped: the reference may send DATA after its
   * own CLOSE.
   */
  #find(id: number, frame: string): QmuxChannel | undefined {
    const channel = this.#channels.get(id);
    if (channel === undefined && !this.#ids.wasGiven(id)) {
      throw protocolError(`${frame} came for channel ${id}, never opened`);
    }
    return channel;
  }

  #unconfirmed(id: number, frame: string): QmuxChannel {
    const channel = this.#channels.get(id);
    if (channel === undefined || !channel.awaitsConfirm) {
      throw protocolError(`${frame} came for channel ${id}, not being opened`);
    }
    return channel;
  }
}

/** Who waited for the answer to the channel's OPEN, and does no more. */
function answered(channel: QmuxChannel): Opening | undefined {
  const { opening } = channel;
  channel.opening = undefined;
  return opening;
}

function isPacketSize(bytes: number): boolean {
  return bytes >= PACKET_LIMITS.min && bytes <= PACKET_LIMITS.max;
}

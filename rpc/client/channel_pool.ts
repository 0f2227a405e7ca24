import {
  MuxError,
  type OpenCallbacks,
  type RawChannel,
  type RawSession,
} from "../../mux/internal.ts";
import {
  coarseTimer,
  type RepeatableTimer,
  startTimer,
} from "../../time_limit.ts";
import { RpcError } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { Caller } from "../types.ts";
import { Fifo, type Queued } from "../../queue.ts";
import { channelPool } from "./pool_key.ts";

/**
 * How many spare channels may be opened ahead of need if few calls run at the same
 * time. In qtalk-go, each is a waiting goroutine, and a line in the log when the session
 * ends.
 */
export const FEW_SPARE_CHANNELS = 64;
/**
 * How many spare channels may be opened ahead of need if as many calls had to wait
 * for a channel at the same time: a quarter of the channels that a peer of this package
 * allows by default.
 */
export const MAX_SPARE_CHANNELS = 512;
/** Milliseconds without a call after which half of the spares are closed. */
const IDLE_TIME = 1_000;
/**
 * Milliseconds without a call after which the last spare is closed. With thousands
 * of connections, each has a call only every second or two: to close its spare
 * channel, and to open one for the call and another after it, took longer than all
 * the rest (tests/bench/LOG.md).
 */
const LAST_IDLE_TIME = 5_000;
/**
 * A call leaves its channel to others only while no more than this are open. With a
 * thousand calls in flight, new ones are faster: old ones have left the processor's
 * cache.
 */
const MAX_KEPT_CHANNELS = 3 * FEW_SPARE_CHANNELS;
/**
 * One call in this many ends its channel, so that opening another one measures the
 * round trip.
 */
const CALLS_PER_PROBE = 64;

/**
 * One channel slot in this many is kept for nested calls: those made with
 * `call.caller`, and calls of callbacks. The handlers that make them keep slots
 * themselves, so without a reserve they could wait for each other forever.
 */
const RESERVED_PART = 8;

/** How many calls may wait, and for how long. */
export interface QueueLimits {
  /** Calls that may wait. */
  readonly maxQueuedCalls: number;
  /** Bytes of their encoded requests together. */
  readonly maxQueuedCallSize: number;
  /** Milliseconds that a nested call may wait: the others may wait for it. */
  readonly callQueueTimeout: number;
}

/** A call that needs a channel to be opened for it. */
export class ChannelRequest implements Queued<ChannelRequest>, OpenCallbacks {
  queue: Fifo<ChannelRequest> | undefined;
  previous: ChannelRequest | undefined;
  next: ChannelRequest | undefined;
  /** Called with the channel. */
  readonly opened: (channel: RawChannel) => void;
  /** Called if there will be none. */
  readonly failed: (error: unknown) => void;
  /** Bytes that the call holds while it waits. */
  readonly size: number;
  /** Whether the call may use the slots that are kept for nested calls. */
  readonly nested: boolean;
  /** Cancels the time limit of a nested call in the queue. */
  cancelLimit: (() => void) | undefined;
  readonly #pool: ChannelPool;

  /** Made by {@linkcode ChannelPool.open}. */
  constructor(
    pool: ChannelPool,
    opened: (channel: RawChannel) => void,
    failed: (error: unknown) => void,
    size: number,
    nested: boolean,
  ) {
    this.#pool = pool;
    this.opened = opened;
    this.failed = failed;
    this.size = size;
    this.nested = nested;
  }

  resolve(channel: RawChannel): void {
    this.#pool.opened(this, channel);
  }

  reject(error: unknown): void {
    this.#pool.failed(this, error);
  }

  /** Fails, unless its channel is being opened and will be open soon. */
  cancel(reason: unknown): void {
    this.#pool.cancel(this, reason);
  }
}

/**
 * The channels for the calls of one session.
 *
 * It opens channels before calls need them, so that a call costs one round trip
 * instead of two. No spare channel is opened before the peer has confirmed a
 * channel that was needed: a Go client that answers no calls accepts no channels,
 * and an OPEN blocks its read loop. None is opened either before a response has
 * shown that the peer is not one of the JavaScript peers that break on a channel
 * without a call: see {@linkcode allowSpares}.
 *
 * The number of spares follows use. A call that finds none doubles it, up to
 * {@linkcode FEW_SPARE_CHANNELS} or the number of calls that wait for a channel.
 * A second without calls halves it, until one is left, which five of them close.
 * Channels that calls have left are spares, too, beyond that number.
 *
 * Calls for which there is no slot, here or at the peer, wait in a queue.
 */
export class ChannelPool {
  readonly #session: RawSession;
  readonly #limits: QueueLimits;
  readonly #reserved: number;
  readonly #spares: RawChannel[] = [];
  /** Spare channels that are being opened. */
  #opening = 0;
  /** Calls for which channels are being opened. */
  #waiting = 0;
  /** Those of them whose channels may open only when others close, the oldest first. */
  readonly #lateOpens = new Set<ChannelRequest>();
  #target = 0;
  #confirmed = false;
  #allowed = false;
  /** Made when there are spares, to see whether there are calls for them. */
  #idleTimer: RepeatableTimer | undefined;
  readonly #makeTimer: typeof coarseTimer;
  /** For how long the timer runs; 0 if it does not. */
  #idleTime = 0;
  /** How many calls had taken a channel when the timer was set. */
  #takenBefore = 0;
  /** How many calls have taken a channel, or tried to. */
  taken = 0;
  readonly #queue = new Fifo<ChannelRequest>();
  /** Nested calls, and those that the peer had no slot for: they come first. */
  readonly #urgent = new Fifo<ChannelRequest>();
  /** How many calls both have, and the bytes that these hold. */
  #queued = 0;
  #queuedSize = 0;
  /** How many channels the peer has room for, if it has refused one. */
  #room = Infinity;
  #watching = false;
  /** Channels of pings. */
  #pings = 0;
  /** What the calls of the session share; set by the client that uses the pool. */
  session: SessionState | undefined;

  /** Makes a pool for the calls of one session; tests bring their own timer. */
  constructor(
    session: RawSession,
    limits: QueueLimits = DEFAULT_QUEUE_LIMITS,
    makeTimer: typeof coarseTimer = coarseTimer,
  ) {
    this.#session = session;
    this.#limits = limits;
    this.#makeTimer = makeTimer;
    this.#reserved = Math.floor(session.channels.maxChannels / RESERVED_PART);
    const stop = () => {
      this.#idleTimer?.cancel();
      this.#target = -1;
      // They get the reason why there is no channel.
      this.#startQueued();
    };
    session.closed.then(stop, stop);
  }

  /** How many channels without a call are open or being opened. */
  get unused(): number {
    return this.#opening + this.#pings +
      this.#spares.filter((spare) => !spare.peerClosed || spare.buffered)
        .length;
  }

  /** How many calls wait in the queue. */
  get queued(): number {
    return this.#queued;
  }

  /** How many calls that are not nested can have a channel at the same time. */
  get capacity(): number {
    return Math.min(
      this.#session.channels.maxChannels - this.#reserved,
      this.#room,
    );
  }

  /**
   * Takes a channel that is already open, if there is one.
   *
   * @param nested whether the call does not wait for those in the queue
   */
  take(nested = false): RawChannel | undefined {
    this.taken++;
    if (!nested && this.#queue.length > 0) return undefined;
    const channel = this.#takeSpare();
    if (channel === undefined && this.#target > 0) this.#grow();
    this.#refill();
    return channel;
  }

  /**
   * Opens a channel for a call that found none, or puts the call into the queue.
   *
   * @param size bytes that the call holds while it waits
   * @param nested whether the call may use the slots that are kept for such calls
   * @returns cancels the call while it is in the queue
   */
  open(
    opened: (channel: RawChannel) => void,
    failed: (error: unknown) => void,
    size = 0,
    nested = false,
  ): ChannelRequest {
    const request = new ChannelRequest(this, opened, failed, size, nested);
    if (this.#session.ended || this.#mayOpen(request)) this.#open(request);
    else this.#enqueue(request);
    return request;
  }

  /**
   * Takes a channel back that may have another call, or that was opened for a call
   * which is not made after all. The next call uses it: a channel that ends without a
   * call counts as an idle frame at the peer, which ends the session after many, and
   * breaks some peers.
   *
   * Over QUIC, the oldest call whose channel is being opened uses it: that channel may
   * open only when another one has closed. Elsewhere, it opens soon.
   */
  giveBack(channel: RawChannel): void {
    this.#spares.push(channel);
    if (this.#lateOpens.size > 0) this.#startWaiting();
    else if (this.#queued > 0) {
      this.#allowOneMore();
      this.#startQueued();
    } else if (this.#allowed) this.#checkUse();
    this.session?.onIdle?.();
  }

  /**
   * Opens a channel for a ping, whatever calls have taken. When the ping has ended,
   * call {@linkcode pingEnded}.
   *
   * @returns whether there is memory for one
   */
  openForPing(
    opened: (channel: RawChannel) => void,
    failed: (error: unknown) => void,
  ): boolean {
    let canOpen = true;
    this.#pings++;
    this.#session.openRaw({
      resolve: opened,
      reject: (error) => {
        canOpen = false;
        failed(error);
      },
    }, true);
    return canOpen;
  }

  /** A ping has ended, and its channel is closed. */
  pingEnded(): void {
    this.#pings--;
  }

  /**
   * Fails a call with `reason` if it is in the queue, or if its channel may open late.
   * A call whose channel opens soon fails by itself.
   */
  cancel(request: ChannelRequest, reason: unknown): void {
    if (request.queue !== undefined) this.#leave(request);
    else if (this.#lateOpens.has(request)) this.#toSpare(request);
    else return;
    request.failed(reason);
  }

  /** Whether the peer is known to cope with channels without a call. */
  get allowsSpares(): boolean {
    return this.#allowed;
  }

  /** Whether the channel of the next call may have others after it. */
  get mayKeep(): boolean {
    const { channels } = this.#session;
    return (this.taken + 1) % CALLS_PER_PROBE > 0 && !channels.crowded &&
      channels.outgoingSlots <= MAX_KEPT_CHANNELS;
  }

  /** The peer can cope with channels that end without a call. */
  allowSpares(): void {
    if (this.#allowed) return;
    this.#allowed = true;
    this.#begin();
  }

  // --- Spare channels ---------------------------------------------------------

  #takeSpare(): RawChannel | undefined {
    for (;;) {
      // The newest: it is in the processor's cache, here and at the peer.
      const channel = this.#spares.pop();
      if (channel === undefined) return undefined;
      // The peer may have closed an idle channel, or sent what no call has asked for.
      if (!channel.peerClosed && !channel.ended && channel.buffered === 0) {
        return channel;
      }
      channel.discard();
    }
  }

  /** Gives spare channels to calls for which channels are being opened. */
  #startWaiting(): void {
    for (const request of this.#lateOpens) {
      const spare = this.#takeSpare();
      if (spare === undefined) return;
      this.#toSpare(request);
      request.opened(spare);
    }
  }

  /** The channel that is being opened for a call becomes a spare one. */
  #toSpare(request: ChannelRequest): void {
    this.#waitsNoLonger(request);
    this.#opening++;
    Object.assign(request, this.#spareCallbacks);
  }

  #begin(): void {
    if (!this.#allowed || !this.#confirmed || this.#target !== 0) return;
    this.#target = 1;
    this.#refill();
    // Calls that were not made may have left some.
    if (this.#spares.length > 0) this.#checkUse();
  }

  #grow(): void {
    // Not fewer than before: few of the calls in flight may be waiting now.
    const most = Math.max(FEW_SPARE_CHANNELS, this.#waiting, this.#target);
    this.#target = Math.min(MAX_SPARE_CHANNELS, most, this.#target * 2);
  }

  #refill(): void {
    const session = this.#session;
    const { channels } = session;
    while (
      this.#spares.length + this.#opening < this.#target &&
      // The other slots are for calls.
      !channels.crowded &&
      channels.outgoingSlots < this.#room && this.#queued === 0
    ) {
      this.#opening++;
      session.openRaw(this.#spareCallbacks);
    }
  }

  /** Most calls open a spare channel, so these are made once. */
  readonly #spareCallbacks: OpenCallbacks = {
    resolve: (channel) => {
      this.#opening--;
      this.giveBack(channel);
    },
    reject: () => {
      // Calls will get the reason themselves.
      this.#opening--;
      this.#target = Math.min(this.#target, this.#spares.length);
    },
  };

  #checkUse(): void {
    const time = this.#spares.length > 1 ? IDLE_TIME : LAST_IDLE_TIME;
    const isSet = this.#idleTime > 0 && this.#idleTime <= time;
    if (isSet || this.#target < 0) return;
    this.#takenBefore = this.taken;
    this.#idleTime = time;
    this.#idleTimer ??= this.#makeTimer(() => this.#closeUnused());
    this.#idleTimer.set(time);
  }

  #closeUnused(): void {
    const isLast = this.#idleTime === LAST_IDLE_TIME;
    this.#idleTime = 0;
    if (this.taken === this.#takenBefore) {
      const half = this.#spares.length >> 1;
      this.#shrink(half || (isLast ? 0 : 1));
    }
    if (this.#spares.length > 0) this.#checkUse();
  }

  #shrink(keep: number): void {
    // The spare channels that calls have left do not raise the target.
    this.#target = Math.min(this.#target, keep);
    const spares = this.#spares;
    // The newest stay: they are used first.
    for (const channel of spares.splice(0, spares.length - keep)) {
      channel.discard();
    }
  }

  // --- The queue --------------------------------------------------------------

  #mayOpen({ nested, queue }: ChannelRequest): boolean {
    const { openable, outgoingSlots } = this.#session.channels;
    const hasRoom = outgoingSlots < this.#room;
    // One that the peer has refused waits for room there, as the others do.
    if (nested && (queue === undefined || hasRoom)) return openable > 0;
    // Calls that waited for longer come first.
    const isNext = queue === undefined
      ? this.#queued === 0
      : queue === this.#urgent || this.#urgent.length === 0;
    return isNext && openable > this.#reserved && hasRoom;
  }

  #open(request: ChannelRequest): void {
    this.#waiting++;
    if (this.#session.opensWait) this.#lateOpens.add(request);
    this.#session.openRaw(request);
  }

  #waitsNoLonger(request: ChannelRequest): void {
    this.#waiting--;
    this.#lateOpens.delete(request);
  }

  /** The channel of a request is open. */
  opened(request: ChannelRequest, channel: RawChannel): void {
    this.#waitsNoLonger(request);
    this.#confirmed = true;
    this.#allowOneMore();
    this.#begin();
    request.opened(channel);
  }

  /** No channel could be opened for a request. */
  failed(request: ChannelRequest, error: unknown): void {
    this.#waitsNoLonger(request);
    if (!this.#isFull(error)) return request.failed(error);
    // One that has opened meanwhile may be all that takes the room: then no other
    // channel would ever close.
    const spare = this.#takeSpare();
    if (spare === undefined) this.#wait(request, this.#urgent);
    else request.opened(spare);
    this.#shrink(0);
  }

  /** The peer, which has refused a channel, may have room for another by now. */
  #allowOneMore(): void {
    this.#room = Math.max(this.#room, this.#openAtPeer + 1);
  }

  /** Channels of this side that the peer has confirmed. */
  get #openAtPeer(): number {
    const { outgoingSlots } = this.#session.channels;
    return outgoingSlots - this.#waiting - this.#opening;
  }

  /**
   * Whether there is no channel because this side has no memory for another one,
   * or the peer no room. That changes when a channel closes or is given back.
   */
  #isFull(error: unknown): boolean {
    if (!(error instanceof MuxError) || this.#session.ended) return false;
    if (error.code === "limit-exceeded") {
      return this.#session.usage.slots > 0;
    }
    const open = this.#openAtPeer;
    if (error.code !== "open-refused" || open <= 0) return false;
    this.#room = open;
    return true;
  }

  #enqueue(request: ChannelRequest): void {
    const { maxQueuedCalls, maxQueuedCallSize } = this.#limits;
    if (this.#queued >= maxQueuedCalls) {
      return request.failed(
        full(`${this.#queued} calls wait, the limit of "maxQueuedCalls"`),
      );
    }
    if (this.#queuedSize + request.size > maxQueuedCallSize) {
      return request.failed(
        full(
          `they hold ${this.#queuedSize} bytes of ${maxQueuedCallSize} (option "maxQueuedCallSize")`,
        ),
      );
    }
    this.#wait(request, request.nested ? this.#urgent : this.#queue);
  }

  #wait(request: ChannelRequest, queue: Fifo<ChannelRequest>): void {
    queue.push(request);
    this.#queued++;
    this.#queuedSize += request.size;
    if (request.nested) {
      const { callQueueTimeout } = this.#limits;
      request.cancelLimit = startTimer(callQueueTimeout, () => {
        const why =
          `no channel was free within ${callQueueTimeout} ms (option "callQueueTimeout")`;
        this.cancel(request, full(why));
      });
    }
    this.#watch();
  }

  #leave(request: ChannelRequest): void {
    request.queue!.remove(request);
    this.#queued--;
    this.#queuedSize -= request.size;
    request.cancelLimit?.();
  }

  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    void this.#session.channels.whenSlotFreed().then(() => {
      this.#watching = false;
      this.#startQueued();
      if (this.#queued > 0) this.#watch();
    });
  }

  /** Gives channels to the calls in the queue, as far as there are any. */
  #startQueued(): void {
    for (;;) {
      const next = this.#urgent.first ?? this.#queue.first;
      if (next === undefined) return;
      const spare = this.#takeSpare();
      if (
        spare === undefined && !this.#session.ended && !this.#mayOpen(next)
      ) return;
      this.#leave(next);
      if (spare !== undefined) next.opened(spare);
      else {
        this.#open(next);
        // There was no memory for a channel, so the call waits again.
        if (next.queue !== undefined) return;
      }
    }
  }
}

/** The defaults of {@linkcode QueueLimits}. */
export const DEFAULT_QUEUE_LIMITS: QueueLimits = Object.freeze({
  maxQueuedCalls: 16_384,
  maxQueuedCallSize: 16 * 1024 * 1024,
  callQueueTimeout: 10_000,
});

function full(why: string): RpcError {
  return new RpcError("limit-exceeded", `Cannot make call: ${why}`);
}

/**
 * A caller that makes its calls on the channels of a pool. `forward()` takes
 * channels from the same pool, to send calls on without decoding them.
 */
export interface PooledCaller extends Caller {
  /** The channels for calls. */
  readonly [channelPool]: ChannelPool;
}

/** The channel pool of a caller, if it has one. */
export function poolOf(caller: Caller): ChannelPool | undefined {
  return (caller as Partial<PooledCaller> | undefined)?.[channelPool];
}

import type { RawChannel, RawSession } from "../../mux/internal.ts";
import { timeLimit } from "../../time_limit.ts";
import type { Caller } from "../types.ts";

/**
 * How many spare channels may be kept open if few calls run at the same time.
 * In qtalk-go, each is a waiting goroutine, and a line in the log when the session
 * ends.
 */
export const FEW_SPARE_CHANNELS = 64;
/**
 * How many spare channels may be kept open if as many calls had to wait for a
 * channel at the same time: a quarter of the channels that a peer of this package
 * allows by default.
 */
export const MAX_SPARE_CHANNELS = 512;
/** Milliseconds without a call after which half of the spares are closed. */
const IDLE_TIME = 1_000;

/**
 * Opens channels before calls need them, so that a call costs one round trip
 * instead of two.
 *
 * No spare channel is opened before the peer has confirmed a channel that was
 * needed: a Go client that answers no calls accepts no channels, and an OPEN
 * blocks its read loop. None is opened either before a response has shown that
 * the peer is not one of the JavaScript peers that break on a channel without a
 * call: see {@linkcode allowSpares}.
 *
 * The number of spares follows use. A call that finds none doubles it, up to
 * {@linkcode FEW_SPARE_CHANNELS} or the number of calls that wait for a channel.
 * A second without calls halves it.
 */
export class ChannelPool {
  readonly #session: RawSession;
  readonly #spares: RawChannel[] = [];
  #opening = 0;
  /** Calls that wait for a channel. */
  #waiting = 0;
  #target = 0;
  #confirmed = false;
  #allowed = false;
  /** Cancels the check for a second without calls, if one is pending. */
  #cancelIdleCheck: (() => void) | undefined;
  #taken = false;

  /** Makes a pool for the calls of one session. */
  constructor(session: RawSession) {
    this.#session = session;
    const stop = () => {
      this.#cancelIdleCheck?.();
      this.#target = -1;
    };
    session.closed.then(stop, stop);
  }

  /** How many channels that no call has taken are open or being opened. */
  get unused(): number {
    const open = this.#spares.filter((spare) =>
      !spare.peerClosed && !spare.ended
    );
    return open.length + this.#opening;
  }

  /** Takes a channel that is already open, if there is one. */
  take(): RawChannel | undefined {
    this.#taken = true;
    for (;;) {
      // Oldest first: the peer measures the round trip when a channel is first
      // used, so none should stay unused indefinitely.
      const channel = this.#spares.shift();
      // The peer may have closed an idle channel.
      if (channel !== undefined && (channel.peerClosed || channel.ended)) {
        channel.discard();
        continue;
      }
      if (channel !== undefined || this.#target > 0) {
        if (channel === undefined) this.#grow();
        this.#refill();
      }
      return channel;
    }
  }

  /** Opens a channel for a call that found none. */
  open(
    opened: (channel: RawChannel) => void,
    failed: (error: unknown) => void,
  ): void {
    this.#waiting++;
    this.#session.openRaw((channel) => {
      this.#waiting--;
      this.#confirmed = true;
      this.#begin();
      opened(channel);
    }, (error) => {
      this.#waiting--;
      failed(error);
    });
  }

  /** Whether the peer is known to cope with channels without a call. */
  get allowsSpares(): boolean {
    return this.#allowed;
  }

  /** The peer can cope with channels that end without a call. */
  allowSpares(): void {
    if (this.#allowed) return;
    this.#allowed = true;
    this.#begin();
  }

  #begin(): void {
    if (!this.#allowed || !this.#confirmed || this.#target !== 0) return;
    this.#target = 1;
    this.#refill();
  }

  #grow(): void {
    const most = Math.max(FEW_SPARE_CHANNELS, this.#waiting);
    this.#target = Math.min(MAX_SPARE_CHANNELS, most, this.#target * 2);
  }

  #refill(): void {
    while (
      this.#spares.length + this.#opening < this.#target &&
      // The other slots are for calls, including those of the peer.
      !this.#session.crowded
    ) {
      this.#opening++;
      this.#session.openRaw((channel) => {
        this.#opening--;
        this.#spares.push(channel);
        this.#checkUse();
      }, () => {
        // Calls will get the reason themselves.
        this.#opening--;
        this.#target = Math.min(this.#target, this.#spares.length);
      });
    }
  }

  #checkUse(): void {
    if (this.#cancelIdleCheck !== undefined || this.#target < 0) return;
    this.#taken = false;
    this.#cancelIdleCheck = timeLimit(IDLE_TIME, () => {
      this.#cancelIdleCheck = undefined;
      if (!this.#taken) this.#shrink();
      if (this.#spares.length > 0) this.#checkUse();
    });
  }

  #shrink(): void {
    const keep = this.#spares.length >> 1;
    this.#target = keep;
    for (const channel of this.#spares.splice(keep)) channel.discard();
  }
}

/** The key of a caller's channel pool. */
export const channelPool: unique symbol = Symbol("qtalk.channelPool");

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
  return (caller as Partial<PooledCaller>)[channelPool];
}

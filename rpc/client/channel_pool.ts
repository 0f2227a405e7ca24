import type { RawChannel, RawSession } from "../../mux/internal.ts";
import { timeLimit } from "../../time_limit.ts";

/**
 * Channels that may be kept open ahead of need however few calls there are. At
 * the reference each is a goroutine that waits, and a line in its log when the
 * session ends.
 */
export const FEW_SPARE_CHANNELS = 64;
/**
 * The most that are kept open ahead of need, where as many calls had to wait
 * for a channel at once: a quarter of the channels that our other end allows.
 */
export const MAX_SPARE_CHANNELS = 512;
/** Milliseconds without a call after which half of the spares are closed. */
const IDLE = 1_000;

/**
 * Channels opened before a call needs them, so that it costs one round trip
 * and not two.
 *
 * None is opened before the peer has confirmed one that was needed: a Go client
 * that does not answer calls accepts nothing, and an OPEN stops its read loop.
 * Nor before a response has shown that it is not one of the JavaScript peers,
 * which break on a channel that ends without a call: see
 * {@linkcode allowSpares}.
 * How many there are follows use: a call that finds none doubles them, up to
 * {@linkcode FEW_SPARE_CHANNELS} or the calls that wait for a channel; a second
 * without calls halves them.
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
  /** Ends the wait for a second without calls, if there is one. */
  #endWatch: (() => void) | undefined;
  #taken = false;

  /** Makes a pool for the calls of one session. */
  constructor(session: RawSession) {
    this.#session = session;
    const stop = () => {
      this.#endWatch?.();
      this.#target = -1;
    };
    session.closed.then(stop, stop);
  }

  /** How many channels are open, or being opened, that no call has taken. */
  get unused(): number {
    const open = this.#spares.filter((spare) =>
      !spare.peerClosed && !spare.ended
    );
    return open.length + this.#opening;
  }

  /** A channel that is open already, if there is one. */
  take(): RawChannel | undefined {
    this.#taken = true;
    for (;;) {
      // In turn: one that lies at the bottom for ever would tell the other end
      // nothing about the round trip, which it measures on its first use.
      const channel = this.#spares.shift();
      // The peer may have closed one that it found idle.
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

  /** Whether the peer is known to take channels that may end without a call. */
  get allowsSpares(): boolean {
    return this.#allowed;
  }

  /** The peer can have channels that may end without a call. */
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
      // The rest is for calls, the other end's too: these count there as well.
      !this.#session.crowded
    ) {
      this.#opening++;
      this.#session.openRaw((channel) => {
        this.#opening--;
        this.#spares.push(channel);
        this.#watchUse();
      }, () => {
        // Refused, or the session is over: calls will hear it themselves.
        this.#opening--;
        this.#target = Math.min(this.#target, this.#spares.length);
      });
    }
  }

  #watchUse(): void {
    if (this.#endWatch !== undefined || this.#target < 0) return;
    this.#taken = false;
    this.#endWatch = timeLimit(IDLE, () => {
      this.#endWatch = undefined;
      if (!this.#taken) this.#shrink();
      if (this.#spares.length > 0) this.#watchUse();
    });
  }

  #shrink(): void {
    const keep = this.#spares.length >> 1;
    this.#target = keep;
    for (const channel of this.#spares.splice(keep)) channel.discard();
  }
}

const channels: unique symbol = Symbol("qtalk.channels");

/** Lets handlers forward calls to a caller, on its channels. */
export function lendChannels(caller: object, pool: ChannelPool): void {
  // No part of its type: nobody else has to know.
  Object.defineProperty(caller, channels, { value: pool });
}

/** The channels of a caller, if it makes its calls on any. */
export function channelsOf(caller: object): ChannelPool | undefined {
  return (caller as { [channels]?: ChannelPool })[channels];
}

import type { Channel } from "../../../mux/internal.ts";
import { isRawChannel, pipe, splice } from "../../../mux/internal_server.ts";
import { refusal } from "../wire.ts";
import type { Registration, Share } from "./names.ts";
import type { RendezvousLimits } from "./options.ts";

/**
 * Milliseconds without a byte after which a relayed connection gives way to another
 * one. Peers end a session themselves after 28 s of silence, and ask before that.
 */
const RELAY_SILENCE = 30_000;

/** A connection that is relayed, or is about to be. */
export interface Relay {
  /** The listening peer. */
  readonly to: Registration;
  /** The session that dials. */
  readonly own: Share;
  /** When a byte has passed last. */
  last: number;
  /** Ends it; undefined while it has not begun. */
  end?: (error: Error) => void;
}

/** The connections that are relayed. */
export class Relays {
  readonly #limits: RendezvousLimits;
  readonly #now: () => number;
  readonly #relays = new Set<Relay>();
  /** How many there have been. */
  #total = 0;
  /** Bytes that have passed, in both directions together. */
  #bytes = 0;

  /** Makes an empty table. */
  constructor(limits: RendezvousLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many there are and have been, and the bytes that have passed. */
  get stats(): { relays: number; relaysTotal: number; relayedBytes: number } {
    return {
      relays: this.#relays.size,
      relaysTotal: this.#total,
      relayedBytes: this.#bytes,
    };
  }

  /**
   * Counts a new relay. If there are too many, a silent one gives way.
   *
   * @throws {CallError} if there are too many
   */
  begin(to: Registration, own: Share): Relay {
    const { maxRelays, maxRelaysPerName, maxRelaysPerSession } = this.#limits;
    const isFullFor = () => to.relays >= maxRelaysPerName;
    const isFull = () => this.#relays.size >= maxRelays || isFullFor();
    const hasShare = own.relays < maxRelaysPerSession;
    if (hasShare && isFull()) this.#endSilent(isFullFor() ? to : undefined);
    if (!hasShare || isFull()) {
      throw refusal("limit-exceeded", "too many relays now");
    }
    const relay: Relay = { to, own, last: this.#now() };
    this.#relays.add(relay);
    this.#total++;
    to.relays++;
    own.relays++;
    return relay;
  }

  /** Passes bytes on in both directions, up to the limit; resolves at the end. */
  async pass(relay: Relay, near: Channel, far: Channel): Promise<void> {
    if (!isRawChannel(near) || !isRawChannel(far)) {
      return await splice(near, far);
    }
    const end = relay.end = (error: Error) => {
      near.abort(error);
      far.abort(error);
    };
    let left = this.#limits.maxRelayedSize;
    const count = ({ length }: Uint8Array) => {
      this.#bytes += length;
      relay.last = this.#now();
      left -= length;
      if (left < 0) end(new Error("the limit of the relay is reached"));
    };
    await Promise.all([pipe(near, far, count), pipe(far, near, count)]);
    await Promise.allSettled([near.closed, far.closed]);
  }

  /** Forgets a relay that has ended. */
  forget(relay: Relay): void {
    if (!this.#relays.delete(relay)) return;
    relay.to.relays--;
    relay.own.relays--;
  }

  /** Ends the relay that has been silent for longest, if it has been for long. */
  #endSilent(to: Registration | undefined): void {
    const [oldest] = [...this.#relays]
      .filter((relay) =>
        relay.end !== undefined && relay.to === (to ?? relay.to)
      )
      .sort((one, other) => one.last - other.last);
    if (oldest === undefined) return;
    if (this.#now() - oldest.last < RELAY_SILENCE) return;
    this.forget(oldest);
    oldest.end!(new Error("nothing has passed, and others need the relay"));
  }
}

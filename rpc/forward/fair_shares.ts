import { Fifo, type Queued } from "../../queue.ts";

/** A call that has its place, or waits for one. */
export class Place implements Queued<Place> {
  queue: Fifo<Place> | undefined;
  previous: Place | undefined;
  next: Place | undefined;
  /** Whether the call has its place. */
  begun = false;
  /** Called when it is the turn of a call that waits. */
  onTurn: (() => void) | undefined;
  readonly client: object;

  /** Makes the place of a call of `client`. */
  constructor(client: object) {
    this.client = client;
  }
}

/** The calls of one client. */
class Share {
  running = 0;
  readonly waiting = new Fifo<Place>();
}

/** One place in this many is kept for clients to come. */
const RESERVED_PART = 8;

/**
 * Divides a limited number of places among clients whose number is not known in
 * advance. A client alone may take all but an eighth, which is there for the next
 * one at once, though the first never gives a place back. While others wait, a client
 * gets another of these only if it has fewer than an equal share. Of the eighth, a
 * client may take a place while it has fewer than are free, so several further clients
 * find a place, though no client gives one back. Clients that wait take turns.
 *
 * If places are few, they are what the target can do at once, and none is kept: a
 * client gets all that no other one waits for.
 */
export class FairShares {
  readonly #limit: () => number;
  readonly #areFew: boolean;
  readonly #shares = new Map<object, Share>();
  #running = 0;
  #waiting = 0;

  /**
   * Makes shares of the places that `limit` returns, which may change.
   *
   * @param areFew whether none is kept for clients to come. Default: some are
   */
  constructor(limit: () => number, areFew = false) {
    this.#limit = limit;
    this.#areFew = areFew;
  }

  /** Takes a place for a call and returns true, or lets the call wait for one. */
  join(place: Place): boolean {
    let share = this.#shares.get(place.client);
    if (share === undefined) {
      share = new Share();
      this.#shares.set(place.client, share);
    }
    if (
      share.waiting.length === 0 && this.#mayBegin(share, this.#limit())
    ) {
      this.#take(place, share);
      return true;
    }
    share.waiting.push(place);
    this.#waiting++;
    return false;
  }

  /** A call has ended, or no longer waits; it may have left already. */
  leave(place: Place): void {
    const share = this.#shares.get(place.client);
    if (share === undefined) return;
    if (place.queue !== undefined) {
      place.queue.remove(place);
      this.#waiting--;
    } else if (place.begun) {
      place.begun = false;
      share.running--;
      this.#running--;
    } else return;
    if (share.running === 0 && share.waiting.length === 0) {
      this.#shares.delete(place.client);
    }
    this.recheck();
  }

  /** Begins calls that wait: there may be more places than before. */
  recheck(): void {
    if (this.#waiting === 0) return;
    const limit = this.#limit();
    let hasBegun: boolean;
    do {
      hasBegun = false;
      for (const [client, share] of this.#shares) {
        const { first } = share.waiting;
        if (first === undefined || !this.#mayBegin(share, limit)) continue;
        hasBegun = true;
        share.waiting.remove(first);
        this.#waiting--;
        this.#take(first, share);
        // The client's next turn is after those of all others.
        this.#shares.delete(client);
        this.#shares.set(client, share);
        first.onTurn?.();
      }
      // One that was passed over may be the only one that waits now.
    } while (hasBegun);
  }

  #mayBegin({ running, waiting }: Share, limit: number): boolean {
    const free = limit - this.#running;
    if (this.#areFew) return free > 0;
    const shared = limit - Math.ceil(limit / RESERVED_PART);
    const isAlone = waiting.length === this.#waiting;
    return running < free ||
      this.#running < shared &&
        (isAlone || running * this.#shares.size < shared);
  }

  #take(place: Place, share: Share): void {
    place.begun = true;
    share.running++;
    this.#running++;
  }
}

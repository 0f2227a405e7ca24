import { backgroundTimer } from "../../time_limit.ts";

/** Milliseconds between two looks at what waits. */
const LOOK_TIME = 25;
/**
 * Looks after which it leaves, so that it waits for 75 to 100 ms: with a thousand
 * connections, as many calls may pass before the next one over the same connection.
 */
const LOOKS = 4;
/** Writes that leave at one look: others that are ready must not wait for more. */
const MOST_AT_ONCE = 64;

/** What writes, and may defer a write. */
export interface DeferringWriter {
  /** The number of the look before which it began to wait; -1 while nothing waits. */
  deferredAt: number;
  /** Whether {@linkcode DeferredWrites} looks at it. */
  isWatched: boolean;
  /** Writes what has waited for as long as it may. */
  deferralExpired(): void;
}

/**
 * Frames that nothing depends on wait here for the next write of their session, so
 * that they need none of their own: of the three writes of a call that is the only
 * one of its connection, one had been for the five bytes of its last CLOSE. They do
 * not wait for longer than 100 ms.
 *
 * The sessions of a pool share one timer, and so a busy server or client has one.
 */
export class DeferredWrites {
  readonly #timer: typeof backgroundTimer;
  #watched: DeferringWriter[] = [];
  /** How many of them wait. */
  #waiting = 0;
  #look = 0;
  #cancel: (() => void) | undefined;
  #begun = false;

  /** Looks at nothing yet; tests bring their own timer. */
  constructor(timer: typeof backgroundTimer = backgroundTimer) {
    this.#timer = timer;
  }

  /** Something of `writer` begins to wait. */
  add(writer: DeferringWriter): void {
    writer.deferredAt = this.#look;
    this.#waiting++;
    if (writer.isWatched) return;
    writer.isWatched = true;
    this.#watched.push(writer);
    if (this.#cancel === undefined) this.#set(LOOK_TIME, this.#next);
  }

  /** It waits no longer. */
  delete(writer: DeferringWriter): void {
    writer.deferredAt = -1;
    this.#waiting--;
  }

  /** A writer has ended: without any that wait, there is no timer. */
  writerEnded(): void {
    if (this.#waiting > 0 || this.#cancel === undefined) return;
    this.#cancel();
    this.#cancel = undefined;
    for (const writer of this.#watched) writer.isWatched = false;
    this.#watched = [];
  }

  #set(ms: number, expire: () => void): void {
    this.#cancel = this.#timer(ms, expire, !this.#begun);
    this.#begun = true;
  }

  readonly #next = (): void => {
    this.#look++;
    this.#send();
  };

  readonly #send = (): void => {
    if (this.#cancel === undefined) return;
    this.#cancel = undefined;
    const watched = this.#watched;
    let kept = 0;
    let sent = 0;
    for (const writer of watched) {
      const since = writer.deferredAt;
      const isDue = since >= 0 && this.#look - since >= LOOKS;
      if (since >= 0 && !(isDue && sent < MOST_AT_ONCE)) {
        watched[kept++] = writer;
        continue;
      }
      writer.isWatched = false;
      if (!isDue) continue;
      sent++;
      writer.deferralExpired();
    }
    watched.length = kept;
    if (kept === 0) return;
    // Those that are left over are due as well.
    if (sent === MOST_AT_ONCE) this.#set(1, this.#send);
    else this.#set(LOOK_TIME, this.#next);
  };
}

/**
 * Sessions without a pool share these, so that a client of a thousand servers has
 * one timer, too. It holds nothing while nothing waits.
 */
export const DEFERRED_WRITES: DeferredWrites = new DeferredWrites();

import { Queue } from "../../queue.ts";
import { MuxError } from "../errors.ts";

/** A `next()` of an iterator that waits for a channel. */
interface Waiter<T> {
  /** The iterator. */
  owner: object;
  /** Called once: with undefined if there is no next channel. */
  resolve(channel: T | undefined): void;
}

/**
 * The OPENs of the peer that the application has not accepted yet. It accepts
 * them by one handler or by any number of iterators; until then they wait, up to
 * a limit.
 *
 * An OPEN becomes a channel, by `accept`, when the application takes it.
 */
export class AcceptQueue<Open, Accepted> {
  readonly #limit: number;
  readonly #accept: (open: Open, waited: boolean) => Accepted;
  // Both are made when something waits: with a handler, nothing ever does.
  #opens: Queue<Open> | undefined;
  #waiters: Queue<Waiter<Accepted>> | undefined;
  #handler: ((channel: Accepted) => void) | undefined;
  #ended = false;

  /**
   * Makes an empty queue.
   *
   * @param limit OPENs that may wait
   * @param accept makes the channel of an OPEN; `waited` tells whether the OPEN
   * was in the queue
   */
  constructor(
    limit: number,
    accept: (open: Open, waited: boolean) => Accepted,
  ) {
    this.#limit = limit;
    this.#accept = accept;
  }

  /** OPENs that wait. */
  get length(): number {
    return this.#opens?.length ?? 0;
  }

  /** Takes an OPEN; returns false if the queue is full. */
  push(open: Open): boolean {
    const waiter = this.#waiters?.shift();
    if (waiter !== undefined) waiter.resolve(this.#accept(open, false));
    else if (this.#handler) this.#handler(this.#accept(open, false));
    else if (this.length < this.#limit) {
      (this.#opens ??= new Queue()).push(open);
    } else return false;
    return true;
  }

  /**
   * Passes every channel to `handler`, beginning with those that wait.
   *
   * @throws {MuxError} `invalid-state` if there is a handler or an iterator
   * waits
   */
  handle(handler: (channel: Accepted) => void): void {
    if (this.#handler !== undefined || this.#waiters?.length) {
      throw new MuxError(
        "invalid-state",
        `Cannot accept channels: ${
          this.#handler === undefined
            ? "the session is being iterated"
            : "there is a handler already"
        }`,
      );
    }
    this.#handler = handler;
    let open = this.#opens?.shift();
    while (open !== undefined) {
      handler(this.#accept(open, true));
      open = this.#opens?.shift();
    }
  }

  /**
   * Iterates over the channels until {@linkcode end}. Iterators share them: each
   * channel goes to one.
   *
   * @throws {MuxError} `invalid-state` if there is a handler
   */
  iterate(): AsyncIterator<Accepted, undefined> {
    this.#checkNoHandler();
    const owner = {};
    let returned = false;
    return {
      next: async () => {
        if (returned) return done();
        this.#checkNoHandler();
        const value = await this.#next(owner);
        return value === undefined ? done() : { done: false, value };
      },
      return: () => {
        returned = true;
        this.#dismiss((waiter) => waiter.owner === owner);
        return Promise.resolve(done());
      },
    };
  }

  /** Ends all iterators and drops the OPENs that wait; returns them. */
  end(): Open[] {
    this.#ended = true;
    const dropped = [...this.#opens ?? []];
    this.#opens = undefined;
    this.#dismiss(() => true);
    return dropped;
  }

  #checkNoHandler(): void {
    if (this.#handler === undefined) return;
    throw new MuxError(
      "invalid-state",
      "Cannot iterate session: a handler accepts its channels",
    );
  }

  #next(owner: object): Promise<Accepted | undefined> {
    return new Promise((resolve) => {
      const open = this.#opens?.shift();
      if (open !== undefined) resolve(this.#accept(open, true));
      else if (this.#ended) resolve(undefined);
      else (this.#waiters ??= new Queue()).push({ owner, resolve });
    });
  }

  #dismiss(predicate: (waiter: Waiter<Accepted>) => boolean): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const waiter of waiters ?? []) {
      if (predicate(waiter)) waiter.resolve(undefined);
      else (this.#waiters ??= new Queue()).push(waiter);
    }
  }
}

function done(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}

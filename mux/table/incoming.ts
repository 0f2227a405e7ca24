import { MuxError } from "../errors.ts";

/** Who waits for the next channel. */
interface Taker<T> {
  /** The iterator that it belongs to. */
  owner: object;
  /** Called once; with nothing when there is no next. */
  take(item: T | undefined): void;
}

/**
 * Hands what comes in to whoever takes it: one handler, or any number of
 * iterators; until one of them is there it waits, up to a limit.
 *
 * What waits is an offer. It becomes an item, by `admit`, in the moment that
 * somebody takes it.
 */
export class Incoming<Offer, Item> {
  readonly #limit: number;
  readonly #admit: (offer: Offer, waited: boolean) => Item;
  #offers: Offer[] = [];
  #takers: Taker<Item>[] = [];
  #handler: ((item: Item) => void) | undefined;
  #ended = false;

  /**
   * Makes an empty one.
   *
   * @param limit offers that may wait
   * @param admit makes an item of an offer, and is told whether it waited
   */
  constructor(
    limit: number,
    admit: (offer: Offer, waited: boolean) => Item,
  ) {
    this.#limit = limit;
    this.#admit = admit;
  }

  /** Offers that wait. */
  get waiting(): number {
    return this.#offers.length;
  }

  /** Hands an offer on, or keeps it; false if there is no room. */
  offer(offer: Offer): boolean {
    const taker = this.#takers.shift();
    if (taker !== undefined) taker.take(this.#admit(offer, false));
    else if (this.#handler) this.#handler(this.#admit(offer, false));
    else if (this.#offers.length < this.#limit) this.#offers.push(offer);
    else return false;
    return true;
  }

  /**
   * Gives every item to `handler`, those that wait first.
   *
   * @throws {MuxError} `invalid-state` if somebody else takes them
   */
  handle(handler: (item: Item) => void): void {
    if (this.#handler !== undefined || this.#takers.length > 0) {
      throw new MuxError(
        "invalid-state",
        "Cannot accept channels: somebody else does",
      );
    }
    this.#handler = handler;
    for (const offer of this.#offers.splice(0)) {
      handler(this.#admit(offer, true));
    }
  }

  /**
   * Gives items to whoever calls `next()`, until {@linkcode end}. Iterators
   * share what there is.
   *
   * @throws {MuxError} `invalid-state` if there is a handler
   */
  iterate(): AsyncIterator<Item, undefined> {
    this.#checkFree();
    const owner = {};
    let left = false;
    return {
      next: async () => {
        if (left) return over();
        this.#checkFree();
        const value = await this.#next(owner);
        return value === undefined ? over() : { done: false, value };
      },
      return: () => {
        left = true;
        this.#dismiss((taker) => taker.owner === owner);
        return Promise.resolve(over());
      },
    };
  }

  /** Nothing comes any more: iterations end, and offers are forgotten. */
  end(): void {
    this.#ended = true;
    this.#offers = [];
    this.#dismiss(() => true);
  }

  #checkFree(): void {
    if (this.#handler === undefined) return;
    throw new MuxError(
      "invalid-state",
      "Cannot iterate session: its channels belong to a handler",
    );
  }

  #next(owner: object): Promise<Item | undefined> {
    return new Promise((take) => {
      const offer = this.#offers.shift();
      if (offer !== undefined) take(this.#admit(offer, true));
      else if (this.#ended) take(undefined);
      else this.#takers.push({ owner, take });
    });
  }

  #dismiss(which: (taker: Taker<Item>) => boolean): void {
    const dismissed = this.#takers.filter(which);
    this.#takers = this.#takers.filter((taker) => !which(taker));
    for (const taker of dismissed) taker.take(undefined);
  }
}

function over(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}

/** Items taken before the room that they occupied is reclaimed. */
const MIN_TAKEN = 32;

/**
 * A first-in, first-out queue. `Array.prototype.shift()` moves all other items of
 * a long array, so that emptying one takes quadratic time; here each item costs
 * amortised constant time.
 */
export class Queue<T> {
  /** Items that were taken, as `undefined`, and then those that wait. */
  #items: (T | undefined)[] = [];
  #taken = 0;

  /** Items that wait. */
  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The first item; undefined if there is none. */
  get first(): T | undefined {
    return this.#items[this.#taken];
  }

  /** The last item; undefined if there is none. */
  get last(): T | undefined {
    return this.#items[this.#items.length - 1];
  }

  /** Adds an item at the end. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes the first item; undefined if there is none. */
  shift(): T | undefined {
    const items = this.#items;
    const taken = this.#taken;
    if (taken === items.length) return undefined;
    // This keeps the room of a queue that has one item at a time.
    if (items.length === 1) return items.pop();
    const item = items[taken];
    if (taken + 1 === items.length) this.clear();
    else if (taken >= MIN_TAKEN && taken * 2 >= items.length) {
      items.splice(0, taken + 1);
      this.#taken = 0;
    } else {
      // The item must not be kept alive.
      items[taken] = undefined;
      this.#taken = taken + 1;
    }
    return item;
  }

  /** Replaces the first item of a queue that has one. */
  replaceFirst(item: T): void {
    this.#items[this.#taken] = item;
  }

  /** Replaces the last item of a queue that has one. */
  replaceLast(item: T): void {
    this.#items[this.#items.length - 1] = item;
  }

  /** Removes the first item for which `predicate` holds, in linear time. */
  remove(predicate: (item: T) => boolean): T | undefined {
    const items = this.#items;
    for (let at = this.#taken; at < items.length; at++) {
      const item = items[at] as T;
      if (!predicate(item)) continue;
      items.splice(at, 1);
      return item;
    }
    return undefined;
  }

  /** Removes all items. */
  clear(): void {
    this.#items.length = 0;
    this.#taken = 0;
  }

  /** Iterates over the items that wait, without taking them. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let at = this.#taken; at < this.#items.length; at++) {
      yield this.#items[at] as T;
    }
  }
}

/** A member of a {@linkcode Fifo}: the links are its own, so it costs no object. */
export interface Queued<T extends Queued<T>> {
  /** The queue that it is in; undefined if it is in none. */
  queue: Fifo<T> | undefined;
  /** The member before it. */
  previous: T | undefined;
  /** The member after it. */
  next: T | undefined;
}

/** A queue whose members can leave it from any place, in constant time. */
export class Fifo<T extends Queued<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #length = 0;

  /** How many members there are. */
  get length(): number {
    return this.#length;
  }

  /** The member that has waited longest. */
  get first(): T | undefined {
    return this.#first;
  }

  /** Adds a member, which is in no queue, at the end. */
  push(member: T): void {
    member.queue = this;
    member.previous = this.#last;
    member.next = undefined;
    if (this.#last === undefined) this.#first = member;
    else this.#last.next = member;
    this.#last = member;
    this.#length++;
  }

  /** Removes a member of this queue. */
  remove(member: T): void {
    const { previous, next } = member;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    member.queue = undefined;
    member.previous = undefined;
    member.next = undefined;
    this.#length--;
  }

  /** Removes the member that has waited longest, and returns it. */
  shift(): T | undefined {
    const first = this.#first;
    if (first !== undefined) this.remove(first);
    return first;
  }
}

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

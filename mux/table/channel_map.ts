/** What the map holds: it knows its own number, an unsigned 32-bit integer. */
interface Numbered {
  readonly id: number;
}

/** Slots of an empty map; a power of two. */
const MIN_SLOTS = 8;

/**
 * Channels by their numbers, where thousands come and go each second.
 *
 * Not a `Map`: it moves to a new table every so many deletions, and V8's old
 * tables point to the new ones. Once the first of them has grown old, each
 * minor collection keeps all that the later ones held, and copies it, until the
 * next major one: a third of the time with 1,000 calls in flight
 * (tests/bench/LOG.md).
 *
 * Open addressing with linear probing. At most half of the slots are taken, and
 * numbers are scattered over them, in each map otherwise: a peer that chooses
 * which channels stay open, or asks for numbers that are not there, makes
 * nobody search for long.
 */
export class ChannelMap<T extends Numbered> {
  #slots = emptySlots<T>(MIN_SLOTS);
  readonly #seed = Math.floor(Math.random() * 2 ** 32);
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The one of that number, if it is there. */
  get(id: number): T | undefined {
    return this.#slots[this.#find(id)];
  }

  /** Whether it is there. */
  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  /** Adds one whose number is not there yet. */
  add(item: T): void {
    if (++this.#size * 2 > this.#slots.length) {
      this.#resize(this.#slots.length * 2);
    }
    this.#slots[this.#find(item.id)] = item;
  }

  /** Removes the one of that number, if it is there. */
  delete(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = this.#find(id);
    if (slots[gap] === undefined) return;
    // Those behind it move up, unless that puts them in front of their place:
    // a search ends at the first gap.
    for (let at = (gap + 1) & mask;; at = (at + 1) & mask) {
      const item = slots[at];
      if (item === undefined) break;
      const home = this.#home(item.id);
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      slots[gap] = item;
      gap = at;
    }
    slots[gap] = undefined;
    this.#size--;
    if (slots.length > MIN_SLOTS && this.#size * 8 < slots.length) {
      this.#resize(slots.length / 2);
    }
  }

  /** All of them, as they are now, in no order. */
  values(): T[] {
    return this.#slots.filter((item) => item !== undefined);
  }

  #home(id: number): number {
    return scatter(id ^ this.#seed) & (this.#slots.length - 1);
  }

  /** Where the number is, or the gap where it would be. */
  #find(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = this.#home(id);
    for (;;) {
      const item = slots[at];
      if (item === undefined || item.id === id) return at;
      at = (at + 1) & mask;
    }
  }

  #resize(length: number): void {
    const items = this.values();
    this.#slots = emptySlots(length);
    for (const item of items) this.#slots[this.#find(item.id)] = item;
  }
}

/** A permutation of 32 bits in which each depends on all (MurmurHash3's last step). */
function scatter(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function emptySlots<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined);
}

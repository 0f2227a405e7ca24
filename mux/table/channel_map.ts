import { MAX_UINT32 } from "../../uint32.ts";

/**
 * The channel IDs that one side assigns. They count up and wrap after 2^32 - 1. A
 * late frame for a channel that has just closed must not reach another, so the
 * lowest free ID is not reused.
 */
export class ChannelIds {
  #next: number;
  #wrapped = false;

  /** Starts with the ID `first`. */
  constructor(first = 0) {
    this.#next = first;
  }

  /** Takes the next ID that is not in use. */
  take(inUse: { get(id: number): unknown }): number {
    for (;;) {
      const id = this.#next;
      if (id === MAX_UINT32) this.#wrapped = true;
      this.#next = (id + 1) >>> 0;
      // Before the IDs have wrapped, none is in use twice.
      if (!this.#wrapped || inUse.get(id) === undefined) return id;
    }
  }

  /** Whether a channel has had this ID, so that a frame for it is late. */
  wasAssigned(id: number): boolean {
    return this.#wrapped || id < this.#next;
  }
}

/** An item of the map, with its ID: an unsigned 32-bit integer. */
interface Identified {
  readonly id: number;
}

/** Entries of an empty map; a power of two. */
const MIN_ENTRIES = 8;

/**
 * The channels of a session by ID, where thousands come and go each second.
 *
 * It replaces `Map`, which moves to a new table after a number of deletions; V8's
 * old tables point to the new ones. Once the first of them is in the old
 * generation, each minor collection retains and copies everything that the later
 * ones held, until the next major collection. That took a third of the time with
 * 1,000 calls in flight (tests/bench/LOG.md).
 *
 * The map uses open addressing with linear probing. At most half of its entries
 * are used, and IDs are scattered over them by a seed of the map's own, so that a
 * peer cannot cause long searches, neither by choosing which channels stay open
 * nor by sending unknown IDs.
 */
export class ChannelMap<T extends Identified> {
  #entries = emptyEntries<T>(MIN_ENTRIES);
  /**
   * The ID of each entry. With a thousand calls in flight, the channels have left the
   * processor's cache, and a search must not load those that it passes.
   */
  #ids = new Uint32Array(MIN_ENTRIES);
  readonly #seed = Math.floor(Math.random() * 2 ** 32);
  #size = 0;

  /** The number of channels. */
  get size(): number {
    return this.#size;
  }

  /** The channel with this ID, if there is one. */
  get(id: number): T | undefined {
    return this.#entries[this.#find(id)];
  }

  /** Adds a channel whose ID is not in the map. */
  add(item: T): void {
    if (++this.#size * 2 > this.#entries.length) {
      this.#resize(this.#entries.length * 2);
    }
    this.#put(item);
  }

  /** Removes the channel with this ID, if there is one. */
  delete(id: number): void {
    const entries = this.#entries;
    const ids = this.#ids;
    const mask = entries.length - 1;
    let gap = this.#find(id);
    if (entries[gap] === undefined) return;
    // A search ends at the first gap: move the entries after it up, except those
    // that would move before their home.
    for (let at = (gap + 1) & mask;; at = (at + 1) & mask) {
      const item = entries[at];
      if (item === undefined) break;
      const home = this.#home(ids[at]!);
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      entries[gap] = item;
      ids[gap] = ids[at]!;
      gap = at;
    }
    entries[gap] = undefined;
    this.#size--;
    if (entries.length > MIN_ENTRIES && this.#size * 8 < entries.length) {
      this.#resize(entries.length / 2);
    }
  }

  /** All channels, in no particular order. */
  values(): T[] {
    return this.#entries.filter((item) => item !== undefined);
  }

  #home(id: number): number {
    return scatter(id ^ this.#seed) & (this.#entries.length - 1);
  }

  /** The index of the ID, or of the gap where it would be. */
  #find(id: number): number {
    const entries = this.#entries;
    const ids = this.#ids;
    const mask = entries.length - 1;
    let at = this.#home(id);
    while (entries[at] !== undefined && ids[at] !== id) at = (at + 1) & mask;
    return at;
  }

  #put(item: T): void {
    const at = this.#find(item.id);
    this.#entries[at] = item;
    this.#ids[at] = item.id;
  }

  #resize(length: number): void {
    const items = this.values();
    this.#entries = emptyEntries(length);
    this.#ids = new Uint32Array(length);
    for (const item of items) this.#put(item);
  }
}

/** The finalizer of MurmurHash3: each bit of the result depends on all bits. */
function scatter(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function emptyEntries<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined);
}

const DIGIT_0 = 0x30, DIGIT_9 = 0x39;
/** Digits of an index that may cost an array: of all that are below 5,000. */
const MAX_INDEX_DIGITS = 4;
/** An index this far beyond the array of an object, or more, needs no array. */
const MAX_GAP = 1_024;
/** The largest array that an engine makes for a few indexes. */
const MAX_CAPACITY = 5_000;
/** Elements of an array that take as much memory as an item. */
const ELEMENTS_OF_ITEM = 4;
/** In place of a capacity: indexes are in a table, like other keys. */
const IN_TABLE = -1;

/** How many items the keys of objects count as. */
export interface KeyItems {
  /** A key that follows the same keys as in an earlier object. */
  readonly known: number;
  /** The first key of an object that does not. */
  readonly firstNew: number;
  /** Another one. */
  readonly nextNew: number;
  /** Each key of an object with at least `manyKeys` keys counts as this many more. */
  readonly ofMany: number;
  /** From how many keys on engines take longer for each. */
  readonly manyKeys: number;
  /** A key that is the index of an array counts as this many more. */
  readonly index: number;
  /**
   * Whether members are set one after another. Engines then make arrays with room
   * for far more indexes than there are.
   */
  readonly oneByOne: boolean;
}

/**
 * Counts the keys of the objects of one value after another, by what they cost.
 * Engines describe objects that have the same keys in the same order once; every
 * other key costs a description, and many times as much.
 */
export class KeyCounter {
  readonly #items: KeyItems;
  /** The hashes of keys, each with those before it in its object. */
  readonly #paths: HashSet;
  /** By depth: the hash of the last key of the open object. */
  readonly #path: Int32Array;
  /** By depth: how many keys it has so far. */
  readonly #count: Int32Array;
  /** By depth: whether one of these keys was new. */
  readonly #diverged: Uint8Array;
  /** By depth: the indexes that its array has room for. */
  readonly #capacity: Int32Array;

  /**
   * Makes a counter for objects that are nested up to `maxDepth` levels.
   *
   * @param seed for tests; see {@linkcode HashSet}. Default: a random one
   */
  constructor(items: KeyItems, maxDepth: number, seed?: number) {
    this.#items = items;
    this.#paths = new HashSet(seed);
    this.#path = new Int32Array(maxDepth + 1);
    this.#count = new Int32Array(maxDepth + 1);
    this.#diverged = new Uint8Array(maxDepth + 1);
    this.#capacity = new Int32Array(maxDepth + 1);
  }

  /** Begins the next value. */
  begin(): void {
    this.#paths.clear();
  }

  /** Begins an object at a depth, where another one may have ended. */
  open(depth: number): void {
    this.#path[depth] = 1;
    this.#count[depth] = 0;
    this.#diverged[depth] = 0;
    this.#capacity[depth] = 0;
  }

  /**
   * Returns the items of a key of the object at a depth.
   *
   * @param bytes contain the key, from `start` to `end`
   */
  text(depth: number, bytes: Uint8Array, start: number, end: number): number {
    const { factor } = this.#paths;
    let path = this.#path[depth]! + end - start;
    for (let at = start; at < end; at += 2) {
      // There is no second byte at an odd end: the length tells.
      const pair = at + 1 < end ? bytes[at]! | bytes[at + 1]! << 8 : bytes[at]!;
      path = Math.imul(path ^ pair, factor);
      // Otherwise differences of several bytes can cancel each other out.
      path ^= path >>> 15;
    }
    const items = this.#add(depth, path);
    const first = bytes[start]!;
    return first >= DIGIT_0 && first <= DIGIT_9 && start < end
      ? items + this.#indexItems(depth, indexOf(bytes, start, end))
      : items;
  }

  /** Returns the items of a key that is an integer. */
  integer(depth: number, key: number): number {
    const low = this.#paths.hash(this.#path[depth]! ^ key);
    const items = this.#add(depth, low ^ Math.floor(key / 2 ** 32));
    return key >= 0 ? items + this.#indexItems(depth, key) : items;
  }

  #add(depth: number, path: number): number {
    const { known, manyKeys } = this.#items;
    const hash = this.#paths.hash(path);
    this.#path[depth] = hash;
    const count = ++this.#count[depth]!;
    const items = this.#paths.add(hash) ? this.#newKey(depth) : known;
    return count < manyKeys ? items : items + this.#ofMany(count);
  }

  #newKey(depth: number): number {
    if (this.#diverged[depth] === 1) return this.#items.nextNew;
    this.#diverged[depth] = 1;
    return this.#items.firstNew;
  }

  /** Returns what a key counts more, where the object has so many. */
  #ofMany(count: number): number {
    const { manyKeys, ofMany } = this.#items;
    // All that came before count more with the key that makes them many.
    return count === manyKeys ? manyKeys * ofMany : ofMany;
  }

  #indexItems(depth: number, index: number): number {
    const { index: items, oneByOne } = this.#items;
    const capacity = this.#capacity[depth]!;
    if (!oneByOne || capacity === IN_TABLE || index < capacity) return items;
    // Half as much again, as engines grow arrays.
    const grown = index + 1 + ((index + 1) >> 1) + 16;
    if (index - capacity >= MAX_GAP || grown > MAX_CAPACITY) {
      this.#capacity[depth] = IN_TABLE;
      return items;
    }
    this.#capacity[depth] = grown;
    return items + Math.ceil((grown - capacity) / ELEMENTS_OF_ITEM);
  }
}

/** Returns the index that a key is, or one beyond all arrays. */
function indexOf(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > MAX_INDEX_DIGITS) return Infinity;
  let index = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - DIGIT_0;
    if (digit < 0 || digit > 9) return Infinity;
    index = index * 10 + digit;
  }
  return index;
}

/** Hashes that an empty set has room for: a power of two. */
const INITIAL_ROOM = 128;

/**
 * A set of numbers of 32 bits that are hashed with a random seed, so that numbers
 * in the same place cannot be prepared. It forgets nothing until it is cleared.
 */
export class HashSet {
  /**
   * An odd number: to multiply by it loses nothing. It is not one more or one less
   * than a multiple of 8, as the products of such numbers differ too little.
   */
  readonly factor: number;
  /** Each hash in its place, or in the next free one; 0 is free. */
  #places = new Int32Array(INITIAL_ROOM);
  #size = 0;

  /** Makes an empty set; `seed` is from 0 up to, not including, 1. */
  constructor(seed: number = Math.random()) {
    const bits = seed * 2 ** 32;
    this.factor = (bits & ~7) | (bits & 4 ? 5 : 3);
  }

  /** Removes all numbers. */
  clear(): void {
    if (this.#size === 0) return;
    this.#size = 0;
    if (this.#places.length === INITIAL_ROOM) this.#places.fill(0);
    else this.#places = new Int32Array(INITIAL_ROOM);
  }

  /** Returns the hash of a number. */
  hash(number: number): number {
    // The lowest bits choose the place: mix the highest ones into them.
    const mixed = Math.imul(number ^ (number >>> 15), this.factor);
    return (mixed ^ (mixed >>> 13)) || 1;
  }

  /** Adds a number by its hash; returns whether it is new. */
  add(hash: number): boolean {
    const places = this.#places;
    return places[hash & (places.length - 1)] !== hash && this.#insert(hash);
  }

  #insert(hash: number): boolean {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    const places = this.#places;
    const mask = places.length - 1;
    for (let at = hash & mask;; at = (at + 1) & mask) {
      if (places[at] === hash) return false;
      if (places[at] === 0) {
        places[at] = hash;
        this.#size++;
        return true;
      }
    }
  }

  #grow(): void {
    const old = this.#places;
    this.#places = new Int32Array(old.length * 2);
    this.#size = 0;
    for (const hash of old) if (hash !== 0) this.#insert(hash);
  }
}

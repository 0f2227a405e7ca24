/** Hashes that an empty set has room for: a power of two. */
const INITIAL_ROOM = 128;

/**
 * A set of numbers of 32 bits that are hashed with a random seed, so that numbers
 * in the same place cannot be prepared. It forgets nothing until it is cleared.
 */
export class HashSet {
  /** An odd number: to multiply by it loses nothing. */
  readonly factor: number = (Math.random() * 2 ** 32) | 1;
  /** Each hash in its place, or in the next free one; 0 is free. */
  #places = new Int32Array(INITIAL_ROOM);
  #size = 0;

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

import { HashSet } from "../hash_set.ts";

/** Digits of a text up to which engines derive its hash from its number. */
const MAX_DIGITS = 9;
/** Of this many digits on, several texts have the same hash. */
const MIN_AMBIGUOUS_DIGITS = 8;
/** The bits of the number that the hash is derived from. */
const HASHED_BITS = 0xff_ffff;

const DIGIT_0 = 0x30;

/** How many items a text of digits counts as more than others. */
const Items = {
  /** Its hash may be close to that of others. */
  DIGITS: 8,
  /** Its hash is that of an earlier one. */
  SAME_HASH: 60,
};

/**
 * Finds short texts of digits. Engines keep short texts in one table, and find
 * them by a hash. That of digits is the same for up to 54 texts, which are then
 * compared with one another.
 */
export class DigitTexts {
  readonly #texts = new HashSet();
  readonly #hashes = new HashSet();

  /** Begins the next value. */
  begin(): void {
    this.#texts.clear();
    this.#hashes.clear();
  }

  /**
   * Returns by how much a text counts as more items than others.
   *
   * @param bytes contain the text, from `start` to `end`
   */
  items(bytes: Uint8Array, start: number, end: number): number {
    const size = end - start;
    if (size > MAX_DIGITS) return 0;
    let number = 0;
    for (let at = start; at < end; at++) {
      const digit = bytes[at]! - DIGIT_0;
      if (digit < 0 || digit > 9) return 0;
      number = number * 10 + digit;
    }
    if (
      size < MIN_AMBIGUOUS_DIGITS || !add(this.#texts, number) ||
      add(this.#hashes, number & HASHED_BITS | size << 24)
    ) return Items.DIGITS;
    return Items.SAME_HASH;
  }
}

function add(set: HashSet, number: number): boolean {
  return set.add(set.hash(Math.imul(number, set.factor)));
}

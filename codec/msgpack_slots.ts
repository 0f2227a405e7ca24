import { type Leaf, scanMsgpack, Form, malformed } from "./msgpack_scan.ts";

/**
 * Where a library writes or reads a value differently from another, it is given
 * a number in its place that all treat alike: a double from a range that is set
 * apart, whose low half is an index here. (A double of that range that a program
 * does send has a slot of its own.)
 */
export class Slots {
  readonly #values: (number | bigint | string | Uint8Array)[] = [];

  /** Whether nothing was put in. */
  get empty(): boolean {
    return this.#values.length === 0;
  }

  /** Keeps `value`; returns the number that stands for it. */
  put(value: number | bigint | string | Uint8Array): number {
    scratch.setUint32(0, RANGE);
    scratch.setUint32(4, this.#values.length);
    this.#values.push(value);
    return scratch.getFloat64(0);
  }

  /** What `number`, one of the range, stands for. */
  get(number: number): number | bigint | string | Uint8Array | undefined {
    scratch.setFloat64(0, number);
    return this.#values[scratch.getUint32(4)];
  }
}

/** The high half of the doubles set apart: about 1e-177, and no float 32. */
const RANGE = 0x1b3a7c5d;
/** One double, to look at its halves. Nothing is kept in it between calls. */
const scratch = new DataView(new ArrayBuffer(8));
const FIRST = double(RANGE, 0);
const LAST = double(RANGE, 0xffff_ffff);

function double(high: number, low: number): number {
  scratch.setUint32(0, high);
  scratch.setUint32(4, low);
  return scratch.getFloat64(0);
}

/** Whether a number is of the range that is set apart. */
export function isSlot(number: number): boolean {
  return number >= FIRST && number <= LAST;
}

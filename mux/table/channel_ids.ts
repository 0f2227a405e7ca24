import { MAX_UINT32 } from "../../uint32.ts";

/**
 * The numbers that one side gives its channels. They go up, and begin anew
 * past 2^32 - 1: a late frame for a channel just closed must find no other.
 */
export class ChannelIds {
  #next: number;
  #wrapped = false;

  /** Begins with `first`. */
  constructor(first = 0) {
    this.#next = first;
  }

  /** The next number that names no channel in `live`. */
  take(live: { has(id: number): boolean }): number {
    for (;;) {
      const id = this.#next;
      if (id === MAX_UINT32) this.#wrapped = true;
      this.#next = (id + 1) >>> 0;
      // Before they begin anew, none can be live.
      if (!this.#wrapped || !live.has(id)) return id;
    }
  }

  /** Whether a channel has had this number, so that a frame for it is late. */
  wasGiven(id: number): boolean {
    return this.#wrapped || id < this.#next;
  }
}

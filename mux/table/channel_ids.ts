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
  take(inUse: { has(id: number): boolean }): number {
    for (;;) {
      const id = this.#next;
      if (id === MAX_UINT32) this.#wrapped = true;
      this.#next = (id + 1) >>> 0;
      // Before the IDs have wrapped, none is in use twice.
      if (!this.#wrapped || !inUse.has(id)) return id;
    }
  }

  /** Whether a channel has had this ID, so that a frame for it is late. */
  wasAssigned(id: number): boolean {
    return this.#wrapped || id < this.#next;
  }
}

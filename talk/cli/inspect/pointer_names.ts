import { kindOf } from "../../../rpc/internal_cli.ts";
import type { ObservedChannel } from "../../observe/events.ts";
import { pointerOf } from "./value_line.ts";

/** Functions and streams whose names are remembered. */
const MAX_NAMES = 10_000;
/** Values that are looked through for pointers, in one value. */
const MAX_VISITS = 10_000;

/** What a name stands for. */
export interface Named {
  /** Such as `ƒ1` or `stream2`. */
  readonly name: string;
  /** The channel on which it was sent first. */
  readonly channel: number;
}

/** Short names of the functions and streams that pass in values. */
export class PointerNames {
  readonly #names = new Map<string, Named>();
  #count = 0;

  /** What an ID stands for; undefined if it was not seen. */
  get(id: string): Named | undefined {
    return this.#names.get(id);
  }

  /** The name of an ID, or the ID. */
  readonly nameOf = (id: string): string =>
    this.#names.get(id)?.name ?? `ƒ ${id}`;

  /** Names all that a value points to. */
  learn(value: unknown, channel: ObservedChannel): void {
    let visits = 0;
    const visit = (value: unknown) => {
      if (typeof value !== "object" || value === null) return;
      if (++visits > MAX_VISITS || value instanceof Uint8Array) return;
      const id = pointerOf(value);
      if (id !== undefined) return this.#add(id, channel);
      if (value instanceof Map) {
        for (const item of value.values()) visit(item);
      } else if (value instanceof Set || Array.isArray(value)) {
        for (const item of value) visit(item);
      } else for (const item of Object.values(value)) visit(item);
    };
    visit(value);
  }

  #add(id: string, { number }: ObservedChannel): void {
    if (this.#names.has(id)) return;
    if (this.#names.size >= MAX_NAMES) {
      const [oldest] = this.#names.keys();
      this.#names.delete(oldest!);
    }
    const what = kindOf(id) === "function" ? "ƒ" : "stream";
    const name = `${what}${++this.#count}`;
    this.#names.set(id, { name, channel: number });
  }
}

import { printableText } from "../../../printable_text.ts";
import type { Style } from "../terminal.ts";

/** Pieces of a line, each with its style. */
export type Segments = readonly (readonly [Style | undefined, string])[];

/** The first half of a pair of surrogates, at the end of a text. */
const HALF_PAIR = /[\ud800-\udbff]$/;

/** Gathers pieces of a line up to a number of characters. */
export class Line {
  readonly #segments: [Style | undefined, string][] = [];
  #left: number;
  #cut = false;

  /** Makes an empty line that takes `limit` characters. */
  constructor(limit: number) {
    this.#left = Math.max(1, limit);
  }

  /** The pieces. */
  get segments(): Segments {
    return this.#segments;
  }

  /** Whether nothing more fits. */
  get isFull(): boolean {
    return this.#cut;
  }

  /** Adds text, which may come from anywhere: it is made printable. */
  add(text: string, style?: Style): this {
    if (this.#cut || text === "") return this;
    // Escapes lengthen a text, and never shorten it.
    const printable = printableText(text.slice(0, this.#left + 1));
    if (printable.length <= this.#left) {
      this.#segments.push([style, printable]);
      this.#left -= printable.length;
      return this;
    }
    this.#cut = true;
    let kept = printable.slice(0, Math.max(0, this.#left - 1));
    // The ellipsis takes the place of a character that was added already.
    if (this.#left === 0) this.#dropLast();
    // A pair of surrogates is not cut.
    kept = kept.replace(HALF_PAIR, "");
    this.#segments.push([style, `${kept}…`]);
    this.#left = 0;
    return this;
  }

  #dropLast(): void {
    const last = this.#segments.at(-1);
    if (last === undefined) return;
    last[1] = last[1].slice(0, -1).replace(HALF_PAIR, "");
  }
}

import { printableText } from "../../../printable_text.ts";
import type { Style } from "../terminal.ts";

/** Pieces of a line, each with its style. */
export type Segments = readonly (readonly [Style | undefined, string])[];

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
    // A pair of surrogates is not cut.
    const kept = printable.slice(0, this.#left - 1)
      .replace(/[\ud800-\udbff]$/, "");
    this.#segments.push([style, `${kept}…`]);
    this.#left = 0;
    return this;
  }
}

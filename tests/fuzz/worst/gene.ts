/**
 * Genes: a few names from which the search builds values of any size.
 *
 * @module
 */
import type { Random } from "../../support/random.ts";
import type { Format } from "../codec_list.ts";
import { cborGrammar } from "./cbor_grammar.ts";
import type { Grammar } from "./grammar.ts";
import { jsonGrammar } from "./json_grammar.ts";
import { msgpackGrammar } from "./msgpack_grammar.ts";

const GRAMMARS: Record<Format, Grammar> = {
  json: jsonGrammar,
  cbor: cborGrammar,
  msgpack: msgpackGrammar,
};

/** A container that repeats these tokens, perhaps after a long text. */
export interface Gene {
  readonly container: string;
  readonly tokens: readonly string[];
  /** What the room is filled with that is left. */
  readonly filler?: string;
}

/** The genes of one piece each: every token, container and filler. */
export function simpleGenes(format: Format): Gene[] {
  const { containers, tokens, fillers } = GRAMMARS[format];
  return [
    ...Object.keys(tokens).map((token) => gene("a list", [token])),
    ...Object.keys(containers).map((name) => gene(name, ["0"])),
    ...Object.keys(fillers).map((name) => gene("a list", ["0"], name)),
  ];
}

/** A random gene. */
export function anyGene(format: Format, random: Random): Gene {
  const { containers, tokens, fillers } = GRAMMARS[format];
  const length = random.pick([1, 1, 1, 2, 3]);
  return gene(
    random.pick(Object.keys(containers)),
    Array.from({ length }, () => random.pick(Object.keys(tokens))),
    random.chance(0.5) ? random.pick(Object.keys(fillers)) : undefined,
  );
}

/** A gene with one change. */
export function mutated(format: Format, parent: Gene, random: Random): Gene {
  const other = anyGene(format, random);
  switch (random.int(0, 3)) {
    case 0:
      return gene(other.container, parent.tokens, parent.filler);
    case 1:
      return gene(parent.container, parent.tokens, other.filler);
    default: {
      const tokens = [...parent.tokens];
      const at = random.int(0, tokens.length);
      const removed = tokens.length > 1 && random.chance(0.5) ? 1 : 0;
      tokens.splice(at, removed, other.tokens[0]!);
      return gene(parent.container, tokens.slice(0, 4), parent.filler);
    }
  }
}

function gene(
  container: string,
  tokens: readonly string[],
  filler?: string,
): Gene {
  return { container, tokens, ...(filler !== undefined && { filler }) };
}

/**
 * Builds the value of a gene: so many entries, the first of which is the filler
 * if there is room.
 */
export function build(
  format: Format,
  { container, tokens, filler }: Gene,
  entries: number,
  size = 0,
): Uint8Array<ArrayBuffer> {
  const grammar = GRAMMARS[format];
  const { begin, before, end } = grammar.containers[container]!;
  const values = tokens.map((name) => grammar.tokens[name]!);
  const out = new Writer(begin(0).length);
  for (let i = 0; i < entries; i++) {
    out.add(before(i));
    out.add(values[i % values.length]!(i));
  }
  const key = before(entries);
  const room = size - out.length - key.length - end(0).length;
  const filled = filler !== undefined && room > 64;
  if (filled) {
    out.add(key);
    out.add(grammar.fillers[filler]!(room));
  }
  const count = filled ? entries + 1 : entries;
  out.add(end(count));
  return out.finish(begin(count));
}

/** Collects bytes after those of the beginning, which are known at the end. */
class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  length: number;

  constructor(length: number) {
    this.length = length;
    this.#bytes = new Uint8Array(64 * 1024);
  }

  add(part: Uint8Array): void {
    while (this.length + part.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    const at = this.length;
    if (part.length > 32) bytes.set(part, at);
    else for (let i = 0; i < part.length; i++) bytes[at + i] = part[i]!;
    this.length += part.length;
  }

  finish(begin: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#bytes.set(begin);
    return this.#bytes.slice(0, this.length);
  }
}

/** Describes a gene. */
export function describe({ container, tokens, filler }: Gene): string {
  return `${container} of ${tokens.join(", ")}${
    filler === undefined ? "" : ` and ${filler}`
  }`;
}

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

/** A container that repeats these tokens. */
export interface Gene {
  readonly container: string;
  readonly tokens: readonly string[];
}

/** A random gene. */
export function anyGene(format: Format, random: Random): Gene {
  const { containers, tokens } = GRAMMARS[format];
  const length = random.pick([1, 1, 1, 2, 3]);
  return {
    container: random.pick(Object.keys(containers)),
    tokens: Array.from(
      { length },
      () => random.pick(Object.keys(tokens)),
    ),
  };
}

/** A gene with one change. */
export function mutated(format: Format, gene: Gene, random: Random): Gene {
  const other = anyGene(format, random);
  if (random.chance(0.4)) return { ...gene, container: other.container };
  const tokens = [...gene.tokens];
  const at = random.int(0, tokens.length);
  const removed = tokens.length > 1 && random.chance(0.5) ? 1 : 0;
  tokens.splice(at, removed, other.tokens[0]!);
  return { ...gene, tokens: tokens.slice(0, 4) };
}

/** Builds the value of a gene, as large as a size permits. */
export function build(
  format: Format,
  { container, tokens }: Gene,
  size: number,
): Uint8Array<ArrayBuffer> {
  const { containers, tokens: known } = GRAMMARS[format];
  const { begin, before, end } = containers[container]!;
  const values = tokens.map((name) => known[name]!);
  const out = new Uint8Array(size);
  const room = size - end(0).length;
  // The count is written last; its length is always the same.
  let at = begin(0).length;
  let entries = 0;
  for (;; entries++) {
    const key = before(entries);
    const value = values[entries % values.length]!;
    if (at + key.length + value.length > room) break;
    out.set(key, at);
    out.set(value, at + key.length);
    at += key.length + value.length;
  }
  out.set(begin(entries));
  out.set(end(entries), at);
  return out.slice(0, at + end(entries).length);
}

/** Describes a gene. */
export function describe({ container, tokens }: Gene): string {
  return `${container} of ${tokens.join(", ")}`;
}

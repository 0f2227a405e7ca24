/**
 * Searches for the values that cost most to decode.
 *
 * @module
 */
import type { Random } from "../../support/random.ts";
import type { Listed } from "../codec_list.ts";
import { type Cost, liveCounter, timeOf, weightOf } from "./cost.ts";
import { anyGene, build, describe, type Gene, mutated } from "./gene.ts";

/** The extent of the search. */
export interface SearchOptions {
  /** Bytes per value. */
  size: number;
  /** Random genes to begin with. */
  first: number;
  /** Mutations of the best genes in each generation. */
  next: number;
  /** The number of generations. */
  generations: number;
  /** Whether to measure the memory of all, which is slow, or of the slowest. */
  weighAll: boolean;
}

/** A gene and its cost. */
export interface Tried extends Cost {
  gene: Gene;
}

/** The worst genes, by time and by memory. */
export interface Worst {
  slowest: Tried[];
  largest: Tried[];
}

/** Genes to keep, of each kind. */
const KEPT = 4;

/** Runs a search with values of one small size. */
export function search(
  { format, make }: Listed,
  random: Random,
  { size, first, next, generations, weighAll }: SearchOptions,
): Worst {
  const codec = make();
  const live = liveCounter();
  const tried = new Map<string, Tried>();
  const bytesOf = (gene: Gene) => build(format, gene, size);
  const tryGene = (gene: Gene) => {
    const name = describe(gene);
    if (tried.has(name)) return;
    const bytes = bytesOf(gene);
    const alive = weighAll ? weightOf(codec, bytes, live) : 0;
    tried.set(name, { gene, ms: timeOf(codec, bytes, 2), alive });
  };
  const best = (by: "ms" | "alive") =>
    [...tried.values()].sort((a, b) => b[by] - a[by]).slice(0, KEPT);

  // Warms up the engine.
  for (let i = 0; i < 5; i++) {
    timeOf(codec, bytesOf(anyGene(format, random)), 1);
  }
  for (let i = 0; i < first; i++) tryGene(anyGene(format, random));
  for (let i = 0; i < generations; i++) {
    const parents = weighAll ? [...best("ms"), ...best("alive")] : best("ms");
    for (let j = 0; j < next; j++) {
      tryGene(mutated(format, random.pick(parents).gene, random));
    }
  }
  const slowest = best("ms");
  if (!weighAll) {
    slowest[0]!.alive = weightOf(codec, bytesOf(slowest[0]!.gene), live);
  }
  return { slowest, largest: best("alive") };
}

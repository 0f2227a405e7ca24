/**
 * A search over generators for the value that costs most to decode.
 *
 * @module
 */
import type { Random } from "../../support/random.ts";
import type { Listed } from "../codec_list.ts";
import { type Cost, liveCounter, timeOf, weightOf } from "./cost.ts";
import { anyGene, build, describe, type Gene, mutated } from "./gene.ts";

/** How far the search goes. */
export interface SearchOptions {
  /** Bytes of the values that are tried. */
  size: number;
  /** Values that are drawn at first. */
  first: number;
  /** Values that are made of the best ones, each time. */
  next: number;
  /** Times that this is done. */
  generations: number;
  /** Whether all are weighed, which takes long, or only the slowest. */
  weighAll: boolean;
}

/** A value that was tried. */
export interface Tried extends Cost {
  gene: Gene;
}

/** The most that a search found, by time and by memory. */
export interface Worst {
  slowest: Tried[];
  largest: Tried[];
}

/** How many of the best are kept. */
const KEPT = 4;

/** Searches; the genes it gives are those of small values. */
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
    tried.set(name, { gene, ms: timeOf(codec, bytes, 3), alive });
  };
  const best = (by: "ms" | "alive") =>
    [...tried.values()].sort((a, b) => b[by] - a[by]).slice(0, KEPT);

  // The engine compiles what it is going to measure.
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

/**
 * Searches for the values that cost most to decode, of those that a codec
 * accepts.
 *
 * @module
 */
import {
  type Codec,
  CodecError,
  DEFAULT_MAX_ITEMS,
  type ValueWeight,
} from "@qtalk/qtalk/codec";
import type { Random } from "../../support/random.ts";
import { ThreadClock } from "../../support/thread_clock.ts";
import type { Listed } from "../codec_list.ts";
import { type Cost, Scale } from "./cost.ts";
import {
  anyGene,
  build,
  describe,
  type Gene,
  mutated,
  simpleGenes,
} from "./gene.ts";

/** The extent of the search. */
export interface SearchOptions {
  /** The largest size of a value in bytes. */
  size: number;
  /** The part of the genes of one piece that it begins with. */
  simple: number;
  /** Random genes that it begins with. */
  first: number;
  /** Mutations of the best genes in each generation. */
  next: number;
  /** The number of generations. */
  generations: number;
  /** How many genes to keep: of the slowest, and of those that take the most memory. */
  kept: number;
  /** How often these are decoded at the end. */
  times: number;
  /** Milliseconds; what seems to take longer is measured again. */
  limit: number;
}

/** A gene and the cost of its value. */
export interface Tried extends Cost {
  gene: Gene;
  /** The value. */
  bytes: Uint8Array;
}

/** The worst genes. */
export interface Worst {
  slowest: Tried[];
  largest: Tried[];
  /** Those whose values take more memory than the codec estimates. */
  heavier: Tried[];
}

/** How often the measurement of what seems to take too long is repeated. */
const ROUNDS = 10;
/** Entries of the value by which the items of an entry are found. */
const FEW = 256;
/** How often a value is made larger, and by how much at most. */
const MAX_TRIES = 6, MAX_GROWTH = 64;
/** Bytes that a value may take beyond the estimate, for what surrounds it. */
const TOLERANCE = 64 * 1024;

/** Runs a search. */
export function search(
  { format, make }: Listed,
  random: Random,
  { size, simple, first, next, generations, kept, times, limit }: SearchOptions,
): Worst {
  using clock = new ThreadClock();
  const scale = new Scale(clock);
  const codec = make();
  const tried = new Map<string, Tried>();
  const tryGene = (gene: Gene) => {
    const name = describe(gene);
    if (tried.has(name)) return;
    const bytes = largest(codec, format, gene, size);
    tried.set(name, { gene, bytes, ...scale.measure(codec, bytes, 2, true) });
  };
  const best = (by: "ms" | "grown") =>
    [...tried.values()].sort((a, b) => b[by] - a[by]).slice(0, kept);
  const again = (by: "ms" | "grown") =>
    best(by).map((one): Tried => ({
      ...one,
      ...repeated(scale, codec, one.bytes, times, limit),
    })).sort((a, b) => b[by] - a[by]);

  for (const gene of simpleGenes(format)) {
    if (random.chance(simple)) tryGene(gene);
  }
  for (let i = 0; i < first; i++) tryGene(anyGene(format, random));
  for (let i = 0; i < generations; i++) {
    const parents = [...best("ms"), ...best("grown")];
    for (let j = 0; j < next; j++) {
      tryGene(mutated(format, random.pick(parents).gene, random));
    }
  }
  return {
    slowest: again("ms"),
    largest: again("grown"),
    heavier: [...tried.values()].filter(({ alive, weight, refused }) =>
      refused === undefined && alive! > weight + TOLERANCE
    ),
  };
}

/**
 * Measures a value until it takes less than `limit` milliseconds, but not for ever:
 * what else the machine does can make it take longer, and nothing makes it take
 * less.
 */
function repeated(
  scale: Scale,
  codec: Codec,
  bytes: Uint8Array,
  times: number,
  limit: number,
): Cost {
  let cost = scale.measure(codec, bytes, times);
  for (let round = 1; round < ROUNDS && cost.ms >= limit; round++) {
    const { ms } = scale.measure(codec, bytes, times);
    cost = { ...cost, ms: Math.min(cost.ms, ms) };
  }
  return cost;
}

/** Returns the largest value of a gene that the codec accepts, or nearly so. */
function largest(
  codec: Codec,
  format: Listed["format"],
  gene: Gene,
  size: number,
): Uint8Array {
  let entries = FEW;
  let bytes = build(format, gene, entries, size);
  while (entries > 1 && !fits(codec, bytes, size)) {
    entries = Math.floor(entries / 2);
    bytes = build(format, gene, entries, size);
  }
  let caution = 0.98;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const times = growth(codec, format, gene, entries, size) * caution;
    const more = Math.floor(entries * times);
    if (more <= entries) break;
    const larger = build(format, gene, more, size);
    if (fits(codec, larger, size)) {
      entries = more;
      bytes = larger;
    } else caution *= 0.6;
  }
  return bytes;
}

/** Returns how many times as many entries may fit. */
function growth(
  codec: Codec,
  format: Listed["format"],
  gene: Gene,
  entries: number,
  size: number,
): number {
  const bytes = build(format, gene, entries);
  const weight = weightOf(codec, bytes);
  const items = (weight - WEIGHT_OF_BYTE * bytes.length) / WEIGHT_OF_ITEM;
  const bySize = size / bytes.length;
  return Math.min(
    MAX_GROWTH,
    bySize,
    items > 0 ? DEFAULT_MAX_ITEMS / items : bySize,
  );
}

function fits(codec: Codec, bytes: Uint8Array, size: number): boolean {
  return bytes.length <= size && !hasTooManyItems(codec, bytes);
}

/** How the codecs estimate the memory of a value. */
const WEIGHT_OF_BYTE = 2, WEIGHT_OF_ITEM = 32;

/** Returns the estimate of a codec; 0 if it refuses the value. */
function weightOf(codec: Codec, bytes: Uint8Array): number {
  const weight: ValueWeight = { bytes: 0 };
  try {
    codec.decode(bytes, weight);
  } catch {
    // It may have too many items, or be malformed.
  }
  return weight.bytes;
}

function hasTooManyItems(codec: Codec, bytes: Uint8Array): boolean {
  try {
    codec.decode(bytes);
    return false;
  } catch (error) {
    return error instanceof CodecError && error.code === "too-many-items";
  }
}

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
}

/** A gene and the cost of its value. */
export interface Tried extends Cost {
  gene: Gene;
  /** The value. */
  bytes: Uint8Array;
}

/** The worst genes, and how fast the machine is. */
export interface Worst {
  slowest: Tried[];
  largest: Tried[];
  /** Those whose values take more memory than the codec estimates. */
  heavier: Tried[];
  /** How many times as long everything takes as on a machine with two cores. */
  slowness: number;
}

/** Genes to keep, of each kind. */
const KEPT = 2;
/** How often these are decoded in the end. */
const TIMES = 5;
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
  { size, simple, first, next, generations }: SearchOptions,
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
    [...tried.values()].sort((a, b) => b[by] - a[by]).slice(0, KEPT);
  const again = (by: "ms" | "grown") =>
    best(by).map((one): Tried => ({
      ...one,
      ...scale.measure(codec, one.bytes, TIMES),
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
  const before = slowness(scale);
  const slowest = again("ms");
  return {
    slowest,
    largest: again("grown"),
    heavier: [...tried.values()].filter(({ alive, weight, refused }) =>
      refused === undefined && alive! > weight + TOLERANCE
    ),
    slowness: Math.min(before, slowness(scale)),
  };
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

/** Milliseconds of the reference work on a machine with two cores. */
const REFERENCE = 24;

/** Returns how many times as long a piece of work takes here, at least 1. */
function slowness(scale: Scale): number {
  const rows = Array.from(
    { length: 15_000 },
    (_, i) => ({ id: i, name: `n${i}`, ok: true, x: i / 7 }),
  );
  const text = JSON.stringify(rows);
  // As long as what it is compared with, so as to be interrupted as often.
  const work = () => {
    for (let i = 0; i < 3; i++) JSON.parse(text);
  };
  return Math.max(1, scale.time(work, 7) / REFERENCE);
}

/**
 * Searches for the worst values of each codec and reports them.
 *
 * @module
 */
import { assertLess } from "@std/assert";
import { DEFAULT_PEER_LIMITS } from "@qtalk/qtalk";
import type { Random } from "../support/random.ts";
import { ASSERTED } from "./asserted.ts";
import { CODECS } from "./codec_list.ts";
import type { Target } from "./target.ts";
import { decodeFullSize, type FullCost } from "./worst/full_size.ts";
import { describe, type Gene } from "./worst/gene.ts";
import { search, type SearchOptions, type Tried } from "./worst/search.ts";

const MIB = 2 ** 20;

/** One line of the report. */
interface Finding {
  codec: string;
  gene: string;
  cost: FullCost;
}

/** The short form of the search. */
export const SHORT: SearchOptions = {
  size: 16 * 1024,
  first: 12,
  next: 4,
  generations: 1,
  weighAll: false,
};

/** The long one. */
const LONG: SearchOptions = {
  size: 32 * 1024,
  first: 40,
  next: 12,
  generations: 3,
  weighAll: true,
};

function distinct(tried: Tried[]): Gene[] {
  return [...new Map(tried.map(({ gene }) => [describe(gene), gene])).values()];
}

function check({ codec, gene, cost }: Finding): void {
  const { ms, grown } = cost;
  const { decodeMs, decodeBytes } = ASSERTED;
  const what = `${codec}: ${gene}`;
  if (decodeMs !== undefined) assertLess(ms, decodeMs, what);
  if (decodeBytes !== undefined && grown !== undefined) {
    assertLess(grown, decodeBytes, what);
  }
}

function line({ codec, gene, cost: { ms, grown, died } }: Finding): string {
  const time = died ?? `${ms.toFixed(0)} ms`;
  const memory = grown === undefined ? "?" : `${(grown / MIB).toFixed(0)} MiB`;
  return `  ${codec.padEnd(48)} ${time.padStart(9)} ${
    memory.padStart(9)
  }  ${gene}`;
}

/** Searches with one codec a round; decodes the results at full size. */
export function worst(size = DEFAULT_PEER_LIMITS.maxValueSize): Target {
  const findings: Finding[] = [];
  const names = Object.keys(CODECS);
  return {
    name: "worst",
    async round(random: Random) {
      const codec = names[random.seed % names.length]!;
      const { slowest, largest } = search(CODECS[codec]!, random, LONG);
      for (const gene of distinct([slowest[0]!, largest[0]!])) {
        const cost = await decodeFullSize(codec, gene, size);
        const finding = { codec, gene: describe(gene), cost };
        findings.push(finding);
        check(finding);
      }
    },
    report() {
      const sorted = findings.toSorted((a, b) => b.cost.ms - a.cost.ms);
      return [
        `the worst values of ${size / MIB} MiB: time, growth at its peak`,
        ...sorted.map(line),
      ].join("\n");
    },
  };
}

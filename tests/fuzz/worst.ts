/**
 * Searches for the worst values of each codec, and reports them.
 *
 * @module
 */
import { assert, assertLess } from "@std/assert";
import { DEFAULT_PEER_LIMITS } from "@qtalk/qtalk";
import type { Random } from "../support/random.ts";
import { ASSERTED } from "./asserted.ts";
import { CODECS } from "./codec_list.ts";
import type { Target } from "./target.ts";
import { describe } from "./worst/gene.ts";
import {
  search,
  type SearchOptions,
  type Tried,
  type Worst,
} from "./worst/search.ts";

const MIB = 2 ** 20;

/** A value that the search found. */
interface Finding {
  codec: string;
  found: Tried;
}

/** The short form of the search. */
export const SHORT: SearchOptions = {
  size: DEFAULT_PEER_LIMITS.maxValueSize,
  simple: 0.04,
  first: 2,
  next: 1,
  generations: 1,
  kept: 1,
  times: 3,
  limit: ASSERTED.decodeMs,
};

/** The long one. */
const LONG: SearchOptions = {
  size: DEFAULT_PEER_LIMITS.maxValueSize,
  simple: 1,
  first: 60,
  next: 20,
  generations: 6,
  kept: 2,
  times: 5,
  limit: ASSERTED.decodeMs,
};

/** Asserts that the worst values of a codec are within the limits. */
export function assertBounded(codec: string, worst: Worst): void {
  const { decodeMs, decodeBytes } = ASSERTED;
  const { slowest, largest, heavier } = worst;
  const [slow] = slowest;
  const [large] = largest;
  assertLess(slow!.ms, decodeMs, line({ codec, found: slow! }));
  assertLess(large!.grown, decodeBytes, line({ codec, found: large! }));
  assert(
    heavier.length === 0,
    heavier.map((found) =>
      `${found.alive} bytes and not ${found.weight}: ${line({ codec, found })}`
    ).join("\n"),
  );
}

/** Describes a finding in a line. */
export function line(
  { codec, found: { gene, bytes, ms, grown, refused } }: Finding,
): string {
  const time = `${ms.toFixed(1)} ms`;
  const memory = `${(grown / MIB).toFixed(1)} MiB`;
  return `${codec.padEnd(48)} ${time.padStart(8)} ${memory.padStart(8)} ` +
    `${(bytes.length / 1_024).toFixed(0).padStart(5)} KiB  ${describe(gene)}${
      refused === undefined ? "" : `: ${refused}`
    }`;
}

/** Searches with one codec a round. */
export function worst(): Target {
  const findings: Finding[] = [];
  const names = Object.keys(CODECS);
  return {
    name: "worst",
    round(random: Random) {
      const codec = names[random.seed % names.length]!;
      const found = search(CODECS[codec]!, random, LONG);
      findings.push(
        { codec, found: found.slowest[0]! },
        { codec, found: found.largest[0]! },
      );
      assertBounded(codec, found);
    },
    report() {
      const sorted = findings.toSorted((a, b) => b.found.ms - a.found.ms);
      return [
        `the worst values of up to ${LONG.size / MIB} MiB: time, memory, size`,
        ...sorted.map((finding) => `  ${line(finding)}`),
      ].join("\n");
    },
  };
}

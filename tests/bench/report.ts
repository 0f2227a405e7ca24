/**
 * From samples to a report: what `--json` prints.
 *
 * @module
 */
import type { CpuTime } from "./cpu_time.ts";
import {
  type MeasureName,
  measureOf,
  type MeasureOptions,
  type Sample,
} from "./measures.ts";
import type { Entry } from "./peers.ts";
import type { Placement } from "./run.ts";
import { type Check, checkTargets } from "./targets.ts";

/** What was measured, in the order it was. */
export type Samples = { peer: string; measure: MeasureName; sample: Sample }[];

/** One peer's result in one measure: medians over the rounds. */
export interface Result {
  peer: string;
  measure: MeasureName;
  unit: string;
  median: number;
  min: number;
  max: number;
  /** Microseconds. */
  p50?: number | undefined;
  p99?: number | undefined;
  /** CPU time per GB of a transfer, or per 100,000 calls. */
  cpu?: CpuTime | undefined;
  rounds: number[];
}

/** What `--json` prints. */
export interface Report {
  machine: {
    os: string;
    arch: string;
    cores: number;
    deno: string;
    /** Mean number of busy processes in the minute before. */
    load: number;
  };
  options: MeasureOptions & { rounds: number; placement: Placement };
  missing: { peer: string; reason: string }[];
  results: Result[];
  /** The ratios that this project has set itself (targets.ts). */
  checks: Check[];
}

/** Takes the medians. */
export function makeReport(
  options: Report["options"],
  load: number,
  entries: readonly Entry[],
  measures: readonly MeasureName[],
  samples: Samples,
): Report {
  const results: Result[] = [];
  for (const measure of measures) {
    for (const { name } of entries) {
      const own = samples
        .filter((it) => it.peer === name && it.measure === measure)
        .map(({ sample }) => sample);
      if (own.length > 0) results.push(summarize(name, measure, own));
    }
  }
  return {
    machine: {
      os: Deno.build.os,
      arch: Deno.build.arch,
      cores: navigator.hardwareConcurrency,
      deno: Deno.version.deno,
      load,
    },
    options,
    missing: entries.flatMap(({ name, missing }) =>
      missing === undefined ? [] : [{ peer: name, reason: missing }]
    ),
    results,
    checks: checkTargets(results),
  };
}

function summarize(
  peer: string,
  measure: MeasureName,
  samples: readonly Sample[],
): Result {
  const rounds = samples.map(({ value }) => value);
  return {
    peer,
    measure,
    unit: measureOf(measure).unit,
    median: median(rounds)!,
    min: Math.min(...rounds),
    max: Math.max(...rounds),
    p50: median(samples.flatMap(({ p50 }) => p50 ?? [])),
    p99: median(samples.flatMap(({ p99 }) => p99 ?? [])),
    cpu: medianTime(samples.flatMap(({ cpu }) => cpu ?? [])),
    rounds,
  };
}

/** The median of each side. */
function medianTime(times: readonly CpuTime[]): CpuTime | undefined {
  const client = median(times.map(({ client }) => client));
  if (client === undefined) return undefined;
  const server = median(times.flatMap(({ server }) => server ?? []));
  return server === undefined ? { client } : { client, server };
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : sorted.length === 0
    ? undefined
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

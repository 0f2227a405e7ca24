/**
 * From samples to a report, and to the table that people read.
 *
 * @module
 */
import {
  type MeasureName,
  type MeasureOptions,
  MEASURES,
  type Sample,
} from "./measures.ts";
import type { Entry } from "./peers.ts";
import type { Placement } from "./run.ts";

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
    unit: MEASURES[measure].unit,
    median: median(rounds)!,
    min: Math.min(...rounds),
    max: Math.max(...rounds),
    p50: median(samples.flatMap(({ p50 }) => p50 ?? [])),
    p99: median(samples.flatMap(({ p99 }) => p99 ?? [])),
    rounds,
  };
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

const PLACEMENTS: Record<Placement, string> = {
  free: "processes unpinned",
  one: "both processes on one core",
  two: "each process on its own core",
};
const COLUMNS = ["median", "min … max", "p50 µs", "p99 µs"];

/** The report as text, in Markdown that is aligned for terminals too. */
export function table({ machine, options, missing, results }: Report): string {
  const lines = [
    `Deno ${machine.deno}, ${machine.os} ${machine.arch}, ${machine.cores} cores, ` +
    `load ${machine.load.toFixed(1)} before; ` +
    `${
      PLACEMENTS[options.placement]
    }; medians of ${options.rounds} rounds, ${options.seconds} s of calls, ` +
    `${options.bytes / 1024 / 1024} MiB of bytes`,
  ];
  for (const measure of new Set(results.map((result) => result.measure))) {
    const { title, unit } = MEASURES[measure];
    const rows = results.filter((result) => result.measure === measure)
      .map(row);
    lines.push("", ...align([[`${title}, ${unit}`, ...COLUMNS], ...rows]));
  }
  for (const { peer, reason } of missing) {
    lines.push("", `${peer} did not take part: ${reason}`);
  }
  return lines.join("\n");
}

function row({ peer, median, min, max, p50, p99 }: Result): string[] {
  const whole = (value: number | undefined) =>
    value === undefined ? "–" : Math.round(value).toLocaleString("en");
  return [
    peer,
    whole(median),
    `${whole(min)} … ${whole(max)}`,
    whole(p50),
    whole(p99),
  ];
}

function align(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]!.length))
  );
  const line = (cells: string[]) =>
    `| ${
      cells.map((cell, column) =>
        column === 0
          ? cell.padEnd(widths[column]!)
          : cell.padStart(widths[column]!)
      ).join(" | ")
    } |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":"
  );
  return [line(rows[0]!), line(rule), ...rows.slice(1).map(line)];
}

/**
 * The first page of the log: one table of what is wanted most, from one run or
 * several.
 *
 * @module
 */
import { type CpuTime, sum } from "./cpu_time.ts";
import { measureOf } from "./measures.ts";
import type { Report, Result } from "./report.ts";
import { align, figure, settings } from "./table.ts";
import { type Headline, HEADLINES, keeps, limitText } from "./targets.ts";
import { NAMES } from "./peers.ts";

const COLUMNS = [
  ...["measure", "ours", "beside it", "ratio", "wanted", "holds"],
  "CPU time, of its",
];

/** The table in Markdown. Figures of several runs stand beside each other. */
export function summary(reports: readonly Report[]): string {
  const rows = HEADLINES.map((headline) => row(headline, reports));
  return [
    ...reports.map((report, i) => `Run ${i + 1}: ${settings(report)}`),
    "",
    ...align([COLUMNS, ...rows]),
  ].join("\n");
}

function row(headline: Headline, reports: readonly Report[]): string[] {
  const { measure, beside, name } = headline;
  const pairs = reports.flatMap(({ results }) => {
    const ours = find(results, measure, NAMES.qtalk);
    const other = find(results, beside.measure, beside.peer);
    return ours && other ? { ours, other } : [];
  });
  const ratios = pairs.map(({ ours, other }) => ours.median / other.median);
  const kept = ratios.filter((ratio) => keeps(ratio, headline)).length;
  return [
    `\`${measure}\`, ${measureOf(measure).unit}`,
    list(pairs.map(({ ours }) => figure(ours.median))),
    `${name} ${list(pairs.map(({ other }) => figure(other.median)))}`,
    list(ratios.map((ratio) => ratio.toFixed(2))),
    limitText(headline),
    pairs.length === 0
      ? "–"
      : kept === pairs.length
      ? "yes"
      : kept === 0
      ? "no"
      : `in ${kept} of ${pairs.length}`,
    list(pairs.flatMap(({ ours, other }) => cpuRatio(ours.cpu, other.cpu))),
  ];
}

function find(
  results: readonly Result[],
  measure: string,
  peer: string,
): Result | undefined {
  return results.find((it) => it.measure === measure && it.peer === peer);
}

function cpuRatio(ours?: CpuTime, other?: CpuTime): string[] {
  // A short run may have used less than a tick of the system's clock.
  return ours === undefined || other === undefined || sum(other) === 0
    ? []
    : [(sum(ours) / sum(other)).toFixed(2)];
}

function list(figures: readonly string[]): string {
  return figures.length === 0 ? "–" : figures.join("; ");
}

/**
 * From samples to a report and its table.
 *
 * @module
 */
import { type MeasureName, measureOf } from "../measures.ts";
import { align, figure } from "../table.ts";

/** What one peer did in one measure on one runtime. */
export interface Row {
  runtime: string;
  measure: MeasureName;
  /** The name of its module, or `before`. */
  peer: string;
  /** Calls per second in each round. */
  rounds: number[];
  /** Microseconds. */
  p99: number[];
  /** Microseconds of processor time of the client, for each call. */
  cpu: number[];
  /** Why it was not measured to the end. */
  missing?: string;
}

/** How it was measured. */
export interface Settings {
  /** What each runtime says its version is. */
  versions: Record<string, string>;
  /** Mean number of busy processes in the minute before. */
  load: number;
  rounds: number;
  seconds: number;
  warmup: number;
}

/** What `--json` prints. */
export interface Report extends Settings {
  results:
    (Row & { median: number; min: number; max: number; medianCpu: number })[];
  /** What a peer did not measure to the end. */
  missing: {
    runtime: string;
    measure: MeasureName;
    peer: string;
    reason: string;
  }[];
  /** Medians of this package, of those of a peer. */
  ratios: {
    runtime: string;
    measure: MeasureName;
    of: string;
    value: number;
  }[];
}

/** Takes the medians. */
export function makeReport(settings: Settings, rows: readonly Row[]): Report {
  const results = rows.filter(({ rounds }) => rounds.length > 0).map((row) => ({
    ...row,
    median: median(row.rounds),
    min: Math.min(...row.rounds),
    max: Math.max(...row.rounds),
    medianCpu: median(row.cpu),
  }));
  const ratios = results.flatMap((of) => {
    const own = results.find(({ runtime, measure, peer }) =>
      peer === "qtalk" && runtime === of.runtime && measure === of.measure
    );
    if (own === undefined || own === of) return [];
    const { runtime, measure, peer } = of;
    return [{ runtime, measure, of: peer, value: own.median / of.median }];
  });
  const missing = rows.flatMap(({ runtime, measure, peer, missing: reason }) =>
    reason === undefined ? [] : [{ runtime, measure, peer, reason }]
  );
  return { ...settings, results, missing, ratios };
}

/** The report in Markdown: calls per second, and ours of theirs in brackets. */
export function tableOf(report: Report): string {
  const { results, ratios, versions, load } = report;
  const peers = [...new Set(results.map(({ peer }) => peer))];
  const lines: string[][] = [["calls per second", ...peers]];
  const times: string[][] = [["µs of the client's processor", ...peers]];
  for (const runtime of Object.keys(versions)) {
    for (const measure of new Set(results.map((result) => result.measure))) {
      const cells = peers.map((peer) => {
        const here = (it: { runtime: string; measure: string }) =>
          it.runtime === runtime && it.measure === measure;
        const result = results.find((it) => here(it) && it.peer === peer);
        if (result === undefined) return "–";
        const ratio = ratios.find((it) => here(it) && it.of === peer);
        const share = ratio === undefined ? "" : ` (${figure(ratio.value)})`;
        return figure(result.median) + share;
      });
      const spent = peers.map((peer) =>
        figure(
          results.find((it) =>
            it.runtime === runtime && it.measure === measure && it.peer === peer
          )?.medianCpu,
        )
      );
      const title = measureOf(measure).title.replace("unary calls, ", "");
      lines.push([`${runtime}: ${title}`, ...cells]);
      times.push([`${runtime}: ${title}`, ...spent]);
    }
  }
  const runtimes = Object.entries(versions).map(([name, version]) =>
    `${name} ${version.trim().split("\n")[0]}`
  );
  return [
    `${runtimes.join(", ")}; load ${load.toFixed(1)} before; medians of ` +
    `${report.rounds} rounds, ${report.seconds} s of calls; in brackets, qtalk's of it`,
    "",
    ...align(lines),
    "",
    ...align(times),
    ...report.missing.map(({ peer, runtime, measure, reason }) =>
      `\n${measure}, ${peer} on ${runtime} did not take part to the end: ${reason}`
    ),
  ].join("\n");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The report as text.
 *
 * @module
 */
import { sum } from "./cpu_time.ts";
import { measureOf } from "./measures.ts";
import { NAMES } from "./peers.ts";
import type { Report, Result } from "./report.ts";
import type { Placement } from "./run.ts";
import { type Check, checkTargets } from "./targets.ts";

const PLACEMENTS: Record<Placement, string> = {
  free: "processes unpinned",
  one: "both processes on one core",
  two: "each process on its own core",
};
const CPU_COLUMNS = [
  "CPU seconds (user + sys) per GB, or per 100,000 calls",
  ...["client", "server", "both", "of raw's"],
];
const COLUMNS = ["median", "min … max", "p50 µs", "p99 µs"];

/** The report in Markdown that is aligned for terminals too. */
export function table(report: Report): string {
  const lines = [settings(report)];
  const { results, missing } = report;
  // A report from a file may be older than the targets.
  const checks = checkTargets(results);
  for (const measure of new Set(results.map((result) => result.measure))) {
    const { title, unit } = measureOf(measure);
    const rows = results.filter((result) => result.measure === measure)
      .map(row);
    const heading = `${measure}: ${title}, ${unit}`;
    lines.push("", ...align([[heading, ...COLUMNS], ...rows]));
  }
  const times = cpuRows(results);
  if (times.length > 0) lines.push("", ...align([CPU_COLUMNS, ...times]));
  if (checks.length > 0) {
    const rows = checks.map(checkRow);
    lines.push("", ...align([["ratio", "value", "target", "holds"], ...rows]));
  }
  for (const { peer, reason } of missing) {
    lines.push("", `${peer} did not take part: ${reason}`);
  }
  return lines.join("\n");
}

/** Where and how a run was measured, in a line. */
export function settings({ machine, options }: Report): string {
  const mib = (bytes: number) => `${bytes / 1024 / 1024} MiB`;
  const { rounds, seconds, bytes, echoBytes } = options;
  return `Deno ${machine.deno}, ${machine.os} ${machine.arch}, ${machine.cores} cores, ` +
    `load ${machine.load.toFixed(1)} before; ` +
    `${PLACEMENTS[options.placement]}; medians of ${rounds} rounds, ` +
    `${seconds} s of calls, ${mib(bytes)} one way, ${mib(echoBytes)} echoed`;
}

/** Three digits, or all that stand before the point. */
export function figure(value: number | undefined): string {
  if (value === undefined) return "–";
  return value >= 100
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}

function row({ peer, median, min, max, p50, p99 }: Result): string[] {
  const range = `${figure(min)} … ${figure(max)}`;
  return [peer, figure(median), range, figure(p50), figure(p99)];
}

/** What each side costs, and both together beside sockets without protocol. */
function cpuRows(results: readonly Result[]): string[][] {
  return results.flatMap(({ measure, peer, cpu }) => {
    if (cpu === undefined) return [];
    const raw = results.find((it) =>
      it.measure === measure && it.peer === NAMES.raw
    )?.cpu;
    const { client, server } = cpu;
    const ofRaw = raw && sum(cpu) / sum(raw);
    return [[
      `${measure}: ${peer}`,
      ...[client, server, sum(cpu), ofRaw].map(figure),
    ]];
  });
}

function checkRow({ what, value, target = "", holds }: Check): string[] {
  const says = holds === undefined ? "" : holds ? "yes" : "NO";
  return [what, figure(value), target, says];
}

/** The rows as a table of Markdown, the first as its head. */
export function align(rows: string[][]): string[] {
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

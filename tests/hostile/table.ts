/**
 * Prints the rows.
 *
 * @module
 */
import type { Measured } from "./attack.ts";
import { mib, ms } from "./verdict.ts";

const TITLES = [
  "attack",
  "bound",
  "peak",
  "held",
  "p50",
  "p99",
  "max",
  "connect",
  "sent",
  "errors here",
  "attacker saw",
  "verdict",
];

/** The verdict on a row. */
export function verdict(
  { problems, documented, disturbed, bound }: Measured,
): string {
  if (bound === Infinity || bound === null) return "-";
  if (problems.length === 0) return "ok";
  if (disturbed) return "disturbed";
  return documented === undefined ? "FAILED" : "documented";
}

function counts(of: Record<string, number> | undefined): string {
  const entries = Object.entries(of ?? {});
  if (entries.length === 0) return "-";
  return entries.map(([what, n]) => n === 1 ? what : `${what} ×${n}`)
    .join(", ");
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? "?" : mib(bytes);
}

function cells(row: Measured): string[] {
  const { healthy, findings } = row;
  const time = (value: number | undefined) =>
    value === undefined ? "?" : ms(value);
  return [
    row.attack,
    Number.isFinite(row.bound) ? mib(row.bound) : "-",
    size(row.peak),
    size(row.held),
    time(healthy?.p50),
    time(healthy?.p99),
    time(healthy?.max),
    time(healthy?.connectMax),
    size(findings?.sent),
    row.died === undefined ? counts(row.errors) : `DIED: ${row.died}`,
    counts(findings?.lines),
    verdict(row),
  ];
}

/** The table, followed by the problems of each row. */
export function table(rows: readonly Measured[]): string {
  const lines = [TITLES, ...rows.map(cells)];
  const widths = TITLES.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length))
  );
  const print = (line: string[]) =>
    `| ${line.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const problems = rows
    .filter(({ problems }) => problems.length > 0)
    .map(problemsOf);
  return [
    print(TITLES),
    rule,
    ...rows.map((row) => print(cells(row))),
    ...problems.length > 0 ? ["", ...problems] : [],
  ].join("\n");
}

function problemsOf(
  { attack, about, problems, documented, disturbed, others }: Measured,
): string {
  const excuse = disturbed
    ? ` (other processes kept ${others!.toFixed(1)} cores busy)`
    : documented === undefined
    ? ""
    : ` (documented: ${documented})`;
  return [
    `${attack}: ${about}${excuse}`,
    ...problems.map((problem) => `  - ${problem}`),
  ].join("\n");
}

/**
 * Prints the figures of a run.
 *
 * @module
 */
import type { Counts, SoakReport } from "./soak.ts";
import { growthOf } from "./trend.ts";
import { judgedForGrowth, type Sample, seriesOf, SIDES } from "./verdict.ts";

const MIB = 1024 * 1024;

/** The columns of each side. */
const OF_A_SIDE = ["alive", "rss", "files", "timers", "peers"] as const;

const COLUMNS: readonly [string, (sample: Sample, counts: Counts) => string][] =
  [
    ["minute", ({ at }) => (at / 60).toFixed(1)],
    ["acts", (_, { done }) => String(done)],
    ["interrupted", (_, { interrupted }) => String(interrupted)],
    ["connections", (_, { connections }) => String(connections)],
    ["drains", (_, { drains }) => String(drains)],
    ["drops", (_, { drops }) => String(drops)],
    ["kills", (_, { kills }) => String(kills)],
    ...SIDES.flatMap((side) =>
      OF_A_SIDE.map((name): [string, (sample: Sample) => string] => [
        `${side} ${name}`,
        (sample) => {
          const value = sample[side][name];
          return name === "alive" || name === "rss"
            ? `${(value / MIB).toFixed(1)} MiB`
            : String(value);
        },
      ])
    ),
    ["left", (sample) => String(leftIn(sample))],
  ];

/** Channels, callbacks, bytes, handlers and listeners that should be gone. */
function leftIn({ server, client }: Sample): number {
  return [server, client].reduce(
    (sum, { channels, slots, callbacks, held, running }) =>
      sum + channels + slots + callbacks + held + running,
    0,
  );
}

function line(cells: string[]): string {
  const padded = cells.map((cell, i) => cell.padStart(COLUMNS[i]![0].length));
  return `| ${padded.join(" | ")} |`;
}

/** The first two lines of the table. */
export function headings(): string {
  const names = COLUMNS.map(([name]) => name);
  return `${line(names)}\n${
    line(names.map((name) => "-".repeat(name.length)))
  }`;
}

/** A line of the table. */
export function row(sample: Sample, counts: Counts): string {
  return line(COLUMNS.map(([, of]) => of(sample, counts)));
}

/** What came of the run: growth, acts by name, and the verdict. */
export function summary(
  { samples, counts, acts, problems }: SoakReport,
): string {
  const judged = judgedForGrowth(samples);
  const growth = SIDES.flatMap((side) =>
    (["alive", "rss"] as const).map((name) => {
      const mib = growthOf(seriesOf(judged, side, name)) / MIB;
      return `${side} ${name} ${mib >= 0 ? "+" : ""}${mib.toFixed(2)} MiB`;
    })
  );
  const lines = [
    Object.entries(acts).sort(([a], [b]) => a < b ? -1 : 1)
      .map(([name, count]) => `${name} ×${count}`).join(", "),
    judged.length === 0
      ? "growth is not judged: too few rests after the warm-up"
      : `growth by the line through ${judged.length} rests: ${
        growth.join(", ")
      }`,
    ...problems.map((problem) => `PROBLEM ${problem}`),
    `soak: ${counts.done} acts, ${counts.interrupted} interrupted, ` +
    `${counts.connections} connections, ${counts.drains} drains, ` +
    `${counts.drops} drops, ${counts.kills} kills: ` +
    (problems.length === 0 ? "ok" : `${problems.length} problems`),
  ];
  return lines.join("\n");
}

/**
 * The report as a picture, for the README: SVG, written by hand.
 *
 * @module
 */
import { type MeasureName, measureOf } from "./measures.ts";
import { NAMES } from "./peers.ts";
import type { Report, Result } from "./report.ts";
import { figure } from "./table.ts";

/** What is worth a chart, if it was measured. */
const CHARTS: readonly MeasureName[] = [
  "unary-1",
  "unary-64",
  "bytes",
  "echo",
  "beside-receive",
  "stdio-64",
];

/** Pixels. */
const WIDTH = 420, BAR = 18, LABEL = 165, VALUE = 120, PAD = 16, HEAD = 40;

/** Bars for every measure of {@linkcode CHARTS}, two side by side. */
export function picture({ machine, results }: Report): string {
  const charts = CHARTS.map((measure) =>
    results.filter((result) => result.measure === measure)
  ).filter((rows) => rows.length > 0);
  const parts: string[] = [];
  let y = PAD;
  for (let i = 0; i < charts.length; i += 2) {
    const pair = charts.slice(i, i + 2);
    parts.push(...pair.map((rows, column) => chart(rows, column * WIDTH, y)));
    y += HEAD + Math.max(...pair.map(({ length }) => length)) * BAR + PAD;
  }
  const note = `Medians of one run: two processes on one machine, ` +
    `${machine.cores} cores, Deno ${machine.deno}. In brackets: what has no ` +
    `flow control and no streams.`;
  parts.push(text(PAD, y + 4, note, "note"));
  const height = y + PAD;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    2 * WIDTH
  } ${height}" width="${2 * WIDTH}" height="${height}" role="img">
<title>Speed of qtalk beside its peers</title>
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .note { font-size: 11px; fill: #6e7781; }
  .peer { fill: #afb8c1; }
  .ours { fill: #0969da; }
</style>
<rect width="100%" height="100%" rx="6" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

function chart(rows: readonly Result[], x: number, y: number): string {
  const { title, unit } = measureOf(rows[0]!.measure);
  const sorted = rows.toSorted((a, b) => b.median - a.median);
  const longest = sorted[0]!.median;
  const bars = sorted.map(({ peer, median, p99 }, i) => {
    const top = y + HEAD - BAR + i * BAR;
    const width = (WIDTH - LABEL - VALUE) * median / longest;
    const kind = peer === NAMES.qtalk ? "ours" : "peer";
    const tail = p99 === undefined || unit === "calls/s"
      ? ""
      : `, p99 ${figure(p99 / 1_000)} ms`;
    return [
      text(x + PAD, top + 13, peer, kind === "ours" ? "title" : ""),
      `<rect class="${kind}" x="${x + LABEL}" y="${top + 3}" width="${
        Math.max(1, width).toFixed(1)
      }" height="${BAR - 5}"/>`,
      text(x + LABEL + width + 5, top + 13, figure(median) + tail),
    ].join("\n");
  });
  const heading = text(x + PAD, y + 12, `${title}, ${unit}`, "title");
  return [heading, ...bars].join("\n");
}

function text(x: number, y: number, content: string, kind = ""): string {
  const escaped = content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}">${escaped}</text>`;
}

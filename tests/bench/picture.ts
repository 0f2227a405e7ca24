/**
 * The report as a picture, for the README: SVG, written by hand, for light and
 * dark pages.
 *
 * @module
 */
import { type MeasureName, measureOf } from "./measures.ts";
import { NAMES } from "./peers.ts";
import type { Report, Result } from "./report.ts";
import { figure } from "./table.ts";

/** What is worth a chart, if it was measured; two beside each other. */
const CHARTS: readonly MeasureName[] = [
  ...["unary-1", "unary-64"] as const,
  ...["ws-64", "stdio-64"] as const,
  ...["bytes", "echo"] as const,
  ...["beside-receive", "worker-64"] as const,
];
/** What says more in the table: one side ours, the other Go's. */
const LEFT_OUT: readonly string[] = [NAMES.qtalkToGo, NAMES.goToQtalk];

/** Pixels. The value has room behind the longest bar, the name before it. */
const WIDTH = 440, BAR = 20, LABEL = 168, VALUE = 124, PAD = 16, HEAD = 44;

/** Bars for every measure of {@linkcode CHARTS}, two side by side. */
export function picture({ machine, results }: Report): string {
  const charts = CHARTS.map((measure) =>
    results.filter((result) =>
      result.measure === measure && !LEFT_OUT.includes(result.peer)
    )
  ).filter((rows) => rows.length > 0);
  const parts: string[] = [];
  let y = PAD;
  for (let i = 0; i < charts.length; i += 2) {
    const pair = charts.slice(i, i + 2);
    parts.push(...pair.map((rows, column) => chart(rows, column * WIDTH, y)));
    y += HEAD + Math.max(...pair.map(({ length }) => length)) * BAR + PAD;
  }
  const note = `Medians of one run on a machine with ${machine.cores} cores, ` +
    `Deno ${machine.deno}; longer is better. ` +
    `Hollow, in brackets: limits, with neither flow control nor streams.`;
  parts.push(text(PAD, y, note, "note"));
  const height = y + PAD;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    2 * WIDTH
  } ${height}" width="${2 * WIDTH}" height="${height}" role="img">
<title>Speed of qtalk beside its peers</title>
<style>
  svg {
    --page: #ffffff; --text: #1f2328; --faint: #656d76;
    --peer: #afb8c1; --ours: #0969da;
  }
  @media (prefers-color-scheme: dark) {
    svg {
      --page: #0d1117; --text: #e6edf3; --faint: #8d96a0;
      --peer: #545d68; --ours: #4493f8;
    }
  }
  .page { fill: var(--page); }
  text { font: 12px system-ui, sans-serif; fill: var(--text); }
  .title, .name.ours { font-weight: 600; }
  .name { text-anchor: end; }
  .unit, .note { fill: var(--faint); font-weight: 400; }
  .note { font-size: 11px; }
  rect.peer { fill: var(--peer); }
  rect.limit { fill: none; stroke: var(--peer); }
  rect.ours { fill: var(--ours); }
</style>
<rect class="page" width="100%" height="100%" rx="6"/>
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
    const kind = peer === NAMES.qtalk
      ? "ours"
      : peer.startsWith("(")
      ? "limit"
      : "peer";
    const tail = p99 === undefined || unit === "calls/s"
      ? ""
      : `, p99 ${figure(p99 / 1_000)} ms`;
    return [
      text(x + LABEL - 8, top + 14, peer, `name ${kind}`),
      // Half a pixel in, lines are sharp.
      `<rect class="${kind}" x="${x + LABEL + 0.5}" y="${top + 3.5}" width="${
        Math.max(1, width).toFixed(1)
      }" height="${BAR - 7}" rx="1.5"/>`,
      text(x + LABEL + width + 7, top + 14, figure(median) + tail),
    ].join("\n");
  });
  const heading = `<text class="title" x="${x + PAD}" y="${y + 12}">${
    escape(title)
  } <tspan class="unit">${unit}</tspan></text>`;
  return [heading, ...bars].join("\n");
}

function text(x: number, y: number, content: string, kind = ""): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}">${
    escape(content)
  }</text>`;
}

function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

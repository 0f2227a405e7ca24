/**
 * The curves as a picture: SVG, written by hand, for light and dark pages.
 *
 * @module
 */
import { figure } from "../table.ts";
import type { Curve, Point } from "./curves.ts";

/** A curve and its points. */
export interface Measured {
  curve: Curve;
  points: Point[];
}

/** Pixels. The labels of the axes have room for seven digits, and for six. */
const WIDTH = 440, HEIGHT = 210, LEFT = 78, RIGHT = 58, TOP = 44, BOTTOM = 34;

/** A chart for each curve, two side by side; both axes are logarithmic. */
export function picture(all: readonly Measured[]): string {
  const charts = all.map((measured, i) =>
    chart(measured, i % 2 * WIDTH, Math.floor(i / 2) * HEIGHT)
  );
  const rows = Math.ceil(all.length / 2);
  const height = rows * HEIGHT + 40;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    2 * WIDTH
  } ${height}" width="${2 * WIDTH}" height="${height}" role="img">
<title>How cost grows with number and size</title>
<style>
  svg {
    --page: #ffffff; --text: #1f2328; --faint: #656d76;
    --grid: #d1d9e0; --time: #0969da; --memory: #9a6700;
  }
  @media (prefers-color-scheme: dark) {
    svg {
      --page: #0d1117; --text: #e6edf3; --faint: #8d96a0;
      --grid: #30363d; --time: #4493f8; --memory: #d29922;
    }
  }
  .page { fill: var(--page); }
  text { font: 11px system-ui, sans-serif; fill: var(--text); }
  .title { font-size: 12px; font-weight: 600; }
  .faint { fill: var(--faint); }
  .left { text-anchor: end; }
  .middle { text-anchor: middle; }
  .grid { stroke: var(--grid); fill: none; }
  .linear { stroke: var(--faint); fill: none; stroke-dasharray: 2 4; }
  .time { stroke: var(--time); fill: none; stroke-width: 2; }
  .memory { stroke: var(--memory); fill: none; stroke-width: 1.5; stroke-dasharray: 5 3; }
  text.time { fill: var(--time); stroke: none; }
  text.memory { fill: var(--memory); stroke: none; }
  circle { fill: var(--time); }
</style>
<rect class="page" width="100%" height="100%" rx="6"/>
${charts.join("\n")}
<text x="16" y="${
    rows * HEIGHT + 20
  }" class="faint">Both axes are logarithmic. Solid: time, at the left. Dashed: memory of the client in MiB, at the right. Dotted: as fast as the size.</text>
</svg>
`;
}

function chart({ curve, points }: Measured, x: number, y: number): string {
  const sizes = points.map(({ size }) => size);
  const right = x + WIDTH - RIGHT, bottom = y + HEIGHT - BOTTOM;
  const across = scale(sizes[0]!, sizes.at(-1)!, x + LEFT, right);
  const values = points.map(({ value }) => value);
  // At least three powers of ten: what is flat looks flat.
  const [low, high] = range(values, 3);
  const up = scale(low, high, bottom, y + TOP);
  const memory = points.map(({ memory }) => memory);
  const [least, most] = range(memory, 3);
  const beside = scale(least, most, bottom, y + TOP);
  const line = (kind: string, at: (point: Point) => number) =>
    `<polyline class="${kind}" points="${
      points.map((point) =>
        `${across(point.size).toFixed(1)},${at(point).toFixed(1)}`
      ).join(" ")
    }"/>`;
  const first = points[0]!;
  const lastSize = Math.min(
    sizes.at(-1)!,
    first.size * high / first.value,
  );
  return [
    text(x + 16, y + 18, curve.title, "title"),
    text(x + 16, y + 34, `${curve.unit}, and MiB`, "faint"),
    `<path class="grid" d="M${x + LEFT},${y + TOP}V${bottom}H${right}V${
      y + TOP
    }"/>`,
    ...[low, high].map((at) =>
      text(x + LEFT - 6, up(at) + 4, figure(at), "time left")
    ),
    ...[least, most].map((at) =>
      text(right + 6, beside(at) + 4, figure(at), "memory")
    ),
    ...[sizes[0]!, sizes.at(-1)!].map((at) =>
      text(across(at), bottom + 16, sizeText(at, curve), "faint middle")
    ),
    text((x + LEFT + right) / 2, bottom + 16, curve.sizes, "faint middle"),
    `<path class="linear" d="M${across(first.size).toFixed(1)},${
      up(first.value).toFixed(1)
    }L${across(lastSize).toFixed(1)},${
      up(first.value * lastSize / first.size).toFixed(1)
    }"/>`,
    line("memory", (point) => beside(point.memory)),
    line("time", (point) => up(point.value)),
    ...points.map(({ size, value }) =>
      `<circle cx="${across(size).toFixed(1)}" cy="${
        up(value).toFixed(1)
      }" r="2.5"/>`
    ),
  ].join("\n");
}

function sizeText(size: number, { sizes }: Curve): string {
  const MIB = 1024 * 1024;
  return sizes === "bytes" && size >= MIB
    ? `${figure(size / MIB)} MiB`
    : figure(size);
}

/** Powers of ten around all values, at least `powers` apart. */
function range(values: number[], powers: number): [number, number] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  return [10 ** low, 10 ** Math.max(high, low + powers)];
}

/** Maps values to pixels, logarithmically. */
function scale(low: number, high: number, from: number, to: number) {
  const decades = Math.log(high / low);
  return (value: number) =>
    from + (to - from) * Math.log(value / low) / decades;
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${
    y.toFixed(1)
  }">${content}</text>`;
}

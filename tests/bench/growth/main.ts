// Measures how cost grows with number and size, as a page of curves.
// `deno task growth --help` says more.

import { parseArgs } from "node:util";
import { script } from "../peer.ts";
import { figure } from "../table.ts";
import { type Curve, type CurveName, CURVES, type Point } from "./curves.ts";
import { type Measured, picture } from "./picture.ts";

/** The points of each curve that was measured. */
type Run = Partial<Record<CurveName, Point[]>>;

const names = Object.keys(CURVES) as CurveName[];

const HELP = `Measures how cost grows with number and size.

Usage: deno task growth [options] [CURVE...]

Curves: ${names.join(", ")}

  --json FILE  also write the points to this file
  --from FILE  measure nothing: show the points of an earlier run
  --help       print this

Each curve has a server process and a client process of its own. The steepest
step is the exponent between two neighbouring points: 0 is flat, 1 is linear.
If all curves are measured, tests/bench/growth.svg is written.`;

const { values: flags, positionals } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "--"),
  allowPositionals: true,
  options: {
    json: { type: "string" },
    from: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(HELP);
  Deno.exit();
}
const unknown = positionals.find((name) => !names.includes(name as CurveName));
if (unknown !== undefined) {
  console.error(`There is no curve "${unknown}", only ${names.join(", ")}`);
  Deno.exit(2);
}
const wanted = names.filter((name) =>
  positionals.length === 0 || positionals.includes(name)
);
const run: Run = flags.from === undefined
  ? {}
  : JSON.parse(await Deno.readTextFile(flags.from));
const all: Measured[] = [];
for (const name of wanted) {
  const curve: Curve = CURVES[name];
  const points = run[name] ??= await measure(name);
  all.push({ curve, points });
  console.log(table(curve, points));
}
if (flags.json) await Deno.writeTextFile(flags.json, JSON.stringify(run));
if (wanted.length === names.length) {
  const file = new URL("../growth.svg", import.meta.url);
  await Deno.writeTextFile(file, picture(all));
}

async function measure(name: CurveName): Promise<Point[]> {
  const [program, ...args] = script("growth/server.ts", name);
  const server = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  try {
    const lines = server.stdout.pipeThrough(new TextDecoderStream());
    const reader = lines.getReader();
    const address = (await reader.read()).value!.trim();
    const [own, ...ownArgs] = script("growth/client.ts", name, address);
    const client = new Deno.Command(own, { args: ownArgs, stderr: "inherit" });
    const { success, stdout } = await client.output();
    await reader.cancel();
    if (!success) throw new Error(`Cannot measure ${name}: its client failed`);
    const text = new TextDecoder().decode(stdout).trim();
    return text.split("\n").map((line) => JSON.parse(line));
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

function table({ title, sizes, unit, wanted }: Curve, points: Point[]): string {
  const rows = points.map(({ size, value, memory }) =>
    `| ${figure(size)} | ${figure(value)} | ${memory.toFixed(1)} |`
  );
  return [
    `\n${title} (${wanted}; steepest step ${steepest(points).toFixed(2)})\n`,
    `| ${sizes} | ${unit} | client, MiB |`,
    "| --: | --: | --: |",
    ...rows,
  ].join("\n");
}

function steepest(points: Point[]): number {
  const steps = points.slice(1).map(({ size, value }, i) =>
    Math.log(value / points[i]!.value) / Math.log(size / points[i]!.size)
  );
  return Math.max(...steps);
}

// Kills producers in the middle of their streams, and counts the streams that
// ended as if they were complete.
//
//   deno run -A tests/hostile/kills.ts [--kills N] [--throws N] [--seed N]
//     [--only PATH,…] [--against DIRECTORY]
//
// Prints a table and the seed. The exit code is 1 if a stream ended cleanly and
// was incomplete, or did not end.

import { parseArgs } from "node:util";
import { Random } from "../support/random.ts";
import { PATHS, type Reached } from "./kills/paths.ts";
import { type Ending, type Kind, Reading } from "./kills/reading.ts";
import { loadLibrary } from "./library.ts";

const { values: flags } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    kills: { type: "string", default: "200" },
    throws: { type: "string", default: "60" },
    seed: { type: "string" },
    only: { type: "string" },
    against: { type: "string" },
  },
});

const here = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const directory = flags.against === undefined
  ? here
  : Deno.realPathSync(flags.against);
const library = await loadLibrary(directory);
const scratch = await Deno.makeTempDir({ prefix: "qtalk_kills_" });
const random = new Random(
  Number(flags.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]),
);
const paths = flags.only?.split(",") ?? Object.keys(PATHS);

/** The endings of streams, by path and kind. */
const counts = new Map<string, Record<Ending, number>>();

function note(row: string, ending: Ending): void {
  const count = counts.get(row) ??
    { complete: 0, failed: 0, cut: 0, hung: 0 };
  count[ending]++;
  counts.set(row, count);
}

/** Items of a stream: a few, so that some kills come late, or many. */
function anyCount(kind: Kind): number {
  const few = random.int(1, 100);
  const many = kind === "bytes" ? 20_000 : 2_000_000;
  return random.pick([few, few, many, many, many]);
}

/** Reads four streams and kills their producer once so much has come. */
async function killOne(path: string): Promise<void> {
  await using reached: Reached = await PATHS[path]!({
    library,
    directory,
    scratch,
  });
  const kinds: Kind[] = ["bytes", "values", "bytes", "values"];
  const readings = kinds.map((kind) =>
    new Reading(reached.peer, kind, anyCount(kind), null)
  );
  const [watched] = [random.pick(readings)];
  const killAt = random.int(0, 300);
  const delay = random.pick([0, 0, random.int(0, 20)]);
  const due = new Promise<void>((resolve) => {
    watched.onItem = () => watched.received >= killAt && resolve();
    void watched.ending().then(() => resolve());
  });
  await due;
  await new Promise((resolve) => setTimeout(resolve, delay));
  Deno.kill(reached.pid, "SIGKILL");
  for (const reading of readings) {
    note(`${path}, killed, ${reading.kind}`, await reading.ending());
  }
}

/** Reads two streams whose source throws. */
async function throwOne(path: string, { peer }: Reached): Promise<void> {
  for (const kind of ["bytes", "values"] as const) {
    const count = random.int(1, 2_000);
    const reading = new Reading(peer, kind, count, random.int(0, count));
    note(`${path}, thrown, ${kind}`, await reading.ending());
  }
}

for (let i = 0; i < Number(flags.kills); i++) {
  await killOne(paths[i % paths.length]!);
}
for (const path of paths) {
  const rounds = Math.ceil(Number(flags.throws) / paths.length);
  if (rounds === 0) continue;
  await using reached = await PATHS[path]!({ library, directory, scratch });
  for (let i = 0; i < rounds; i++) await throwOne(path, reached);
}
await Deno.remove(scratch, { recursive: true });

const rows = [...counts].sort(([a], [b]) => a < b ? -1 : 1);
console.log("| path, end, streams      | complete | failed | cut | hung |");
console.log("| ----------------------- | -------- | ------ | --- | ---- |");
for (const [row, { complete, failed, cut, hung }] of rows) {
  const cells = [
    row.padEnd(23),
    String(complete).padEnd(8),
    String(failed).padEnd(6),
    String(cut).padEnd(3),
    String(hung).padEnd(4),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
const wrong = rows.reduce((sum, [, { cut, hung }]) => sum + cut + hung, 0);
console.log(
  `\n${flags.kills} kills, seed ${random.seed}: ${wrong} streams ended wrongly`,
);
Deno.exit(wrong > 0 ? 1 : 0);

// The bench: this package beside peers, in turns.
// `deno task bench --help` says more.

import { parseArgs } from "node:util";
import {
  type MeasureName,
  measureOf,
  MEASURES,
  type Sample,
} from "./measures.ts";
import { type Entry, findPeers, NAMES } from "./peers.ts";
import { picture } from "./picture.ts";
import { makeReport, type Report, type Samples } from "./report.ts";
import { type Placement, RunningPeer } from "./run.ts";
import { summary } from "./summary.ts";
import { figure, table } from "./table.ts";

const HELP =
  `Measures calls and bytes between two processes, or one and its worker.

Usage: deno task bench [options]

  --peers A,B       only peers whose name contains one of these
  --measures A,B    only these:
                    ${Object.keys(MEASURES).join(", ")}
  --rounds N        rounds, of which the median counts (default 5)
  --seconds S       seconds of each measure of calls (default 0.5)
  --warmup S        seconds of calls before them (default 1.5)
  --mib N           MiB sent one way (default 512)
  --echo-mib N      MiB echoed, or beside which calls go (default 1024)
  --cores one|two   keep both processes on one core, or each on its own, by
                    taskset (default: as the system likes)
  --json            print JSON and no table
  --svg FILE        also write a picture
  --before CHECKOUT compare with another checkout of this package
  --from FILE       measure nothing: show what --json printed to this file
  --summary         print the one table of the log's first page; --from may be
                    repeated for it, for a run each
  --help            print this

Rounds alternate: each takes every peer in turn. Each measure has a client
process of its own; a server process serves all rounds.`;

const { values: flags } = parseArgs({
  // `deno task` passes on the `--` that other runners take for themselves.
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    peers: { type: "string" },
    measures: { type: "string" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "0.5" },
    warmup: { type: "string", default: "1.5" },
    mib: { type: "string", default: "512" },
    "echo-mib": { type: "string", default: "1024" },
    cores: { type: "string", default: "free" },
    json: { type: "boolean", default: false },
    svg: { type: "string" },
    before: { type: "string" },
    from: { type: "string", multiple: true, default: [] },
    summary: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (flags.help) console.log(HELP);
else {
  const reports: Report[] = flags.from.length === 0
    ? [await measure()]
    : await Promise.all(flags.from.map(read));
  const report = reports.at(-1)!;
  console.log(
    flags.summary
      ? summary(reports)
      : flags.json
      ? JSON.stringify(report, null, 2)
      : reports.map(table).join("\n\n"),
  );
  if (flags.svg) await Deno.writeTextFile(flags.svg, picture(report));
}

async function read(file: string): Promise<Report> {
  return JSON.parse(await Deno.readTextFile(file));
}

async function measure(): Promise<Report> {
  const rounds = number("rounds", flags.rounds);
  const options = {
    seconds: number("seconds", flags.seconds),
    warmup: number("warmup", flags.warmup),
    bytes: number("mib", flags.mib) * 1024 * 1024,
    echoBytes: number("echo-mib", flags["echo-mib"]) * 1024 * 1024,
  };
  const placement = selectPlacement();
  const measures = selectMeasures();
  const directory = await Deno.makeTempDir({ prefix: "qtalk_bench_" });
  // All that the processes leave behind goes there.
  Deno.env.set("TMPDIR", directory);
  await using running = new AsyncDisposableStack();
  running.defer(() => Deno.remove(directory, { recursive: true }));

  const entries = await findPeers(directory, isWanted, flags.before);
  const peers = new Map<Entry, RunningPeer>();
  for (const entry of entries) {
    if (entry.peer === undefined) continue;
    peers.set(entry, running.use(new RunningPeer(entry.peer, placement)));
  }
  const load = Deno.loadavg()[0]!;
  const samples: Samples = [];
  for (let round = 1; round <= rounds; round++) {
    for (const measure of measures.flatMap(turns)) {
      for (const [entry, running] of peers) {
        if (!running.peer.measures.includes(measure)) continue;
        const { name } = entry;
        try {
          const sample = await running.measure(measure, options);
          progress(`round ${round} of ${rounds}: ${name}, ${measure}`, sample);
          samples.push({ peer: name, measure, sample });
        } catch (error) {
          // A run takes long: what another peer cannot do does not end it. One
          // from a registry may not come, or may break.
          if (name === NAMES.qtalk) throw error;
          entry.missing = (error as Error).message;
          console.error(`${name} leaves: ${entry.missing}`);
          peers.delete(entry);
        }
      }
    }
  }
  const settings = { rounds, placement, ...options };
  return makeReport(settings, load, entries, measures, samples);
}

/** The measure as often as its peers take turns in a round. */
function turns(measure: MeasureName): MeasureName[] {
  return Array<MeasureName>(measureOf(measure).turns ?? 1).fill(measure);
}

/** Numbers are for those who watch; standard output is for the result. */
function progress(what: string, { value, p99 }: Sample): void {
  const tail = p99 === undefined ? "" : `, p99 ${figure(p99)} µs`;
  console.error(`${what}: ${figure(value)}${tail}`);
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new RangeError(`Cannot use --${name}: "${text}" is not above 0`);
}

function selectMeasures(): MeasureName[] {
  const all = Object.keys(MEASURES) as MeasureName[];
  const wanted = flags.measures?.split(",") ?? all;
  for (const name of wanted) {
    if (all.includes(name as MeasureName)) continue;
    throw new RangeError(`Cannot measure "${name}": there is no such measure`);
  }
  return all.filter((name) => wanted.includes(name));
}

function selectPlacement(): Placement {
  const { cores } = flags;
  if (cores === "free" || cores === "one" || cores === "two") return cores;
  throw new RangeError(`Cannot use --cores: "${cores}" is neither one nor two`);
}

function isWanted(name: string): boolean {
  return (flags.peers?.split(",") ?? [""]).some((part) => name.includes(part));
}

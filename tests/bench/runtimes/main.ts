// The bench on Node and Bun: this package beside peers on the same runtime.
// `deno run -A tests/bench/runtimes/main.ts --help` says more.

import { parseArgs } from "node:util";
import { bundle } from "../../support/bundle.ts";
import { installRuntimes, run } from "../../node_bun/runtimes.ts";
import { type MeasureName, measureOf, type Sample } from "../measures.ts";
import type { CommandLine } from "../peer.ts";
import { RunningPeer } from "../run.ts";
import { figure } from "../table.ts";
import { PACKAGES } from "./packages.ts";
import type { TimedSample } from "./program.ts";
import { makeReport, type Row, tableOf } from "./report.ts";

const MEASURES = [
  ...["unary-1", "unary-64", "ws-1", "ws-64", "tls-1", "tls-64"],
] as const satisfies readonly MeasureName[];
/** Those that come from npm. */
const FETCHED = ["birpc", "kkrpc"];
const PLAIN: readonly MeasureName[] = MEASURES.slice(0, 4);
const CHECKOUT = new URL("../../../", import.meta.url);
/** The measures of each peer, by the name of its module. */
const PEERS: Record<string, readonly MeasureName[]> = {
  qtalk: MEASURES,
  birpc: PLAIN,
  kkrpc: PLAIN,
  id_map: MEASURES,
};

const HELP = `Measures calls between two processes of Node, or of Bun.

Usage: deno run -A tests/bench/runtimes/main.ts [options]

  --runtimes A,B    of node, node24, bun and deno (default node24,bun)
  --peers A,B       of ${Object.keys(PEERS).join(", ")} (default: all)
  --measures A,B    of ${MEASURES.join(", ")} (default: all)
  --rounds N        rounds, of which the median counts (default 5)
  --seconds S       seconds of each measure (default 0.5)
  --warmup S        seconds of calls before them (default 3)
  --before CHECKOUT also measure another checkout of this package
  --json            print JSON and no table
  --help            print this

Rounds alternate: each takes every measure, runtime and peer in turn. Each measure
has a client process of its own; a server process serves all rounds. The runtimes
and the peers come from npm.`;

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    runtimes: { type: "string", default: "node24,bun" },
    peers: { type: "string", default: Object.keys(PEERS).join() },
    measures: { type: "string", default: MEASURES.join() },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "0.5" },
    warmup: { type: "string", default: "3" },
    before: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (flags.help) console.log(HELP);
else {
  const report = await measureAll();
  console.log(flags.json ? JSON.stringify(report, null, 2) : tableOf(report));
}

async function measureAll() {
  const options = {
    seconds: number("seconds", flags.seconds),
    warmup: number("warmup", flags.warmup),
    bytes: 0,
    echoBytes: 0,
  };
  const rounds = number("rounds", flags.rounds);
  const measures: MeasureName[] = selected(
    "measures",
    flags.measures,
    MEASURES,
  );
  const peers = selected("peers", flags.peers, Object.keys(PEERS));
  const commands = await findCommands();
  const names = Object.keys(commands);
  const runtimes = selected("runtimes", flags.runtimes, names);

  await using running = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "qtalk_bench_" });
  running.defer(() => Deno.remove(directory, { recursive: true }));
  const program = await install(`${directory}/this`, CHECKOUT);
  const programs: [peer: string, file: string, program: string][] = peers.map(
    (peer) => [peer, peer, program],
  );
  if (flags.before !== undefined) {
    const checkout = new URL(`file://${await Deno.realPath(flags.before)}/`);
    const before = await install(`${directory}/before`, checkout);
    programs.push(["before", "qtalk", before]);
  }
  // The servers and clients read their certificates there.
  Deno.env.set(
    "QTALK_BENCH_TLS",
    new URL("tests/support/tls", CHECKOUT).pathname,
  );

  const rows: Row[] = [];
  const load = Deno.loadavg()[0]!;
  const versions: Record<string, string> = {};
  const turns: { row: Row; running: RunningPeer }[] = [];
  for (const runtime of runtimes) {
    const command = commands[runtime]!;
    versions[runtime] = await run(command[0], ["--version"]);
    for (const [peer, file, program] of programs) {
      const own = running.use(
        new RunningPeer({
          name: `${peer} on ${runtime}`,
          measures: PEERS[file]!,
          chatty: true,
          server: (
            transport,
          ) => [...command, program, "server", file, transport],
          client: (measure, address, options) => [
            ...[...command, program, "client", file, address] as CommandLine,
            ...[String(measureOf(measure).size), JSON.stringify(options)],
          ],
        }, "free"),
      );
      for (const measure of measures) {
        if (!PEERS[file]!.includes(measure)) continue;
        const row: Row = {
          runtime,
          measure,
          peer,
          rounds: [],
          p99: [],
          cpu: [],
        };
        rows.push(row);
        turns.push({ row, running: own });
      }
    }
  }
  // The peers of one runtime and measure follow each other.
  turns.sort((a, b) =>
    measures.indexOf(a.row.measure) - measures.indexOf(b.row.measure)
  );
  for (let round = 1; round <= rounds; round++) {
    for (const { row, running } of turns) {
      if (row.missing !== undefined) continue;
      try {
        const sample = await running.measure(row.measure, options);
        row.rounds.push(sample.value);
        row.p99.push(sample.p99!);
        row.cpu.push((sample as TimedSample).cpuPerCall);
        progress(round, row, sample);
      } catch (error) {
        // What comes from a registry may break.
        if (!FETCHED.includes(row.peer)) throw error;
        row.missing = (error as Error).message;
      }
    }
  }
  const { seconds, warmup } = options;
  return makeReport({ versions, load, rounds, seconds, warmup }, rows);
}

/** Numbers are for those who watch; standard output is for the result. */
function progress(round: number, row: Row, { value }: Sample): void {
  const { runtime, measure, peer } = row;
  console.error(
    `${round}: ${measure}, ${peer} on ${runtime}: ${figure(value)}`,
  );
}

/** The words that run a module on each runtime. */
async function findCommands(): Promise<Record<string, CommandLine>> {
  const { installed, missing } = await installRuntimes();
  if (installed === undefined) throw new Error(`Cannot measure: ${missing}`);
  return { ...installed, deno: [Deno.execPath(), "run", "-A", "--quiet"] };
}

/**
 * Bundles the program with the package of a checkout, next to the peers from npm;
 * resolves to the file.
 */
async function install(directory: string, checkout: URL): Promise<string> {
  await Deno.mkdir(directory);
  const write = (name: string, content: unknown) =>
    Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(content));
  const { href } = new URL("mod.ts", checkout);
  await write("deno.json", { imports: { "@qtalk/qtalk": href } });
  const { pathname } = new URL("program.ts", import.meta.url);
  const program = `${directory}/program.mjs`;
  await bundle(`--config=${directory}/deno.json`, `-o=${program}`, pathname);
  await Deno.remove(`${directory}/deno.json`);
  await write("package.json", { private: true, type: "module" });
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=peer"];
  await run("npm", ["install", "--prefix", directory, ...quiet, ...PACKAGES]);
  return program;
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new RangeError(`Cannot use --${name}: "${text}" is not above 0`);
}

function selected<T extends string>(
  option: string,
  text: string,
  all: readonly T[],
): T[] {
  const wanted = text.split(",");
  const unknown = wanted.find((name) => !all.includes(name as T));
  if (unknown === undefined) return all.filter((name) => wanted.includes(name));
  throw new RangeError(
    `Cannot use --${option}: "${unknown}" is not one of ${all.join(", ")}`,
  );
}

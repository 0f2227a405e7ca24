// Uses a server for minutes or hours, and checks that it holds at the end what
// it held at the beginning. `deno task soak --help` says more.

import { parseArgs } from "node:util";
import { Soak } from "./soak.ts";
import { headings, row, summary } from "./table.ts";

const HELP =
  `Uses a server for a long time, and checks that nothing is left behind.

Usage: deno task soak [options]

  --minutes N   how long (default 5)
  --seed N      chooses what is done and when (default: any)
  --beat N      seconds between two rests (default 10)
  --json FILE   also write all figures
  --help        print this

A server process listens on TCP, WebSocket, a Unix socket and a gateway that
forwards. A client process makes calls of every kind over all of them and checks
what comes back. Meanwhile, listeners drain and start again, the server closes
sessions, and further client processes are killed. At every rest, both processes
are measured: memory after collecting garbage, files, timers, channels, callbacks,
and what the accounts hold. A line of the table is printed every minute.

The exit code is 1 if a result was wrong or something was left behind.`;

const { values: flags } = parseArgs({
  // `deno task` passes `--` on to the program.
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string" },
    beat: { type: "string", default: "10" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Reads a number of the command line. */
function number(name: string, text: string): number {
  const value = Number(text);
  if (text !== "" && value > 0) return value;
  console.error(`Cannot use --${name}: "${text}" is not a number above 0`);
  Deno.exit(2);
}

async function run(): Promise<void> {
  const minutes = number("minutes", flags.minutes);
  const beat = number("beat", flags.beat);
  const seed = flags.seed === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]!
    : number("seed", flags.seed);
  console.log(`seed ${seed}\n\n${headings()}`);
  let nextRow = 0;
  await using soak = new Soak({
    seconds: minutes * 60,
    seed,
    beat,
    onProblem: (text) => console.error(`PROBLEM ${text}`),
    onSample(sample, counts) {
      if (sample.at < nextRow) return;
      nextRow = (Math.floor(sample.at / 60) + 1) * 60;
      console.log(row(sample, counts));
    },
  });
  const report = await soak.run();
  console.log(`\n${summary(report)}`);
  if (flags.json !== undefined) {
    const text = JSON.stringify({ seed, ...report }, null, 2);
    await Deno.writeTextFile(flags.json, `${text}\n`);
  }
  if (report.problems.length > 0) Deno.exitCode = 1;
}

if (flags.help) console.log(HELP);
else await run();

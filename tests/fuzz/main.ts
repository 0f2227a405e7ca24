// Tries frames, codecs and sessions with random inputs.
// `deno task fuzz --help` says more.

import { parseArgs } from "node:util";
import { Random } from "../support/random.ts";
import { codecs } from "./codecs.ts";
import { endings } from "./endings.ts";
import { frames } from "./frames.ts";
import { models } from "./models.ts";
import { sessions } from "./sessions.ts";
import { shareTime } from "./share_time.ts";
import type { Target } from "./target.ts";
import { worst } from "./worst.ts";

const TARGETS: readonly Target[] = [
  frames,
  ...codecs,
  sessions,
  endings(),
  models,
  worst(),
];

const HELP = `Tries frames, codecs and sessions with random inputs.

Usage: deno task fuzz [options]

  --minutes N   how long; all targets get as much time, but a round of "worst"
                takes a minute or more and is not cut short (default 1)
  --seed N      the first seed; each round has the next one
  --only A,B    only targets whose name contains one of these
  --help        print this

Targets: ${TARGETS.map(({ name }) => name).join("; ")}

A failure prints the seed of its round, which \`--seed\` runs first.`;

const { values: flags } = parseArgs({
  // `deno task` passes `--` on to the program.
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    only: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const selected = TARGETS.filter(({ name }) =>
  flags.only?.split(",").some((part) =>
    name.toLowerCase().includes(part.toLowerCase())
  ) ?? true
);
let seed = flags.seed === undefined
  ? crypto.getRandomValues(new Uint32Array(1))[0]!
  : Number(flags.seed);
let current = "";

function fail(error: unknown): never {
  console.error(`Failed: ${current}`);
  console.error(error);
  Deno.exit(1);
}

globalThis.addEventListener("unhandledrejection", ({ reason }) => fail(reason));

async function run(): Promise<void> {
  const rounds = new Map<string, number>();
  console.log(`seed ${seed}`);
  await shareTime(selected, Number(flags.minutes) * 60_000, async (target) => {
    current = `${target.name}, --only "${target.name}" --seed ${seed}`;
    await target.round(new Random(seed++));
    rounds.set(target.name, (rounds.get(target.name) ?? 0) + 1);
  });
  for (const [name, count] of rounds) console.log(`${name}: ${count} rounds`);
  for (const target of selected) {
    const report = target.report?.();
    if (report !== undefined) console.log(`\n${report}`);
  }
}

if (flags.help) console.log(HELP);
else if (selected.length === 0) {
  console.error(`Cannot use --only: no target has "${flags.only}" in its name`);
  Deno.exitCode = 2;
} else await run().catch(fail);

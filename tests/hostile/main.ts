// Attacks a server, one attack after another, and prints a table.
// `deno task hostile --help` says more.

import { parseArgs } from "node:util";
import { Arena } from "./arena.ts";
import type { Attack, HealthyReport, Measured } from "./attack.ts";
import { attackNamed, ATTACKS, CONTROL, SHORT_FORM } from "./attacks.ts";
import { table, verdict } from "./table.ts";
import { isDisturbed, isWorthAnotherTry, problemsOf } from "./verdict.ts";

/** How often a row is tried, and milliseconds for all of the short form. */
const TRIES = 3, SHORT_LIMIT = 45_000;

const HELP = `Attacks a server process beside a healthy client.

Usage: deno task hostile [options]

  --only A,B       only these attacks
  --short          the short form, which the gate runs: few attacks, most for
                   1.5 seconds, against as few servers as possible; what
                   fails is tried again with a server of its own, and the
                   healthy client may wait four times as long
                   (in the whole form, only rows in which other processes
                   have disturbed the healthy client are tried again)
  --against DIR    serve the library of another checkout
  --json FILE      also write all figures
  --list           only say which attacks there are
  --help           print this

Server, attacker and healthy client are processes of their own, which talk over
the loopback interface and end by themselves. The exit code is 1 if a row failed.`;

const { values: flags } = parseArgs({
  // `deno task` passes `--` on to the program.
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    only: { type: "string" },
    short: { type: "boolean", default: false },
    against: { type: "string" },
    json: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const here = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const directory = flags.against === undefined
  ? here
  : Deno.realPathSync(flags.against);

/** The attacks to run. */
function selected(): readonly Attack[] {
  if (flags.only !== undefined) return flags.only.split(",").map(attackNamed);
  return flags.short ? [...SHORT_FORM.keys()].map(attackNamed) : ATTACKS;
}

/** The duration of an attack in milliseconds. */
function duration({ name, ms = 3_000 }: Attack): number {
  return flags.short ? SHORT_FORM.get(name) ?? 500 : ms;
}

/**
 * The short form shares a server between attacks on the same setup, as long as
 * they pass; otherwise each attack has its own.
 */
class Arenas implements AsyncDisposable {
  #arena: Arena | undefined;
  #setup = "";
  reusable = true;

  async for({ setup = {} }: Attack): Promise<Arena> {
    const key = JSON.stringify(setup);
    const shared = flags.short && this.reusable && this.#setup === key;
    if (shared && this.#arena?.alive) return this.#arena;
    await this[Symbol.asyncDispose]();
    this.#setup = key;
    return this.#arena = await Arena.start(directory, setup);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arena?.[Symbol.asyncDispose]();
    this.#arena = undefined;
  }
}

/** The short form must not fail because a machine is slower than another. */
function slack(): number {
  return flags.short ? 4 : 1;
}

/** Runs an attack and judges it. */
async function judged(
  arenas: Arenas,
  attack: Attack,
  control: HealthyReport | undefined,
): Promise<Measured> {
  const arena = await arenas.for(attack);
  const measured = await arena.measure(attack, duration(attack));
  const problems = attack === CONTROL
    ? []
    : problemsOf(attack, measured, control, slack());
  // What an attack has done to a server must not count for the next one.
  arenas.reusable = problems.length === 0;
  return { ...measured, problems };
}

async function run(attacks: readonly Attack[]): Promise<Measured[]> {
  await using arenas = new Arenas();
  const begun = performance.now();
  const rows = [await judged(arenas, CONTROL, undefined)];
  for (const attack of attacks) {
    const control = rows[0]!.healthy;
    const terms = { short: flags.short, slack: slack() };
    let row = await judged(arenas, attack, control);
    for (let tries = 1; tries < TRIES; tries++) {
      if (!isWorthAnotherTry(row, control, terms)) break;
      if (flags.short && performance.now() - begun > SHORT_LIMIT) break;
      row = await judged(arenas, attack, control);
    }
    const disturbed = isDisturbed(row, control, terms.slack);
    rows.push(disturbed ? { ...row, disturbed } : row);
    // Progress; the table goes to standard output.
    console.error(`${attack.name}: ${verdict(row)}`);
  }
  return rows;
}

if (flags.help) console.log(HELP);
else if (flags.list) {
  for (const { name, about } of ATTACKS) console.log(`${name}: ${about}`);
} else {
  const attacks = selected();
  const rows = await run(attacks);
  console.log(table(rows));
  if (flags.json !== undefined) {
    await Deno.writeTextFile(flags.json, `${JSON.stringify(rows, null, 2)}\n`);
  }
  const count = (word: string) =>
    rows.filter((row) => verdict(row) === word).length;
  const failed = count("FAILED"), disturbed = count("disturbed");
  const held = rows.length - 1 - failed - disturbed;
  console.log(
    `\nhostile: ${held} rows hold, ${failed} failed, ` +
      `${disturbed} not judged because the machine was busy`,
  );
  if (failed > 0) Deno.exitCode = 1;
}

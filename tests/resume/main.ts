// Cuts the connections of sessions that resume, and compares what arrives.
// `deno task resume --help` says more.

import { parseArgs } from "node:util";
import { within } from "../support/within.ts";
import { download } from "./download.ts";
import { type Figures, runWithCuts, runWithoutCuts } from "./random_session.ts";

const MIB = 1024 * 1024;
/** Sessions that run at a time: most of what one does is wait for silences. */
const AT_ONCE = 8;
/** Milliseconds after which a session has failed: far beyond need. */
const PATIENCE = 60_000;

const HELP = `Cuts the connections of sessions that survive it.

Usage: deno task resume [options]

  --sessions N   how many random sessions, each cut 1 to 20 times (default 1000)
  --mib N        how large a download is; 0: there is none (default 1024)
  --cuts N       how often its connections are cut (default 50)
  --seed N       the seed of the first session, of which each has the next one,
                 and of the download (default 1)
  --help         print this

What arrives must be what arrives without cuts. A failure of a session prints its
seed. The exit code is 1 if other bytes arrived or a session failed.`;

const { values: flags } = parseArgs({
  // `deno task` passes `--` on to the program.
  args: Deno.args.filter((arg) => arg !== "--"),
  options: {
    sessions: { type: "string", default: "1000" },
    mib: { type: "string", default: "1024" },
    cuts: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(HELP);
  Deno.exit();
}

/** Reads a number of the command line. */
function number(name: "sessions" | "mib" | "cuts" | "seed"): number {
  const value = Number(flags[name]);
  if (flags[name] !== "" && Number.isInteger(value) && value >= 0) return value;
  console.error(
    `Cannot use --${name}: "${flags[name]}" is not an integer of at least 0`,
  );
  Deno.exit(2);
}

async function trySessions(count: number, seed: number): Promise<boolean> {
  const figures: Figures = { cuts: 0, bytes: 0 };
  let begun = 0;
  let failed = 0;
  const work = async () => {
    while (begun < count) {
      const own = seed + begun++;
      try {
        const expected = await runWithoutCuts(own);
        const run = runWithCuts(own, figures);
        const got = await within(run, "a session that is cut", PATIENCE);
        if (expected.join() === got.join()) continue;
        console.error(`seed ${own}: other bytes arrived`);
      } catch (error) {
        console.error(`seed ${own}:`, error);
      }
      failed++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const { cuts, bytes } = figures;
  console.log(
    `${count} sessions from seed ${seed}, ${cuts} cuts, ${bytes} bytes, ` +
      `${failed} failed`,
  );
  return failed === 0;
}

async function tryDownload(
  mib: number,
  cuts: number,
  seed: number,
): Promise<boolean> {
  const it = await download({ size: mib * MIB, cuts, seed });
  const isRight = it.sentHash === it.receivedHash &&
    it.received === mib * MIB;
  console.log(
    `${mib} MiB over ${it.connections} connections in ${
      (it.ms / 1_000).toFixed(1)
    } s: hash ${isRight ? "right" : "WRONG"}, at most ${
      (it.held / MIB).toFixed(1)
    } MiB held by one session, the process grew by ${
      (it.grown / MIB).toFixed(0)
    } MiB`,
  );
  return isRight;
}

const seed = number("seed");
const [count, mib, cuts] = [number("sessions"), number("mib"), number("cuts")];
// Lines in memory and the timers of a silence keep no process alive.
const awake = setInterval(() => {}, 1_000);
const sessions = await trySessions(count, seed);
const whole = mib === 0 || await tryDownload(mib, cuts, seed);
clearInterval(awake);
if (!sessions || !whole) Deno.exit(1);

/**
 * The long form of the tests of sessions that survive their connection: 1,000 random
 * sessions, each cut 1 to 20 times, and a download of 1 GiB through 50 cuts.
 *
 *     deno task resume
 *     deno task resume -- --sessions 100 --mib 64 --cuts 10 --seed 7
 *
 * @module
 */
import { download } from "./download.ts";
import { type Figures, runWithCuts, runWithoutCuts } from "./random_session.ts";

const MIB = 1024 * 1024;

/** The number after an option. */
function option(name: string, otherwise: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(Deno.args[at + 1]);
}

async function trySessions(count: number, seed: number): Promise<boolean> {
  const figures: Figures = { cuts: 0, bytes: 0 };
  let failed = 0;
  for (let i = 0; i < count; i++) {
    try {
      const expected = await runWithoutCuts(seed + i);
      const got = await runWithCuts(seed + i, figures);
      if (expected.join() === got.join()) continue;
      console.error(`seed ${seed + i}: other bytes arrived`);
    } catch (error) {
      console.error(`seed ${seed + i}:`, error);
    }
    failed++;
  }
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

const seed = option("seed", 1);
// Lines in memory and the timers of a silence keep no process alive.
const awake = setInterval(() => {}, 1_000);
const sessions = await trySessions(option("sessions", 1_000), seed);
const whole = await tryDownload(option("mib", 1_024), option("cuts", 50), seed);
clearInterval(awake);
if (!sessions || !whole) Deno.exit(1);

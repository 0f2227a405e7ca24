// Lets the other end of a connection vanish in many ways, with the default options,
// and prints how long it took to notice. `deno task network --help` says more.

import { DEFAULT_KEEP_ALIVE_OPTIONS } from "@qtalk/qtalk";
import { type Case, CASES, type Conditions } from "./vanishing.ts";

const HELP = `Makes the other end of a connection vanish, or seem to vanish.

Usage: deno task network [TEXT]

Runs all cases, or those whose name has TEXT, with the default options: processes
that are stopped, relays that fall silent, cables that are pulled, and ends that
are only slow. Six at a time for each processor take half a minute. The exit code
is 1 if one of them failed.`;

const text = Deno.args.filter((arg) => arg !== "--")[0] ?? "";
if (text === "--help") {
  console.log(HELP);
  Deno.exit();
}

const conditions: Conditions = {
  keepAlive: DEFAULT_KEEP_ALIVE_OPTIONS,
  isDefault: true,
  computing: 20_000,
  limit: 30_000,
};
let failures = 0;

async function tell({ name, run, skipped }: Case): Promise<void> {
  if (skipped !== undefined) return console.log(`skipped ${name}: ${skipped}`);
  try {
    const seconds = (await run(conditions) / 1_000).toFixed(1);
    console.log(`${seconds.padStart(5)} s  ${name}`);
  } catch (error) {
    failures++;
    console.log(`FAILED   ${name}: ${error}`);
  }
}

const cases = CASES.filter(({ name }) => name.includes(text));
const atOnce = 6 * navigator.hardwareConcurrency;
for (let i = 0; i < cases.length; i += atOnce) {
  await Promise.all(cases.slice(i, i + atOnce).map(tell));
}
console.log(`network: ${failures} of ${cases.length} cases failed`);
Deno.exit(failures > 0 ? 1 : 0);

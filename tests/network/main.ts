// Lets the other end of a connection vanish in many ways, with the default options,
// and prints how long it took to notice. `deno task network --help` says more.

import { DEFAULT_KEEP_ALIVE_OPTIONS } from "@qtalk/qtalk";
import { CASES, type Conditions } from "./vanishing.ts";

const HELP = `Lets the other end of a connection vanish, and seem to.

Usage: deno task network [TEXT]

Runs all cases at the same time, or those whose name has TEXT, with the default
options: processes that are stopped, relays that fall silent, cables that are
pulled, and ends that are only slow. It takes about 40 seconds. The exit code is
1 if one of them failed.`;

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
await Promise.all(
  CASES.filter(({ name }) => name.includes(text)).map(async (one) => {
    if (one.skipped !== undefined) {
      return console.log(`skipped ${one.name}: ${one.skipped}`);
    }
    try {
      const ms = await one.run(conditions);
      console.log(`${(ms / 1_000).toFixed(1).padStart(5)} s  ${one.name}`);
    } catch (error) {
      failures++;
      console.log(`FAILED  ${one.name}: ${error}`);
    }
  }),
);
console.log(`network: ${failures} of the cases failed`);
Deno.exit(failures > 0 ? 1 : 0);

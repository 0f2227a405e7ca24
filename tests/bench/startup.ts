// Times programs of startup/: `startup.ts PROGRAM` prints the median.

import type { Sample } from "./measures.ts";

/** Runs in each round. */
const RUNS = 4;

const file = new URL(`startup/${Deno.args[0]}.ts`, import.meta.url);
const args = ["run", "--quiet", "--allow-all", file.pathname];
const times: number[] = [];
while (times.length < RUNS) {
  const start = performance.now();
  const { success } = await new Deno.Command(Deno.execPath(), {
    args,
    stdout: "null",
    stderr: "inherit",
  }).output();
  times.push(performance.now() - start);
  if (!success) throw new Error(`The program ${Deno.args[0]} failed`);
}
times.sort((a, b) => a - b);
const value = (times[RUNS / 2 - 1]! + times[RUNS / 2]!) / 2;
console.log(JSON.stringify({ value } satisfies Sample));

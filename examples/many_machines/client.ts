// Sends jobs to all coordinators that are in the store. Started by demo.ts, or by
// hand, with the same file as the coordinators:
//
//   deno run -A --unstable-kv examples/many_machines/client.ts jobs.sqlite

import { intercept, retry } from "@qtalk/qtalk/middleware";
import { dialPool } from "@qtalk/qtalk/pool";
import type { Service } from "./coordinator.ts";
import { openStore } from "./store.ts";

const JOBS = 100;
const store = await openStore(Deno.args[0]!);
await using pool = await dialPool(() => store.addresses(), {
  refreshInterval: 500,
});

// The pool repeats calls that were not begun. A job that was begun when its
// coordinator was killed may or may not have been done; since its result is stored
// only once, it can safely be done again.
const patient = intercept(
  pool,
  retry({ idempotent: () => true, maxAttempts: 10, budget: Infinity }),
);
const api = patient.remote<Service>();

let next = 0;
let done = 0;
async function work() {
  while (next < JOBS) {
    const job = next++;
    const result = await api.square(job);
    if (result !== job * job) throw new Error(`Job ${job} is wrong`);
    if (++done % 25 === 0) console.log(`${done} jobs done`);
  }
}
await Promise.all(Array.from({ length: 8 }, work));
console.log(`${await store.finished()} results, none is missing`);
store.close();

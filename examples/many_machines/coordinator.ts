// Does jobs, and registers its address in the store. Started by demo.ts, or by
// hand, any number of times, with a file for the store:
//
//   deno run -A --unstable-kv examples/many_machines/coordinator.ts jobs.sqlite
//
// Control-C lets it finish its jobs.

import { handlerFrom, listen } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import { openStore } from "./store.ts";

const store = await openStore(Deno.args[0]!);

const service = {
  async square(job: number) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    // A job that is done twice has one result.
    return await store.finish(job, job * job);
  },
};
export type Service = typeof service;

await using listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(service),
});
await store.register(listener.addr);
const lease = setInterval(() => store.register(listener.addr), 1_000);

closeOnSignals({
  closed: listener.closed,
  async close(options) {
    clearInterval(lease);
    await store.unregister(listener.addr);
    // Further calls are refused as "unavailable", and go to others.
    await listener.close(options);
  },
}, { drainTimeout: 10_000 });
console.log(`listening on ${listener.addr}`);
await listener.closed;
store.close();

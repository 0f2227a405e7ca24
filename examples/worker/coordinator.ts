// Gives jobs to workers, which dial it and answer its calls. Started by
// demo.ts, or by hand, with any number of worker.ts in other terminals:
//
//   deno run --allow-net=127.0.0.1 examples/worker/coordinator.ts

import { listen, MuxError } from "@qtalk/qtalk";
import { workerPool } from "@qtalk/qtalk/pool";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import type { Service } from "./worker.ts";

// Each worker has one job at a time; the other jobs wait.
using workers = workerPool({ maxCallsPerMember: 1 });
const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, {
  onPeer: (peer) => void workers.add(peer),
});
closeOnSignals(listener);
const stop = () => workers.close();
listener.closed.then(stop, stop);
console.log(`listening on ${listener.addr}`);

/** Lets a worker count the primes, and another one if that dies. */
async function countPrimes(from: number, to: number): Promise<number> {
  for (;;) {
    try {
      return await workers.remote<Service>().countPrimes(from, to);
    } catch (error) {
      const wasLost = error instanceof MuxError &&
        error.code === "connection-lost";
      if (!wasLost) throw error;
      console.log("A worker died, its job goes to another");
    }
  }
}

const size = 50_000;
const jobs = Array.from({ length: 20 }, (_, i) => i * size);
const counts = await Promise.all(
  jobs.map((from) => countPrimes(from, from + size)),
);
const sum = counts.reduce((sum, count) => sum + count);
console.log(`${jobs.length} jobs done: ${sum} primes below 1000000`);

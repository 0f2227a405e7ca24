// Gives jobs to workers, which dial it and answer its calls. Started by
// demo.ts, or by hand, with any number of worker.ts in other terminals:
//
//   deno run --allow-net=127.0.0.1 examples/worker/coordinator.ts

import { listen, type Peer, RemoteError } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import type { Service } from "./worker.ts";

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address);
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);

// A stream as a queue: idle workers wait in it, and jobs wait for them.
const { readable, writable } = new TransformStream<Peer, Peer>();
const [enter, idle] = [writable.getWriter(), readable.getReader()];
(async () => {
  for await (const worker of listener) enter.write(worker);
  enter.close();
})();

/** Lets a worker count the primes, and another one if that dies. */
async function countPrimes(from: number, to: number): Promise<number> {
  for (;;) {
    const { done, value: worker } = await idle.read();
    if (done) throw new Error("The coordinator was stopped");
    try {
      const count = await worker.remote<Service>().countPrimes(from, to);
      enter.write(worker);
      return count;
    } catch (error) {
      // The worker is alive: the job itself failed.
      if (error instanceof RemoteError) throw error;
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

// Dials a coordinator and does its jobs. Started by demo.ts, or by hand:
//
//   deno run --allow-net=127.0.0.1 examples/worker/worker.ts
//
// Takes an address and a number of jobs, after which it dies.

import { dial, handlerFrom } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
let jobs = Number(Deno.args[1] ?? Infinity);

const service = {
  countPrimes(from: number, to: number) {
    if (jobs-- === 0) Deno.exit(1);
    let count = 0;
    for (let n = from; n < to; n++) {
      if (isPrime(n)) count++;
    }
    return count;
  },
};
export type Service = typeof service;

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) {
    if (n % d === 0) return false;
  }
  return n > 1;
}

await using peer = await dial(address, { handler: handlerFrom(service) });
closeOnSignals(peer);
console.log(`working for ${address}`);
await peer.closed;

// A client process of a soak run: workers over every transport, which use the
// service of the server and check what they get.
//
//   deno run -A --v8-flags=--expose-gc tests/soak/client.ts SEED ADDRESSES
//
// ADDRESSES is an object in JSON. Writes what is wrong as it finds it.

// First, so that it sees the timers of all others.
import "./timers.ts";
import type { Peer } from "@qtalk/qtalk";
import { answerAll, say } from "../hostile/answering.ts";
import { Random } from "../support/random.ts";
import { figuresAtRest } from "./figures.ts";
import { describe } from "./interruption.ts";
import { WatchedSignal } from "./watched_signal.ts";
import { Tally, Worker } from "./worker.ts";

const [seed, text] = Deno.args;
const addresses = JSON.parse(text!) as Record<string, string>;
const random = new Random(Number(seed));
const tally = new Tally((problem) => say({ problem }));
const lasting = new WatchedSignal();

globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  say({ problem: `unhandled rejection: ${describe(event.reason)}` });
});

const workers: Worker[] = [];
for (const [name, address] of Object.entries(addresses)) {
  workers.push(
    new Worker({
      name,
      address,
      random: random.fork(),
      tally,
      signal: lasting.signal,
    }),
  );
}

function peers(): Peer[] {
  return workers.flatMap((worker) => worker.peers);
}

for (const worker of workers) worker.start();
say({ started: true });
await answerAll({
  counts: () => ({ ...tally.counts }),
  /** Finishes what was begun; the reconnecting peers stay connected. */
  rest: async () => {
    await Promise.all(workers.map((worker) => worker.rest()));
    return { peers: peers().length };
  },
  goOn: () => {
    for (const worker of workers) worker.start();
    return {};
  },
  figures: async () => ({
    figures: await figuresAtRest(peers, () => lasting.listeners),
    ...tally.counts,
    acts: tally.acts,
  }),
});
Deno.exit(0);

// One address, served by several threads: workers listen at the same port, and the
// system divides the connections among them.
//
//   deno run --allow-net=127.0.0.1 --allow-read --unstable-net examples/cores/demo.ts
//
// Prints:
//
//   2 workers answered
//
// On the command line, `qtalk serve --parallel 2` does the same.

import { dial } from "@qtalk/qtalk";

const COUNT = 2;
// The first worker chooses the port.
const first = await start("tcp://127.0.0.1:0");
const workers = [first];
while (workers.length < COUNT) workers.push(await start(first.address));

// Each connection belongs to one worker.
const names = new Set<string>();
while (names.size < COUNT) {
  await using peer = await dial(first.address);
  names.add(await peer.call("name") as string);
}
console.log(`${names.size} workers answered`);

for (const { worker } of workers) worker.terminate();

/** Starts a worker; resolves once it listens. */
function start(address: string): Promise<{ worker: Worker; address: string }> {
  const worker = new Worker(import.meta.resolve("./worker.ts"), {
    type: "module",
  });
  worker.postMessage(address);
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve({ worker, address: data });
  });
}

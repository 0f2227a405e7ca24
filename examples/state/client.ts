// Joins, shows the list of users until it is interrupted, and leaves.
// Start server.ts first.
//
//   deno run --allow-net=127.0.0.1 examples/state/client.ts
//
// Prints, and runs until it is stopped:
//
//   here: Ann
//   Control-C leaves
//
// Takes another address and another name as its arguments.

import { dial } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const [address = "tcp://127.0.0.1:9999", name = "Ann"] = Deno.args;
await using peer = await dial(address);

// The list itself is the argument.
peer.handle("state", async (call) => {
  const names = await call.receive() as string[];
  console.log(`here: ${names.join(", ")}`);
});

closeOnSignals({
  closed: peer.closed,
  async close() {
    await peer.call("Leave", [name]);
    await peer.close();
  },
});

await peer.call("Join", [name]);
console.log("Control-C leaves");
await peer.closed;

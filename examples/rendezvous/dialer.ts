// A peer that dials another one by its name: see rendezvous.ts. Tried by
// tests/nat/nat_test.ts.
//
// Prints:
//
//   connected in … ms, direct
//   1 + 2 = 3
//   1000000 bytes came back

import { dial } from "@qtalk/qtalk";

const [address, pin, keys = "keys/ann"] = Deno.args;

const startedAt = performance.now();
await using peer = await dial(address!, {
  tls: { cert: `${keys}/peer.pem`, key: `${keys}/peer.key` },
  rendezvous: { tls: { pin } },
});
const took = Math.round(performance.now() - startedAt);
console.log(`connected in ${took} ms, ${peer.way}`);
console.log(`1 + 2 = ${await peer.call("add", [1, 2])}`);

// If the connection is direct, these bytes do not pass through the rendezvous.
const text = await peer.call("echo", ["x".repeat(1_000_000)]) as string;
console.log(`${text.length} bytes came back`);

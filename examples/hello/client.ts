// The client of the announcement of qtalk. Start server.ts first.
//
//   deno run --allow-net=127.0.0.1 examples/hello/client.ts
//
// Prints:
//
//   HELLO WORLD
//   remote: user error [/Error]
//
// Takes another address to dial as its argument.

import { dial } from "@qtalk/qtalk";

await using peer = await dial(Deno.args[0] ?? "tcp://127.0.0.1:9999");

console.log(await peer.call("Upper", ["hello world"]));

await peer.call("Error", ["user error"]).catch((error) => {
  console.log(error.message);
});

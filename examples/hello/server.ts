// The server of the announcement of qtalk: shouts, and fails on request.
//
//   deno run --allow-net=127.0.0.1 examples/hello/server.ts
//
// Prints, and goes on until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Listens on another address if it is given one.

import { handlerFrom, listen, withCall } from "@qtalk/qtalk";

const service = {
  Upper: (s: string) => s.toUpperCase(),
  // A function can ask for the call that it answers.
  Error: withCall((call, s: string) => {
    throw new Error(`${s} [${call.selector}]`);
  }),
};

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, { handler: handlerFrom(service) });
console.log(`listening on ${listener.addr}`);
await listener.closed;

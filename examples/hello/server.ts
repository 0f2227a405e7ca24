// The server of the announcement of qtalk: it shouts, and it fails on request.
//
//   deno run --allow-net=127.0.0.1 examples/hello/server.ts
//
// Prints, and runs until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Takes another address to listen on as its argument.

import { CallError, handlerFrom, listen, withCall } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const service = {
  Upper: (s: string) => s.toUpperCase(),
  // withCall() passes the call to the function.
  Error: withCall((call, s: string) => {
    throw new CallError(`${s} [${call.selector}]`);
  }),
};

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, { handler: handlerFrom(service) });
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);
await listener.closed;

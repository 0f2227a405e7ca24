// A server that calls applications which cannot be dialed: they dial this
// server, see reverse.ts.
//
//   deno run --allow-net examples/deploy/home.ts
//
// Prints, and runs until it is stopped:
//
//   listening on ws://127.0.0.1:9998/
//
// and the responses of each application that connects. Takes another address to
// listen on as its argument: for other machines ws://0.0.0.0:9998/, with a
// proxy in front of it that terminates TLS. Tried by tests/deploy_test.ts.

import { handlerFrom, listen, type Peer } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const address = Deno.args[0] ?? "ws://127.0.0.1:9998/";
await using listener = await listen(address, {
  // Applications can call this server, too.
  handler: handlerFrom({
    progress: (done: number) => console.log(`${done} %`),
  }),
});
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);

for await (const app of listener) void use(app);

/** Calls an application, although it is the one that connected. */
async function use(app: Peer): Promise<void> {
  try {
    console.log(await app.call("upper", ["hello from home"]));
    console.log(await app.call("work", [4]));
  } catch (error) {
    console.log(`An application failed: ${error}`);
  }
}

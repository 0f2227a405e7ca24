// An application for Deno Deploy that is called by a server elsewhere. It
// cannot be dialed, as only HTTP requests reach it, so it dials that server and
// answers calls on the connection. Start home.ts first.
//
//   deno run --allow-net examples/deploy/reverse.ts ws://127.0.0.1:9998/
//
// Prints, and runs until it is stopped:
//
//   serving calls of ws://127.0.0.1:9998/
//
// On Deno Deploy, the variable HOME_SERVER is the address, wss:// or tcp://,
// and an HTTP request starts the application. Locally, HTTP is served on port
// 8002, or on the port in the second argument. Tried by tests/deploy_test.ts.

import { dial, handlerFrom, withCall } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const home = Deno.args[0] ?? Deno.env.get("HOME_SERVER");
if (home === undefined) throw new Error("Give an address or HOME_SERVER");

/** The functions that the server can call. */
const service = {
  upper: (text: string) => text.toUpperCase(),
  /** Works in steps and reports its progress. */
  work: withCall(async (call, steps: number) => {
    for (let step = 1; step <= steps; step++) {
      await call.caller.call("progress", [100 * step / steps]);
    }
    return "done";
  }),
};

let state = "connecting";
// Started first: Deno Deploy waits for it.
const server = Deno.serve({
  port: Number(Deno.args[1] ?? 8002),
  onListen() {},
}, () => new Response(`${state}\n`));

const peer = await dial(home, {
  handler: handlerFrom(service),
  reconnect: {
    onState({ name }) {
      state = name;
      if (name === "connected") console.log(`serving calls of ${home}`);
    },
  },
});
// Deno Deploy ends the isolate 5 seconds later.
closeOnSignals(peer, { drainTimeout: 3_000 });
await peer.closed;
await server.shutdown();
Deno.exit();

// An application for Deno Deploy that is called by a server at home: nothing but
// HTTP comes in there, so it dials out, and serves calls on that connection.
// Start home.ts first.
//
//   deno run --allow-net examples/deploy/reverse.ts ws://127.0.0.1:9998/
//
// Prints, and goes on until it is stopped:
//
//   serving calls of ws://127.0.0.1:9998/
//
// On Deno Deploy the variable HOME_SERVER has the address, wss:// or tcp://,
// and an HTTP request wakes the application; locally those go to port 8002, or
// to the one that follows the address. Tried by tests/deploy_test.ts.

import { dial, handlerFrom, withCall } from "@qtalk/qtalk";

const home = Deno.args[0] ?? Deno.env.get("HOME_SERVER");
if (home === undefined) throw new Error("Give an address or HOME_SERVER");

/** What the server at home can call. */
const service = {
  upper: (text: string) => text.toUpperCase(),
  /** Works in steps, and says how far it is. */
  work: withCall(async (call, steps: number) => {
    for (let step = 1; step <= steps; step++) {
      await call.caller.call("progress", [100 * step / steps]);
    }
    return "done";
  }),
};

let state = "connecting";
// First, for Deno Deploy waits for it and not for the server at home.
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
// Deno Deploy gives 5 seconds.
Deno.addSignalListener("SIGINT", async () => {
  await peer.close({ drainTimeout: 3_000 });
  await server.shutdown();
  Deno.exit();
});

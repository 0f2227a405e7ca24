// Calls in both directions: while a server handles a call, it asks the caller
// for a decision.
//
//   deno run --allow-net=127.0.0.1 examples/bidirectional.ts
//
// Prints:
//
//   build: done
//   upload: done
//   Replace the site? yes
//   site: replaced

import { dial, handlerFrom, listen, withCall } from "@qtalk/qtalk";

// The server calls its caller back over the same connection.
const server = {
  deploy: withCall(async (call, name: string) => {
    for (const step of ["build", "upload"]) {
      await call.caller.call("progress", [step]);
    }
    const sure = await call.caller.call("confirm", [`Replace the ${name}?`]);
    return `${name}: ${sure ? "replaced" : "left as it was"}`;
  }),
};

// The client answers calls in the same way as a server.
const client = {
  progress(step: string) {
    console.log(`${step}: done`);
  },
  confirm(question: string) {
    console.log(`${question} yes`);
    return true;
  },
};

await using listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(server),
});
await using peer = await dial(listener.addr, { handler: handlerFrom(client) });
console.log(await peer.call("deploy", ["site"]));

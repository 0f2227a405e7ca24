// Calls in both directions: a server asks its client before it goes on, from
// inside the handler of the client's own call.
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

// The server calls back whoever called it, over the same connection.
const server = {
  deploy: withCall(async (call, name: string) => {
    for (const step of ["build", "upload"]) {
      await call.caller.call("progress", [step]);
    }
    const sure = await call.caller.call("confirm", [`Replace the ${name}?`]);
    return `${name}: ${sure ? "replaced" : "left as it was"}`;
  }),
};

// The client answers calls as a server does.
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

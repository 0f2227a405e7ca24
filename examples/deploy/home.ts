// A server at home that calls applications elsewhere, which have no way in: they
// dial it, see reverse.ts.
//
//   deno run --allow-net examples/deploy/home.ts
//
// Prints, and goes on until it is stopped:
//
//   listening on ws://127.0.0.1:9998/
//
// and for each application that connects what it answers. Listens on another
// address if it is given one: ws://0.0.0.0:9998/ for those of other machines,
// behind something that ends TLS. Tried by tests/deploy_test.ts.

import { handlerFrom, listen, type Peer } from "@qtalk/qtalk";

const address = Deno.args[0] ?? "ws://127.0.0.1:9998/";
await using listener = await listen(address, {
  // An application can call home, too.
  handler: handlerFrom({
    progress: (done: number) => console.log(`${done} %`),
  }),
});
console.log(`listening on ${listener.addr}`);

for await (const app of listener) void use(app);

/** Calls an application, which is a client by its connection only. */
async function use(app: Peer): Promise<void> {
  try {
    console.log(await app.call("upper", ["hello from home"]));
    console.log(await app.call("work", [4]));
  } catch (error) {
    console.log(`An application failed: ${error}`);
  }
}

// A server that is killed, and another after it: writes down each call of
// `work` before it answers, and answers only who has joined on this connection.
// `endless` is a stream of values.
//
//   deno run -A tests/support/mortal_server.ts ADDRESS LOG
//
// Prints its address once it listens.

import { handlerFrom, listen, type Peer } from "@qtalk/qtalk";

const [address, path] = Deno.args;
const log = Deno.openSync(path!, { append: true, create: true });
const encoder = new TextEncoder();

const listener = await listen(address!, {
  onError() {}, // Its clients have their own ends.
});
const peers = listener[Symbol.asyncIterator]();
console.log(listener.addr);
for (;;) {
  const { value: peer, done } = await peers.next();
  if (done) break;
  serve(peer);
}

function serve(peer: Peer): void {
  let name: unknown;
  peer.handle("join", async (call, respond) => {
    name = await call.receive();
    await respond.return();
  });
  peer.handle(
    "endless",
    handlerFrom(async function* () {
      for (let n = 0;; n++) yield await Promise.resolve(n);
    }),
  );
  peer.handle("work", async (call, respond) => {
    const id = await call.receive();
    if (name === undefined) throw new Error("who are you?");
    log.writeSync(encoder.encode(`${id}\n`));
    await respond.return(id);
  });
}

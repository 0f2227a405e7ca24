// The public end of a tunnel: opens a public port for a program that is not
// reachable from outside.
//
//   deno run --allow-net=127.0.0.1 examples/tunnel/server.ts
//
// Prints, and runs until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Takes another address to listen on as its argument.

import { handlerFrom, listen, withCall } from "@qtalk/qtalk";
import type { ByteStream, Callback } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const hostname = "127.0.0.1";

const service = {
  /** Publishes what `connect` connects to, until the caller ends the call. */
  publish: withCall(
    async function* (call, connect: Callback<() => ByteStream>) {
      const visitors = Deno.listen({ hostname, port: 0 });
      call.signal.addEventListener("abort", () => visitors.close());
      yield `http://${hostname}:${visitors.addr.port}/`;
      for await (const visitor of visitors) {
        // Either side may end at any time.
        splice(visitor, connect).catch(() => {});
      }
    },
  ),
};
export type Service = typeof service;

/** Calls `connect`, and passes the bytes on in both directions. */
async function splice(visitor: Deno.Conn, connect: Callback<() => ByteStream>) {
  using _ = visitor;
  await using inside = await connect();
  await Promise.all([
    ReadableStream.from(bytesFrom(visitor)).pipeTo(inside.writable),
    inside.readable.pipeTo(visitor.writable, { preventClose: true })
      .then(() => visitor.closeWrite()),
  ]);
}

/** The bytes of a connection; `conn.readable` would close both directions. */
async function* bytesFrom(conn: Deno.Conn) {
  const buffer = new Uint8Array(64 * 1024);
  for (let size; (size = await conn.read(buffer)) !== null;) {
    yield buffer.slice(0, size);
  }
}

const address = Deno.args[0] ?? `tcp://${hostname}:9999`;
await using listener = await listen(address, { handler: handlerFrom(service) });
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);
await listener.closed;

// The public end of a tunnel: gives a program that nobody can reach a port that
// everybody can.
//
//   deno run --allow-net=127.0.0.1 examples/tunnel/server.ts
//
// Prints, and goes on until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Listens on another address if it is given one.

import { handlerFrom, listen, withCall } from "@qtalk/qtalk";
import type { ByteStream, Callback } from "@qtalk/qtalk";

const hostname = "127.0.0.1";

const service = {
  /** Publishes what `connect` connects to, until the caller ends the call. */
  publish: withCall(
    async function* (call, connect: Callback<() => ByteStream>) {
      const visitors = Deno.listen({ hostname, port: 0 });
      call.signal.addEventListener("abort", () => visitors.close());
      yield `http://${hostname}:${visitors.addr.port}/`;
      for await (const visitor of visitors) {
        // Either side may go away at any time.
        join(visitor, connect).catch(() => {});
      }
    },
  ),
};
export type Service = typeof service;

/** Has the other end connect, too, and passes the bytes on, both ways. */
async function join(visitor: Deno.Conn, connect: Callback<() => ByteStream>) {
  using _ = visitor;
  await using inside = await connect();
  await Promise.all([
    ReadableStream.from(bytesFrom(visitor)).pipeTo(inside.writable),
    inside.readable.pipeTo(visitor.writable, { preventClose: true })
      .then(() => visitor.closeWrite()),
  ]);
}

/** What comes; the end of `conn.readable` would close both directions. */
async function* bytesFrom(conn: Deno.Conn) {
  const buffer = new Uint8Array(64 * 1024);
  for (let size; (size = await conn.read(buffer)) !== null;) {
    yield buffer.slice(0, size);
  }
}

const address = Deno.args[0] ?? `tcp://${hostname}:9999`;
await using listener = await listen(address, { handler: handlerFrom(service) });
console.log(`listening on ${listener.addr}`);
await listener.closed;

// A TCP proxy with an API: watchers register a callback, which is called for
// every connection, gets a copy of the client's bytes, and may close the
// connection. Started by demo.ts, or by hand, with the address of the server:
//
//   deno run --allow-net=127.0.0.1 examples/tee_proxy/proxy.ts 127.0.0.1:8080

import { handlerFrom, listen } from "@qtalk/qtalk";
import type { ByteStream, Callback } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

/**
 * Is called for each connection. The client's bytes go to the stream's
 * `writable`; the end of its `readable` closes the connection.
 */
type Watcher = (client: string) => ByteStream;
const watchers = new Set<Callback<Watcher>>();

const service = {
  watch(watcher: Callback<Watcher>) {
    watchers.add(watcher.retain());
  },
};
export type Service = typeof service;

const [hostname = "", port = ""] = Deno.args[0]?.split(":") ?? [];
const proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
await using listener = await listen("tcp://127.0.0.1:0", {
  handler: handlerFrom(service),
});
closeOnSignals(listener);
listener.closed.then(() => proxy.close());
console.log(`proxy on port ${proxy.addr.port}, API on ${listener.addr}`);
for await (const client of proxy) serve(client).catch(() => {});

async function serve(client: Deno.TcpConn): Promise<void> {
  using _ = client;
  using server = await Deno.connect({ hostname, port: Number(port) });
  await using copies = new AsyncDisposableStack();
  const writers: WritableStreamDefaultWriter<Uint8Array>[] = [];
  for (const watcher of watchers) {
    try {
      const copy = copies.use(await watcher(client.remoteAddr.hostname));
      writers.push(copy.writable.getWriter());
      // A watcher that is lost rejects instead, which closes nothing.
      copy.readable.pipeTo(new WritableStream())
        .then(() => client[Symbol.dispose](), () => {});
    } catch {
      watchers.delete(watcher);
    }
  }
  await Promise.all([pass(client, server, writers), pass(server, client, [])]);
}

/** Passes bytes and their end on, as fast as the slowest reader takes them. */
async function pass(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  copies: WritableStreamDefaultWriter<Uint8Array>[],
): Promise<void> {
  const writer = to.writable.getWriter();
  const buffer = new Uint8Array(64 * 1024);
  for (let size; (size = await from.read(buffer)) !== null;) {
    const bytes = buffer.subarray(0, size);
    const copied = copies.map((copy) => copy.write(bytes).catch(() => {}));
    await Promise.all([writer.write(bytes), ...copied]);
  }
  await to.closeWrite();
}

// One end of a connection, as a process that can be stopped:
//
//   deno run -A tests/network/node.ts serve|dial|visit ADDRESS KEEP_ALIVE
//
// KEEP_ALIVE is the option in JSON. A server prints its address; one at
// `http://HOST` is that of Deno.serve(). Who visits says nothing.

import { dial, handlerFrom, listen, withStream } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";

/** What either end answers. */
export const handler = handlerFrom({
  hello: () => "hello",
  /** Keeps the event loop busy for so many milliseconds. */
  compute(ms: number): number {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return ms;
  },
  /** Takes a stream as fast as it comes. */
  take: withStream(async (values: AsyncIterable<unknown>) => {
    let count = 0;
    for await (const _ of values) count++;
    return count;
  }),
  /** Takes nothing of a stream. */
  ignore: withStream(async () => {
    await new Promise(() => {});
  }),
  /** Sends without an end. */
  pour,
});

/** Bulk without an end. */
export async function* pour(): AsyncGenerator<string> {
  const chunk = "x".repeat(64 * 1024);
  for (;;) {
    yield chunk;
    await null;
  }
}

if (import.meta.main) {
  const [role, address = "", keepAlive = "{}"] = Deno.args;
  const session = { keepAlive: JSON.parse(keepAlive) };
  const options = { handler, session, onError() {} };
  if (role === "dial") {
    const peer = await dial(address, options);
    // From now on, each knows that the other end can be pinged.
    await peer.call("hello");
    await peer.closed.catch(() => {});
  } else if (role === "visit") {
    const peer = await dial(address, options);
    await peer.closed.catch(() => {});
  } else if (address.startsWith("http:")) {
    Deno.serve({
      hostname: new URL(address).hostname,
      port: 0,
      onListen: ({ hostname, port }) => console.log(`ws://${hostname}:${port}`),
    }, serveWebSocket(options));
  } else {
    const listener = await listen(address, options);
    if (address !== "stdio:") console.log(listener.addr);
    await listener.closed;
  }
}

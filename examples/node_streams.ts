// A server and a client on the sockets of Node, as web streams. Runs in Deno;
// bundled, in Node and Bun too:
//
//   deno run --allow-net=127.0.0.1 examples/node_streams.ts
//
// Prints:
//
//   HELLO WORLD

import { type AddressInfo, connect, createServer } from "node:net";
import { Readable, Writable } from "node:stream";
import { handlerFrom, Peer, Session } from "@qtalk/qtalk";

/**
 * A session over streams of Node: a socket twice, or `process.stdin` and
 * `process.stdout`. No socket with `allowHalfOpen`: Node 22 ends the readable
 * stream of such a one only when both directions have ended.
 */
function sessionOver(input: Readable, output: Writable): Session {
  return new Session({
    readable: Readable.toWeb(input) as ReadableStream<Uint8Array>,
    writable: Writable.toWeb(output) as WritableStream<Uint8Array>,
  });
}

const handler = handlerFrom({ upper: (s: string) => s.toUpperCase() });
const server = createServer({ noDelay: true }, (socket) => {
  new Peer(sessionOver(socket, socket), { handler });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

const { port } = server.address() as AddressInfo;
const socket = connect({ port, host: "127.0.0.1", noDelay: true });
const peer = new Peer(sessionOver(socket, socket));
console.log(await peer.call("upper", ["hello world"]));

await peer.close();
server.close();

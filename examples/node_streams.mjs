// A server and a client on the sockets of Node, as web streams: for Node 22 and
// Bun, which get the library by `npx jsr add @qtalk/qtalk`.
//
//   node node_streams.mjs
//
// Prints:
//
//   HELLO WORLD

import { connect, createServer } from "node:net";
import { Readable, Writable } from "node:stream";
import { handlerFrom, Peer, qmux } from "@qtalk/qtalk";

/**
 * A session over streams of Node: a socket twice, or `process.stdin` and
 * `process.stdout`. No socket with `allowHalfOpen`: Node 22 ends the readable
 * stream of such a one only when both directions have ended.
 */
function sessionOver(input, output) {
  return qmux({
    readable: Readable.toWeb(input),
    writable: Writable.toWeb(output),
  });
}

const handler = handlerFrom({ upper: (s) => s.toUpperCase() });
const server = createServer({ noDelay: true }, (socket) => {
  new Peer(sessionOver(socket, socket), { handler });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

const { port } = server.address();
const socket = connect({ port, host: "127.0.0.1", noDelay: true });
const peer = new Peer(sessionOver(socket, socket));
console.log(await peer.call("upper", ["hello world"]));

await peer.close();
server.close();

// A server and a client over Node sockets, as web streams, for Node 22 and Bun.
// Install the library first: docs/npm.md says how.
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
 * Makes a session over Node streams: a socket for both, or `process.stdin` and
 * `process.stdout`. The socket must not have `allowHalfOpen`: Node 22 ends the
 * readable stream of such a socket only when both directions have ended.
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

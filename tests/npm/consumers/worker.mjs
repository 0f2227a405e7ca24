// A worker as Cloudflare runs them. It answers calls on a WebSocket; at any other
// request it dials the address that the request names, and calls that peer.

import { dial, handlerFrom, Peer } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { qmux, webSocketTransport } from "@qtalk/qtalk/mux";

const handler = handlerFrom({
  add: (a, b) => a + b,
  async *count(to) {
    for (let n = 1; n <= to; n++) yield n;
  },
});

export default {
  async fetch(request) {
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      server.accept();
      new Peer(qmux(webSocketTransport(server)), { handler });
      return new Response(null, { status: 101, webSocket: client });
    }
    const address = new URL(request.url).searchParams.get("address");
    const peer = await dial(address, { codec: cbor() });
    const sum = await peer.call("add", [20, 22]);
    const counted = [];
    for await (const n of peer.remote().count(3)) counted.push(n);
    await peer.close();
    return Response.json({ sum, counted });
  },
};

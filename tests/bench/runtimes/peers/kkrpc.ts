import type { DenoPeer } from "../../peer.ts";
import type { Echo, Kkrpc } from "../../peers/kkrpc.ts";
import { loadPackage } from "../packages.ts";
import { connectSocket, listenSockets, listenWebSockets } from "../sockets.ts";

const { NodeIo, RPCChannel, WebSocketClientIO, WebSocketServerIO } =
  await loadPackage<Kkrpc>("kkrpc");

/** kkrpc, with its own adapters: that for Node's streams over TCP. */
const peer: DenoPeer = {
  serve(transport) {
    const expose: Echo = { echo: (value) => Promise.resolve(value) };
    if (transport === "ws") {
      return listenWebSockets((socket) => {
        new RPCChannel(new WebSocketServerIO(socket), { expose });
      });
    }
    return listenSockets(transport, (socket) => {
      new RPCChannel(new NodeIo(socket, socket), { expose });
    });
  },
  async connect(address) {
    if (address.startsWith("ws:")) {
      const io = new WebSocketClientIO({ url: address });
      const api = new RPCChannel(io, {}).getAPI();
      return { call: (value) => api.echo(value), close: () => io.destroy() };
    }
    const socket = await connectSocket(address);
    const api = new RPCChannel(new NodeIo(socket, socket), {}).getAPI();
    return {
      call: (value) => api.echo(value),
      close: () => void socket.destroy(),
    };
  },
};
export default peer;

import type { DenoPeer } from "../peer.ts";
import { loadNpm } from "./npm.ts";
import { listenWebSocket } from "./websocket.ts";

/** The two functions that there are. */
interface Echo {
  echo(value: number): Promise<number>;
}

/** What is used of npm `kkrpc`. */
interface Kkrpc {
  WebSocketClientIO: new (options: { url: string }) => { destroy(): void };
  WebSocketServerIO: new (socket: WebSocket) => object;
  RPCChannel: new (
    io: object,
    options: { expose?: Echo },
  ) => { getAPI(): Echo };
}

const { RPCChannel, WebSocketClientIO, WebSocketServerIO } = await loadNpm<
  Kkrpc
>("kkrpc@0.2.2");

/** kkrpc, over WebSocket with its own adapters. */
const peer: DenoPeer = {
  serve() {
    const expose: Echo = { echo: (value) => Promise.resolve(value) };
    return Promise.resolve(listenWebSocket((socket) => {
      new RPCChannel(new WebSocketServerIO(socket), { expose });
    }));
  },
  connect(address) {
    const io = new WebSocketClientIO({ url: address });
    const api = new RPCChannel(io, {}).getAPI();
    return Promise.resolve({
      call: (value) => api.echo(value),
      close: () => io.destroy(),
    });
  },
};
export default peer;

import type { AddressInfo } from "node:net";
import type { DenoPeer } from "../peer.ts";
import { newWebSocketRpcSession, Target } from "./capnweb.ts";
import { loadNpm } from "./npm.ts";

/** What is used of npm `ws`. */
interface Ws {
  WebSocket: new (url: string) => WebSocket;
  WebSocketServer: new (options: { host: string; port: number }) => {
    on(event: "connection", handle: (socket: WebSocket) => void): void;
    on(event: "listening", handle: () => void): void;
    address(): AddressInfo;
  };
}

const { WebSocket, WebSocketServer } = await loadNpm<Ws>("ws@8.23.0");

/**
 * Cap'n Web with npm `ws` at both ends, as its README says for Node. The client
 * of the runtime delays messages beyond 1,024 bytes (measures.ts), which `ws`
 * does not.
 */
const peer: DenoPeer = {
  serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    server.on("connection", (socket) => {
      newWebSocketRpcSession(socket, new Target());
    });
    return new Promise((resolve) => {
      server.on("listening", () => {
        resolve(`ws://127.0.0.1:${server.address().port}`);
      });
    });
  },
  connect(address) {
    const api = newWebSocketRpcSession(new WebSocket(address));
    return Promise.resolve({
      call: (value) => api.echo(value),
      close: () => api[Symbol.dispose](),
    });
  },
};
export default peer;

import type { DenoPeer } from "../peer.ts";
import { loadNpm } from "./npm.ts";
import { listenWebSocket } from "./websocket.ts";

/** The function that there is. */
interface Echo {
  echo(value: unknown): Promise<unknown>;
}

/** What is used of npm `capnweb`. */
interface Capnweb {
  RpcTarget: new () => object;
  newWebSocketRpcSession(
    socket: WebSocket | string,
    main?: object,
  ): Echo & Disposable;
}

const capnweb = await loadNpm<Capnweb>("capnweb@0.12.0");
/** Starts an end of Cap'n Web. */
export const newWebSocketRpcSession: Capnweb["newWebSocketRpcSession"] =
  capnweb.newWebSocketRpcSession;

/** The methods of the server. */
export class Target extends capnweb.RpcTarget {
  /** Returns what it gets. */
  echo(value: unknown): unknown {
    return value;
  }
}

/** Cap'n Web over WebSocket, as its README says for Deno. */
const peer: DenoPeer = {
  serve: () =>
    Promise.resolve(listenWebSocket((socket) => {
      newWebSocketRpcSession(socket, new Target());
    })),
  connect(address) {
    const api = newWebSocketRpcSession(address);
    return Promise.resolve({
      call: (value) => api.echo(value),
      close: () => api[Symbol.dispose](),
    });
  },
};
export default peer;

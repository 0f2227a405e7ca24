import { spawn } from "node:child_process";
import process from "node:process";
import type { DenoPeer } from "../peer.ts";
import { script } from "../peer.ts";
import { loadNpm } from "./npm.ts";
import { listenWebSocket } from "./websocket.ts";

/** The function that there is. */
export interface Echo {
  echo(value: unknown): Promise<unknown>;
}

/** What is used of npm `kkrpc`, here and on other runtimes (../runtimes/). */
export interface Kkrpc {
  WebSocketClientIO: new (options: { url: string }) => { destroy(): void };
  WebSocketServerIO: new (socket: object) => object;
  NodeIo: new (readable: unknown, writable: unknown) => object;
  RPCChannel: new (
    io: object,
    options: { expose?: Echo },
  ) => { getAPI(): Echo };
}

const { NodeIo, RPCChannel, WebSocketClientIO, WebSocketServerIO } =
  await loadNpm<Kkrpc>("kkrpc@0.2.2");

/** kkrpc, with its own adapters: stdio, and WebSocket in the place of TCP. */
const peer: DenoPeer = {
  serve(transport) {
    const expose: Echo = { echo: (value) => Promise.resolve(value) };
    if (transport === "stdio") {
      new RPCChannel(new NodeIo(process.stdin, process.stdout), { expose });
      return Promise.resolve(transport);
    }
    return Promise.resolve(listenWebSocket((socket) => {
      new RPCChannel(new WebSocketServerIO(socket), { expose });
    }));
  },
  connect(address) {
    const { io, close } = address === "stdio" ? child() : socket(address);
    const api = new RPCChannel(io, {}).getAPI();
    return Promise.resolve({ call: (value) => api.echo(value), close });
  },
};
export default peer;

function socket(url: string) {
  const io = new WebSocketClientIO({ url });
  return { io, close: () => io.destroy() };
}

/** As its README says: Node's way to start a child. */
function child() {
  const [program, ...args] = script("server.ts", "kkrpc", "stdio");
  const worker = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const io = new NodeIo(worker.stdout, worker.stdin);
  return { io, close: () => void worker.kill() };
}

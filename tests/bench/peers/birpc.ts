import type { DenoPeer } from "../peer.ts";
import { loadNpm } from "./npm.ts";
import { listenWebSocket, openWebSocket } from "./websocket.ts";

/** What is used of npm `birpc`, here and on other runtimes (../runtimes/). */
export interface Birpc {
  createBirpc(
    functions: Record<string, (value: unknown) => unknown>,
    options: {
      post: (data: string) => void;
      on: (take: (data: string) => void) => void;
      serialize: (value: unknown) => string;
      deserialize: (text: string) => unknown;
    },
  ): { echo(value: unknown): Promise<unknown> };
}

const { createBirpc } = await loadNpm<Birpc>("birpc@4.2.0");

/** As its README says: WebSocket and JSON. */
function overSocket(socket: WebSocket) {
  return createBirpc({ echo: (value) => value }, {
    post: (data) => socket.send(data),
    on: (take) =>
      socket.addEventListener("message", ({ data }) => take(data as string)),
    serialize: (value) => JSON.stringify(value),
    deserialize: (text) => JSON.parse(text),
  });
}

/** birpc: a map of ids over whatever carries messages. */
const peer: DenoPeer = {
  serve: () => Promise.resolve(listenWebSocket(overSocket)),
  async connect(address) {
    const socket = await openWebSocket(address);
    const rpc = overSocket(socket);
    return {
      call: (value) => rpc.echo(value),
      close: () => socket.close(),
    };
  },
};
export default peer;

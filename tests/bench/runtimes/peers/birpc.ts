import type { DenoPeer } from "../../peer.ts";
import type { Birpc } from "../../peers/birpc.ts";
import { loadPackage } from "../packages.ts";
import {
  connectSocket,
  listenSockets,
  listenWebSockets,
  openWebSocket,
} from "../sockets.ts";
import { linesOf } from "./lines.ts";

/** What carries its messages. */
interface Messages {
  post: (data: string) => void;
  on: (take: (data: string) => void) => void;
}

const { createBirpc } = await loadPackage<Birpc>("birpc");

function over(messages: Messages) {
  return createBirpc({ echo: (value) => value }, {
    ...messages,
    serialize: (value) => JSON.stringify(value),
    deserialize: (text) => JSON.parse(text),
  });
}

/** birpc: WebSocket as its README says, and lines of JSON over bytes. */
const peer: DenoPeer = {
  serve: (transport) =>
    transport === "ws"
      ? listenWebSockets((socket) => {
        over({
          post: (data) => socket.send(data),
          on: (take) => void socket.on("message", take),
        });
      })
      : listenSockets(transport, (socket) => void over(linesOf(socket))),
  async connect(address) {
    if (!address.startsWith("ws:")) {
      const socket = await connectSocket(address);
      const rpc = over(linesOf(socket));
      return {
        call: (value) => rpc.echo(value),
        close: () => void socket.destroy(),
      };
    }
    const socket = await openWebSocket(address);
    const rpc = over({
      post: (data) => socket.send(data),
      on: (take) => void socket.on("message", take),
    });
    return {
      call: (value) => rpc.echo(value),
      close: () => socket.close(),
    };
  },
};
export default peer;

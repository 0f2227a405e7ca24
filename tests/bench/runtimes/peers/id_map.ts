import type { DenoPeer } from "../../peer.ts";
import { callsOver } from "../../peers/id_map.ts";
import { pipeLink, socketLink, type Take } from "../../peers/links.ts";
import { nodePipe } from "../../peers/node_pipe.ts";
import {
  connectSocket,
  listenSockets,
  listenWebSockets,
  openWebSocket,
} from "../sockets.ts";

const answer: Take = ({ id, value }, link) => link.send({ id, value });

/** The hand-written protocol of the bench, over the sockets of Node. */
const peer: DenoPeer = {
  serve: (transport) =>
    transport === "ws"
      ? listenWebSockets((socket) => void socketLink(socket, Infinity, answer))
      : listenSockets(transport, (socket) => {
        pipeLink(nodePipe(socket), answer).ended.catch(() => {});
      }),
  connect: (address) =>
    callsOver(async (take) => {
      if (address.startsWith("ws:")) {
        return socketLink(await openWebSocket(address), Infinity, take);
      }
      const link = pipeLink(nodePipe(await connectSocket(address)), take);
      link.ended.catch(() => {}); // It is closed.
      return link;
    }),
};
export default peer;

import { dial, handlerFrom, listen, Router } from "@qtalk/qtalk";
import type { DenoPeer } from "../../peer.ts";
import { credentials } from "../sockets.ts";

/** This package, as its README says to use it. */
const peer: DenoPeer = {
  async serve(transport) {
    const handler = new Router();
    handler.handle("echo", handlerFrom((value: unknown) => value));
    const { cert, key } = credentials();
    const listener = await listen(`${transport}://127.0.0.1:0`, {
      handler,
      ...transport === "tls" && { tls: { cert, key } },
    });
    return listener.addr;
  },
  async connect(address) {
    const isTls = address.startsWith("tls:");
    const client = await dial(address, {
      ...isTls && { tls: { ca: credentials().ca } },
    });
    return {
      call: (value) => client.call("echo", [value]),
      close: () => client.close(),
    };
  },
};
export default peer;

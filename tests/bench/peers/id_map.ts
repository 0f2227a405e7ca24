import type { Connection, DenoPeer } from "../peer.ts";
import { connectLink, type Link, listenLinks, type Take } from "./links.ts";

/**
 * The least that an RPC can be: JSON with a length in front (over WebSocket
 * without one, to a worker the objects), a map of ids to who waits, all that
 * gathered in a turn written at once. No flow control, no streams, no limits.
 */
const peer: DenoPeer = {
  serve: (transport) =>
    // The one method there is.
    listenLinks(transport, ({ id, value }, link) => link.send({ id, value })),
  connect: (address) =>
    callsOver((take) => connectLink(address, "id_map", take)),
};
export default peer;

/** Calls over a link, each with an id that its reply has too. */
export async function callsOver(
  connect: (take: Take) => Promise<Link>,
): Promise<Connection> {
  const waiting = new Map<number, (value: unknown) => void>();
  let nextId = 0;
  const link = await connect(({ id, value }) => {
    waiting.get(id)?.(value);
    waiting.delete(id);
  });
  return {
    call: (value) =>
      new Promise((resolve) => {
        const id = nextId++;
        waiting.set(id, resolve);
        link.send({ id, method: "echo", value });
      }),
    close: () => link.close(),
  };
}

/**
 * The worker of page.ts: answers on its own scope, and on the port that it is
 * given.
 *
 * @module
 */
import { messagePortTransport, Peer, Session } from "@qtalk/qtalk";
import { service } from "./within_page.ts";

new Peer(new Session(messagePortTransport(self)), { handler: service() });

self.addEventListener("message", ({ data }) => {
  if (!(data.port instanceof MessagePort)) return;
  const session = new Session(messagePortTransport(data.port));
  new Peer(session, { handler: service() });
});

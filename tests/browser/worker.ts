/**
 * The worker of page.ts: answers on its own scope, and on the port that it is
 * given.
 *
 * @module
 */
import { Peer, qmux } from "@qtalk/qtalk";
import { type MessagePortLike, messagePortTransport } from "@qtalk/qtalk/mux";
import { service } from "./within_page.ts";

// Checked as what a page is, `self` has no postMessage() of this form.
const scope = self as unknown as MessagePortLike;
new Peer(qmux(messagePortTransport(scope)), { handler: service() });

self.addEventListener("message", (event) => {
  const { data } = event as MessageEvent;
  if (!(data.port instanceof MessagePort)) return;
  const session = qmux(messagePortTransport(data.port));
  new Peer(session, { handler: service() });
});

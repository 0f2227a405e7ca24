/**
 * The iframe of page.ts: answers the page around it, whose origin its address
 * names.
 *
 * @module
 */
import { Peer, qmux } from "@qtalk/qtalk";
import { windowTransport } from "@qtalk/qtalk/mux";
import { service } from "./within_page.ts";

/** What is used of the frame: Deno's types know no windows. */
interface Frame {
  location: { search: string };
  parent: Parameters<typeof windowTransport>[0];
}
const { location, parent } = globalThis as unknown as Frame;

const origin = new URLSearchParams(location.search).get("page")!;
new Peer(qmux(windowTransport(parent, origin)), {
  handler: service(),
});

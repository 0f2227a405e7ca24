import type { DenoPeer } from "../peer.ts";
import { qtalkPeer } from "./qtalk.ts";

/** This package, whose sessions survive their connection. */
const peer: DenoPeer = qtalkPeer({ resume: {} });
export default peer;

import type { Scheme } from "../../mux/internal.ts";
import { dialPeer } from "./dial.ts";
import { listenAsPeer } from "./listen.ts";

/** `peer:NAME@ADDRESS`. */
export const peer: Scheme = {
  connect: (rest, signal, options) => dialPeer(rest, signal, options),
  listen: (rest, options, handshake) => listenAsPeer(rest, options, handshake),
};

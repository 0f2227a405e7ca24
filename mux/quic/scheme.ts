import "../internal.ts"; // Keeps bundles in few chunks.
import { parseHostPort, parseRemote } from "../transport/address_forms.ts";
import type { Scheme } from "../transport/types.ts";
import { connectQuic } from "./dial.ts";
import { listenQuic } from "./listen.ts";

/** `quic://host:port`, in Deno with `--unstable-net`. */
export const quic: Scheme = {
  async connect(rest, signal, options) {
    return await connectQuic(parseRemote("quic", rest), signal, options);
  },
  listen(rest, options, handshake) {
    const place = rest === "" && options?.endpoint !== undefined
      ? undefined
      : parseHostPort("quic", rest);
    return listenQuic(place, options, handshake);
  },
};

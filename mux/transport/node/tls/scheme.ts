import "../../../internal.ts"; // Keeps bundles in few chunks.
import type { Scheme } from "../../types.ts";
import { remotePlace, tcpPlace } from "../sockets.ts";
import { connectTls } from "./client.ts";
import { PROTOCOL } from "./connection.ts";
import { listenTls } from "./listen.ts";

/** `tls://host:port`. */
export const tls: Scheme = {
  async connect(rest, signal, { tls } = {}) {
    return await connectTls(remotePlace("tls", rest), tls, signal);
  },
  listen(rest, { tls, reusePort, tlsRenewal } = {}, handshake) {
    const place = { ...tcpPlace("tls", rest), reusePort };
    return listenTls(place, "tls", PROTOCOL, tls, handshake, tlsRenewal);
  },
};

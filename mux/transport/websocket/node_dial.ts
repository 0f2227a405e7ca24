import "../../internal.ts"; // Keeps bundles in few chunks.
import type { Transport } from "../../types.ts";
import { loadTransport } from "../load_transport.ts";
import { connectSocket, socketTransport } from "../node/sockets.ts";
import type { TlsDialOptions } from "../types.ts";
import {
  defaultPort,
  type HandshakeRequest,
  HTTP,
  unbracketed,
} from "./handshake/client_handshake.ts";
import { upgraded } from "./upgraded.ts";

/**
 * Dials a WebSocket over a socket of Node, which Bun and Deno have as well. The
 * `WebSocket` of Node and of Bun has no backpressure, and does not tell why a server
 * refuses.
 */
export async function dialOverSocket(
  request: HandshakeRequest,
  signal: AbortSignal,
  tls?: TlsDialOptions,
): Promise<Transport> {
  const { url } = request;
  const host = unbracketed(url.hostname);
  const place = { host, port: Number(url.port || defaultPort(url)) };
  if (url.protocol === "ws:") {
    const socket = await connectSocket(place, signal);
    return await upgraded(socketTransport(socket), request, signal);
  }
  const { connectTls } = await loadTransport(
    import("../node/tls/client.ts"),
    signal,
  );
  const inner = await connectTls(place, tls, signal, HTTP);
  return await upgraded(inner, request, signal);
}

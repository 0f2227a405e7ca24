import type { Transport } from "../../types.ts";
import { connectSocket, socketTransport } from "../node/sockets.ts";
import { type HandshakeRequest, unbracketed } from "./handshake.ts";
import { upgraded } from "./upgraded.ts";

/**
 * Dials a WebSocket over a socket of Node or Bun. Their own `WebSocket` has no
 * backpressure, and does not tell why a server refuses.
 */
export async function dialOverSocket(
  request: HandshakeRequest,
  signal: AbortSignal,
): Promise<Transport> {
  const { port, hostname } = request.url;
  const place = { host: unbracketed(hostname), port: Number(port || 80) };
  const socket = await connectSocket(place, signal);
  return await upgraded(socketTransport(socket), request, signal);
}

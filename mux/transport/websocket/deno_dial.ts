import type { Transport } from "../../types.ts";
import { connectWith, connTransport, prepared } from "../conn.ts";
import {
  defaultPort,
  type HandshakeRequest,
  unbracketed,
} from "./handshake.ts";
import { upgraded } from "./upgraded.ts";

/**
 * Dials a WebSocket over a TCP connection of Deno; connection.ts says why not with Deno's own
 * `WebSocket`.
 */
export async function dialOverTcp(
  request: HandshakeRequest,
  signal: AbortSignal,
): Promise<Transport> {
  const { protocol, port } = request.url;
  const secure = protocol === "wss:";
  const hostname = unbracketed(request.url.hostname);
  const tcp = prepared(
    await connectWith(
      // Newer versions of Deno use the signal to cancel the attempt itself.
      Deno.connect({
        hostname,
        port: Number(port || defaultPort(request.url)),
        signal,
      }),
      signal,
    ),
    (conn) => conn.setNoDelay(true),
  );
  // Connections of Deno.connectTls() have no setNoDelay().
  const conn = secure
    ? await connectWith(Deno.startTls(tcp, { hostname }), signal)
    : tcp;
  return await upgraded(connTransport(conn), request, signal);
}

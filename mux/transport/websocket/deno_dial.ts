import "../../internal.ts"; // Keeps bundles in few chunks.
import type { Transport } from "../../types.ts";
import { untilAborted } from "../../../time_limit.ts";
import { connTransport, prepared } from "../deno/conn.ts";
import { startTls } from "../deno/tls.ts";
import {
  defaultPort,
  HTTP,
  unbracketed,
} from "./handshake/client_handshake.ts";

/**
 * Connects to the server of a WebSocket over TCP, or TLS for `wss:`; connection.ts
 * says why not with Deno's own `WebSocket`.
 */
export async function connectTo(
  url: URL,
  signal: AbortSignal,
): Promise<Transport> {
  const hostname = unbracketed(url.hostname);
  const tcp = prepared(
    await untilAborted(
      // Newer versions of Deno use the signal to cancel the attempt itself.
      Deno.connect({
        hostname,
        port: Number(url.port || defaultPort(url)),
        signal,
      }),
      signal,
    ),
    (conn) => conn.setNoDelay(true),
  );
  if (url.protocol === "ws:") return connTransport(tcp);
  return await startTls(tcp, hostname, HTTP, signal);
}

/**
 * Whether the runtime itself does not make such a connection, as opposed to a server
 * or a network that cannot be reached. Hosts such as Deno Deploy restrict outbound
 * TCP and `Deno.startTls()`, but not the runtime's `WebSocket`.
 */
export function isRefusedByRuntime(error: unknown): boolean {
  return error instanceof Deno.errors.NotSupported ||
    error instanceof Deno.errors.PermissionDenied ||
    // "Deno.startTls is not a function".
    error instanceof TypeError;
}

import "../../internal.ts"; // Keeps bundles in few chunks.
import type { Transport } from "../../types.ts";
import { webSocketClient } from "./connection.ts";
import {
  handshake,
  type HandshakeRequest,
} from "./handshake/client_handshake.ts";

/**
 * Upgrades a connection to a WebSocket, as a client, until `signal` aborts. The
 * connection is closed if that fails.
 */
export async function upgraded(
  inner: Transport,
  request: HandshakeRequest,
  signal: AbortSignal,
): Promise<Transport> {
  const onAbort = () => void inner.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return webSocketClient(inner, await handshake(inner, request));
  } catch (error) {
    void inner.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

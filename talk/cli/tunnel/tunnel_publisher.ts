/**
 * The half of a tunnel beside the local server: asks for a port elsewhere, and
 * answers its connections.
 *
 * @module
 */
import { connTransport } from "../../../mux/internal_deno.ts";
import type { Closable } from "../../listener.ts";
import type { Peer } from "../../peer.ts";
import { spliceTransport } from "../splice_transport.ts";
import type { Terminal } from "../terminal.ts";
import { addressOf, type HostAndPort, SELECTORS } from "./tunnel_service.ts";

/** Something that is published, until it is closed. */
export interface Published extends Closable, AsyncDisposable {
  /** Where others reach it. */
  readonly address: string;
}

/** What publishing needs beyond the target. */
export interface PublishOptions {
  /** What the other half wants to hear. */
  token: string | undefined;
  /** Milliseconds for its answer. */
  timeout: number;
  /** Hears of connections that fail. */
  terminal: Terminal;
}

/**
 * Publishes `target` through the peer.
 *
 * @throws {RemoteError} if the other half refuses
 */
export async function publishTarget(
  peer: Peer,
  target: HostAndPort,
  { token, timeout, terminal }: PublishOptions,
): Promise<Published> {
  peer.handle(SELECTORS.connect, async (call, respond) => {
    await call.receive();
    // If that fails, the caller hears that nobody answers there.
    const transport = await connect(target);
    const channel = await respond.continue();
    try {
      await spliceTransport(transport, channel);
    } catch (error) {
      if (!call.signal.aborted) terminal.error(error);
    }
  });
  const response = await peer.request(SELECTORS.publish, [{ token }], {
    timeout,
  });
  const close = () => response.close();
  return {
    address: String(response.value),
    closed: response.channel?.closed ?? Promise.resolve(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function connect(target: HostAndPort) {
  try {
    const conn = await Deno.connect({ ...target });
    conn.setNoDelay(true);
    return connTransport(conn);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(
      `Cannot connect to ${
        addressOf({
          transport: "tcp",
          ...target,
        })
      }: ${message}`,
      { cause },
    );
  }
}

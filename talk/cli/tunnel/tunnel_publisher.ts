import { connTransport } from "../../../mux/internal_deno.ts";
import type { Closable } from "../../listener.ts";
import type { Peer } from "../../peer.ts";
import { spliceTransport } from "../splice_transport.ts";
import type { Terminal } from "../terminal.ts";
import { addressOf, type HostAndPort, SELECTORS } from "./tunnel_service.ts";

/** A published target; it is published until it is closed. */
export interface Published extends Closable, AsyncDisposable {
  /** The public address. */
  readonly address: string;
}

/** Options of {@linkcode publishTarget}. */
export interface PublishOptions {
  /** The token that the tunnel server requires. */
  token: string | undefined;
  /** How long the tunnel server may take to answer, in milliseconds. */
  timeout: number;
  /** Where errors of connections are printed. */
  terminal: Terminal;
}

/**
 * Publishes a local TCP server through a tunnel server, and connects the
 * connections to the public address with it.
 *
 * @throws {RemoteError} if the tunnel server refuses
 */
export async function publishTarget(
  peer: Peer,
  target: HostAndPort,
  { token, timeout, terminal }: PublishOptions,
): Promise<Published> {
  peer.handle(SELECTORS.connect, async (call, respond) => {
    await call.receive();
    // An error of this is the response, and the tunnel server reports it.
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

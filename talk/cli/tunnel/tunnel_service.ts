/**
 * The tunnel server: opens public ports for publishers.
 *
 * A publisher calls `tunnel.publish` with `[{ token }]`. The response continues
 * with the public address, which exists as long as the call. Each connection to
 * that address becomes a call of the publisher's `tunnel.connect` with
 * `[remote address]`, whose response continues with null and then carries the
 * bytes of the connection.
 *
 * @module
 */
import { connListener } from "../../../mux/internal_deno.ts";
import type { Transport } from "../../../mux/internal.ts";
import {
  type Call,
  type Caller,
  type Responder,
  Router,
} from "../../../rpc/internal.ts";
import { spliceTransport } from "../splice_transport.ts";
import type { Terminal } from "../terminal.ts";
import { isSecret } from "./secret.ts";

/** A host and a port. */
export interface HostAndPort {
  /** The host, without brackets. */
  readonly hostname: string;
  /** The port; 0 chooses a free one. */
  readonly port: number;
}

/** The selectors of the tunnel server and of publishers. */
export const SELECTORS = {
  publish: "tunnel/publish",
  connect: "tunnel/connect",
} as const;

/** How long a publisher may take to connect to its target, in milliseconds. */
const CONNECT_TIMEOUT = 30_000;
/** Milliseconds until accepting is retried, such as when no files are left. */
const RETRY_DELAY = 50;

/** Options of {@linkcode tunnelService}. */
export interface TunnelServiceOptions {
  /** Where public ports are opened. */
  place: HostAndPort;
  /** The token that publishers must send; undefined if none is required. */
  token: string | undefined;
  /** Where published addresses and errors are printed. */
  terminal: Terminal;
}

/** Makes the service of the tunnel server. */
export function tunnelService(options: TunnelServiceOptions): Router {
  const router = new Router();
  router.handle(
    SELECTORS.publish,
    (call, respond) => publish(call, respond, options),
  );
  return router;
}

async function publish(
  call: Call,
  respond: Responder,
  { place, token, terminal }: TunnelServiceOptions,
): Promise<void> {
  const [request] = (await call.receive() ?? []) as [{ token?: unknown }?];
  if (token !== undefined && !await isSecret(request?.token, token)) {
    return await respond.return(new Error("the token is wrong"));
  }
  const listener = connListener(Deno.listen(place), addressOf);
  call.signal.addEventListener("abort", listener.close);
  if (call.signal.aborted) listener.close();
  terminal.note(`published: ${listener.addr}`);
  // The publisher must know the address before the first connection.
  const channel = await respond.continue(listener.addr);
  try {
    await acceptAll(listener, call.caller, terminal);
  } finally {
    await channel.close();
    terminal.note(`closed: ${listener.addr}`);
  }
}

/** Passes every connection to the publisher until the listener closes. */
async function acceptAll(
  listener: ReturnType<typeof connListener>,
  caller: Caller,
  terminal: Terminal,
): Promise<void> {
  const open = new Set<Transport>();
  for (;;) {
    try {
      const accepted = await listener.accept();
      if (accepted === null) break;
      const { transport, remoteAddr } = accepted;
      open.add(transport);
      passConnection(transport, remoteAddr, caller)
        .catch((error) => terminal.error(error))
        .finally(() => open.delete(transport));
    } catch {
      // A connection ended before it was accepted, or no files are left.
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
    }
  }
  for (const transport of open) void transport.close();
}

/** Passes a connection to the publisher. */
async function passConnection(
  transport: Transport,
  remoteAddr: string,
  caller: Caller,
): Promise<void> {
  try {
    const { channel } = await caller.request(
      SELECTORS.connect,
      [remoteAddr],
      { timeout: CONNECT_TIMEOUT },
    );
    if (channel !== undefined) await spliceTransport(transport, channel);
  } finally {
    await transport.close();
  }
}

/** A TCP address in the form of `dial()`. */
export function addressOf({ hostname, port }: Deno.NetAddr): string {
  return `tcp://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

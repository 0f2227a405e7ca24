/**
 * The half of a tunnel that others reach: opens ports for publishers.
 *
 * A publisher calls `tunnel.publish` with `[{ token }]`. The answer continues
 * with the address that it got, and stands for as long as the call does. Each
 * connection to that address becomes a call of the publisher's `tunnel.connect`
 * with `[remote address]`, which continues with null and becomes the bytes.
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

/** A place on the network. */
export interface HostAndPort {
  /** The host, without brackets. */
  readonly hostname: string;
  /** The port; 0 is a free one. */
  readonly port: number;
}

/** The selectors of the two halves. */
export const SELECTORS = {
  publish: "tunnel/publish",
  connect: "tunnel/connect",
} as const;

/** Milliseconds that a publisher has to reach its server. */
const CONNECT_TIMEOUT = 30_000;
/** Milliseconds before accepting is tried again, for want of files perhaps. */
const RETRY_DELAY = 50;

/** What the service needs to know. */
export interface TunnelServiceOptions {
  /** Where publishers get their ports. */
  place: HostAndPort;
  /** What they must know; undefined if nothing. */
  token: string | undefined;
  /** Hears who comes and goes. */
  terminal: Terminal;
}

/** Makes the service. */
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
  if (token !== undefined && request?.token !== token) {
    return await respond.return(new Error("the token is wrong"));
  }
  const listener = connListener(Deno.listen(place), addressOf);
  call.signal.addEventListener("abort", listener.close);
  if (call.signal.aborted) listener.close();
  terminal.note(`published: ${listener.addr}`);
  // The publisher hears of its address before it hears of a connection to it.
  const channel = await respond.continue(listener.addr);
  try {
    await acceptAll(listener, call.caller, terminal);
  } finally {
    await channel.close();
    terminal.note(`closed: ${listener.addr}`);
  }
}

/** Gives every connection to the publisher, until the listener is closed. */
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
      carry(transport, remoteAddr, caller)
        .catch((error) => terminal.error(error))
        .finally(() => open.delete(transport));
    } catch {
      // That connection was gone before it was here, or there are no files.
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
    }
  }
  for (const transport of open) void transport.close();
}

async function carry(
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

/** A TCP address, in the form that every scheme uses. */
export function addressOf({ hostname, port }: Deno.NetAddr): string {
  return `tcp://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

import { connListener } from "../../../mux/internal_deno.ts";
import type { TransportListener } from "../../../mux/internal.ts";
import { addressOf, type HostAndPort } from "./tunnel_wire.ts";

/**
 * The ports of tunnels, unless the server has a fixed one: below those that systems
 * give to outgoing connections. One of these could be in use when a tunnel asks for
 * its port again, and a client that connects to it while it is closed could even be
 * connected to itself.
 */
const FIRST_PORT = 20_000;
/** How many of them there are. */
const PORTS = 10_000;
/** How many of them are tried for one name. */
const ATTEMPTS = 16;
/** The lowest port that a publisher may ask for. */
export const LOWEST_PORT = 1_024;

/** A port that was opened. */
export interface PublicPort extends TransportListener {
  /** Its number. */
  readonly port: number;
}

/** Opens a port on the public host. */
export type OpenPort = (port: number) => PublicPort;

/** Opens ports on this host. */
export function openPortOn(hostname: string): OpenPort {
  return (port) => {
    const listener = Deno.listen({ hostname, port });
    return Object.assign(
      connListener(
        listener,
        (addr: HostAndPort) => addressOf(addr),
        (conn) => (conn as Deno.TcpConn).setNoDelay(true),
      ),
      { port: listener.addr.port },
    );
  };
}

/**
 * The ports to try for a name, in order. They follow from the name, so that the same
 * port is found again when neither half remembers it.
 *
 * @param name the name of the tunnel
 * @param wish a port to try first, or 0
 */
export function* portsFor(name: string, wish: number): Generator<number> {
  if (wish !== 0) yield wish;
  const start = hashOf(name);
  for (let i = 0; i < ATTEMPTS; i++) {
    yield FIRST_PORT + (start + i * 611) % PORTS;
  }
  yield 0;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}

/**
 * Opens the first of several ports that is free.
 *
 * @throws {unknown} the error of the last one, or another error than that it is taken
 */
export function openFirst(open: OpenPort, ports: Iterable<number>): PublicPort {
  let taken: unknown;
  for (const port of ports) {
    try {
      return open(port);
    } catch (error) {
      if ((error as Error).name !== "AddrInUse") throw error;
      taken = error;
    }
  }
  throw taken;
}

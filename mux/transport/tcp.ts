import { connectWith, connListener, connTransport, prepared } from "./conn.ts";
import type { Scheme } from "./types.ts";

/** `tcp://host:port`; an IPv6 host is written in brackets. */
export const tcp: Scheme = {
  async connect(rest, signal) {
    // Newer versions of Deno use the signal to cancel the attempt itself.
    const connecting = Deno.connect({ ...parse(rest), signal });
    const conn = await connectWith(connecting, signal);
    return connTransport(prepared(conn, disableDelay));
  },
  listen(rest) {
    return connListener(
      Deno.listen(parse(rest)),
      (addr) => {
        const host = addr.hostname.includes(":")
          ? `[${addr.hostname}]`
          : addr.hostname;
        return `tcp://${host}:${addr.port}`;
      },
      (conn) => disableDelay(conn as Deno.TcpConn),
    );
  },
};

/** Otherwise the second of two small writes is delayed by 44 ms. */
function disableDelay(conn: Deno.TcpConn): void {
  conn.setNoDelay(true);
}

function parse(rest: string): { hostname: string; port: number } {
  const match = /^\/\/(?:\[([^\]]+)\]|([^/:@\s]+)):(\d{1,5})\/?$/.exec(rest);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new SyntaxError("expected tcp://host:port");
  }
  return { hostname: match[1] ?? match[2]!, port };
}

import { connectWith, connListener, connTransport, prepared } from "./conn.ts";
import type { Scheme } from "./types.ts";

/** `tcp://host:port`; an IPv6 host stands in brackets. */
export const tcp: Scheme = {
  async connect(rest, signal) {
    // Given the signal, newer versions of Deno also end the attempt itself.
    const connecting = Deno.connect({ ...parse(rest), signal });
    const conn = await connectWith(connecting, signal);
    return connTransport(prepared(conn, sendAtOnce));
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
      (conn) => sendAtOnce(conn as Deno.TcpConn),
    );
  },
};

/** Without it two small writes in a row wait 44 ms for each other. */
function sendAtOnce(conn: Deno.TcpConn): void {
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

import { untilAborted } from "../../../time_limit.ts";
import { connListener, connTransport, prepared } from "./conn.ts";
import { hostPort, parseHostPort } from "../address_forms.ts";
import type { Transport } from "../../types.ts";
import type {
  Scheme,
  SchemeListenOptions,
  TransportListener,
} from "../types.ts";

/** `tcp://host:port` in Deno; an IPv6 host is written in brackets. */
export const tcp = {
  async connect(rest: string, signal: AbortSignal): Promise<Transport> {
    // Newer versions of Deno use the signal to cancel the attempt itself.
    const connecting = Deno.connect({ ...parseHostPort("tcp", rest), signal });
    const conn = await untilAborted(connecting, signal);
    return connTransport(prepared(conn, disableDelay));
  },
  listen(
    rest: string,
    { reusePort = false }: SchemeListenOptions = {},
  ): TransportListener {
    if (reusePort && !canReusePort()) {
      throw new TypeError(
        'option "reusePort" needs the flag --unstable-net of Deno',
      );
    }
    return connListener(
      Deno.listen({
        ...parseHostPort("tcp", rest),
        ...(reusePort && { reusePort }),
      }),
      (addr) => hostPort("tcp", addr),
      (conn) => disableDelay(conn as Deno.TcpConn),
    );
  },
} satisfies Scheme;

/**
 * Whether Deno was started with the flag for `reusePort`, without which it would end
 * the process.
 */
export function canReusePort(): boolean {
  // This function comes with the same flag.
  return "listenDatagram" in Deno;
}

/** Otherwise the second of two small writes is delayed by 44 ms. */
function disableDelay(conn: Deno.TcpConn): void {
  conn.setNoDelay(true);
}

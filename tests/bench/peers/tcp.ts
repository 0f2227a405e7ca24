/**
 * TCP with 127.0.0.1, as raw peers use it: what they all do, and what is wrong
 * without (Nagle's algorithm).
 *
 * @module
 */

/** Serves every connection with `handle`; resolves to the address. */
export function listenTcp(
  handle: (conn: Deno.TcpConn) => Promise<void>,
): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  (async () => {
    for await (const conn of listener) {
      conn.setNoDelay(true);
      handle(conn).catch((error) => console.error(error))
        .finally(() => closeQuietly(conn));
    }
  })();
  return String(listener.addr.port);
}

/** Connects to what {@linkcode listenTcp} returned. */
export async function connectTcp(address: string): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(address),
  });
  conn.setNoDelay(true);
  return conn;
}

/** Writes all of `bytes`. */
export async function writeAll(
  conn: Deno.Conn,
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at));
  }
}

/** Closes what may have been closed by an error. */
function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}

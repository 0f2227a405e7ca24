/**
 * What TCP and Unix sockets have in common: a `Deno.Conn` driven by its own
 * calls, and a `Deno.Listener`.
 *
 * @module
 */
import type { Transport } from "../types.ts";
import type { TransportListener } from "./types.ts";

/** Bytes of the read buffer of an idle connection. */
const SMALL_READ = 1024;
/** Bytes that it grows to under load. */
const LARGE_READ = 256 * 1024;
/** Reads of less than an eighth of it after which it shrinks again. */
const SHRINK_AFTER = 16;
/**
 * How much is written without a break before other sockets get a turn: bytes,
 * and as many for each write as it costs by itself. Two milliseconds or so, but
 * counted: to look at the clock would cost each small write more than this.
 */
const WRITE_SLICE = 4 * 1024 * 1024;
const WRITE_COST = 32 * 1024;

/**
 * Drives a connection by its own calls: `conn.readable` and `conn.writable`
 * close the whole connection at the end of either direction
 * (denoland/deno#22258, #27510), and cost more.
 */
export function connTransport(conn: Deno.Conn): Transport {
  let buffer = new Uint8Array(SMALL_READ);
  let smallReads = 0;
  /** What was written since the loop last turned for sure. */
  let unbroken = 0;
  let closed = false;

  function resize(read: number): void {
    if (read === buffer.length && read < LARGE_READ) {
      buffer = new Uint8Array(read * 4);
    } else if (read * 8 >= buffer.length || buffer.length === SMALL_READ) {
      smallReads = 0;
    } else if (++smallReads === SHRINK_AFTER) {
      smallReads = 0;
      buffer = new Uint8Array(buffer.length / 4);
    }
  }

  return {
    async read() {
      const read = await conn.read(buffer);
      if (read === null) return null;
      // With nothing left to read, the loop turns before there is more.
      if (read < buffer.length) unbroken = 0;
      const bytes = buffer.subarray(0, read);
      resize(read);
      return bytes;
    },
    async write(bytes) {
      let written = await conn.write(bytes);
      while (written < bytes.length) {
        written += await conn.write(bytes.subarray(written));
      }
      // A socket that takes everything at once settles each write within the
      // same turn, and no other socket of the process would be looked at.
      unbroken += WRITE_COST + bytes.length;
      if (unbroken > WRITE_SLICE) {
        await nextTurn();
        unbroken = 0;
      }
    },
    closeWrite: () => conn.closeWrite(),
    close() {
      if (closed) return;
      closed = true;
      conn.close();
    },
  };
}

/**
 * Lets everything else that is ready run. The global of this name came with
 * Deno 2.4; on an older one a timer does, which takes a millisecond. To import
 * it from Node's modules would keep bundles out of browsers.
 */
function nextTurn(): Promise<void> {
  const { setImmediate = setTimeout } = globalThis as {
    setImmediate?: (callback: () => void) => unknown;
  };
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Connects with a signal that every supported Deno obeys. */
export async function connectWith<C extends Deno.Conn>(
  connecting: Promise<C>,
  signal: AbortSignal,
): Promise<C> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([connecting, aborted.promise]);
  } catch (error) {
    // Whatever connects after all has nobody to close it but us.
    connecting.then((conn) => conn.close(), () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Does to a connection what it needs first; closes it if that fails. */
export function prepared<C extends Deno.Conn>(
  conn: C,
  prepare: (conn: C) => void,
): C {
  try {
    prepare(conn);
    return conn;
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** Accepts from a listener; `describe` names an address of it. */
export function connListener<A extends Deno.Addr>(
  listener: Deno.Listener<Deno.Conn<A>, A>,
  describe: (addr: A) => string,
  prepare: (conn: Deno.Conn<A>) => void = () => {},
): TransportListener {
  let closed = false;
  return {
    addr: describe(listener.addr),
    async accept() {
      if (closed) return null;
      try {
        const conn = prepared(await listener.accept(), prepare);
        return {
          transport: connTransport(conn),
          remoteAddr: describe(conn.remoteAddr),
        };
      } catch (error) {
        if (closed) return null;
        throw error;
      }
    },
    close() {
      if (closed) return;
      closed = true;
      listener.close();
    },
  };
}

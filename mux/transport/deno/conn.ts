/**
 * What TCP and Unix sockets share: transports from connections of
 * Deno, and listeners from its listeners.
 *
 * @module
 */
import "../../internal.ts"; // Keeps bundles in few chunks.
import { nextTurn } from "../../flow/turns.ts";
import type {
  KeepAliveMeans,
  KeptTransport,
  Scheme,
  SchemeListenOptions,
  TransportListener,
} from "../types.ts";
import { untilAborted } from "../../../time_limit.ts";
import {
  boundAddress,
  hostPort,
  parseHostPort,
  parseRemote,
} from "../address_forms.ts";
import { view } from "../../../view.ts";
import type { Transport } from "../../types.ts";

/** What this module uses of a `Deno.Conn`. */
export interface ConnLike {
  /** Reads into a buffer; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the writing. */
  closeWrite(): Promise<void>;
  /** Lets the kernel probe an idle connection, if it is one of TCP. */
  setKeepAlive?(keepAlive: boolean): void;
  /** Closes it. */
  close(): void;
}

/** A connection that was accepted. */
export interface AcceptedConn<A> extends ConnLike {
  /** The address of the peer. */
  readonly remoteAddr: A;
}

/** What this module uses of a `Deno.Listener`. */
export interface ListenerLike<A> {
  /** The address that it listens on. */
  readonly addr: A;
  /** Waits for a connection. */
  accept(): Promise<AcceptedConn<A>>;
  /** Stops listening. */
  close(): void;
}

/** Bytes of the read buffer of an idle connection. */
const SMALL_READ = 256;
/** Bytes that the read buffer grows to under load. */
const LARGE_READ = 256 * 1024;
/** Consecutive reads of less than an eighth of the buffer after which it shrinks. */
const SHRINK_AFTER = 16;
/**
 * Bytes written without a break before other sockets get their turn, about two
 * milliseconds. Time is estimated by bytes, because reading the clock would cost a
 * small write more.
 */
const WRITE_SLICE = 4 * 1024 * 1024;
/** What a write counts towards {@linkcode WRITE_SLICE} beyond its bytes. */
const WRITE_COST = 32 * 1024;

/**
 * Makes a transport of a connection. It calls the connection's own methods:
 * `conn.readable` and `conn.writable` close the whole connection at the end of
 * either direction (denoland/deno#22258, #27510), and cost more.
 *
 * @param failureOf the error for one of reading. Default: that itself
 */
export function connTransport(
  conn: ConnLike,
  failureOf?: (error: unknown) => unknown,
): KeptTransport {
  return new ConnTransport(conn, failureOf);
}

/** It is also what keeps itself alive: an object less for each connection. */
class ConnTransport implements KeptTransport, KeepAliveMeans {
  signs = 0;
  readonly #conn: ConnLike;
  readonly #failed: ((error: unknown) => never) | undefined;
  #buffer = new Uint8Array(SMALL_READ);
  #smallReads = 0;
  /** What was written since other sockets last had their turn. */
  #sinceBreak = 0;
  #closed = false;

  constructor(
    conn: ConnLike,
    failureOf: ((error: unknown) => unknown) | undefined,
  ) {
    this.#conn = conn;
    this.#failed = failureOf && ((error) => {
      throw failureOf(error);
    });
  }

  get keepAlive(): KeepAliveMeans {
    return this;
  }

  start(): boolean {
    if (this.#closed) return true;
    try {
      this.#conn.setKeepAlive?.(true);
      return true;
    } catch {
      // Deno cannot set the option while a write waits.
      return false;
    }
  }

  read(): Promise<Uint8Array | null> {
    // An async function keeps 400 bytes more while it waits.
    return this.#conn.read(this.#buffer).then(this.#received, this.#failed);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const conn = this.#conn;
    let written = await conn.write(bytes);
    while (written < bytes.length) {
      written += await conn.write(bytes.subarray(written));
      this.signs++;
    }
    // A socket that accepts everything at once resolves each write without
    // waiting, and no other socket of the process would be polled.
    this.#sinceBreak += WRITE_COST + bytes.length;
    if (this.#sinceBreak > WRITE_SLICE) {
      await nextTurn();
      this.#sinceBreak = 0;
    }
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  readonly #received = (read: number | null): Uint8Array | null => {
    if (read === null) return null;
    const buffer = this.#buffer;
    // The socket is drained, so the event loop runs before more arrives.
    if (read < buffer.length) this.#sinceBreak = 0;
    const bytes = view(buffer, 0, read);
    this.#resize(read);
    return bytes;
  };

  #resize(read: number): void {
    const { length } = this.#buffer;
    if (read === length && read < LARGE_READ) {
      this.#buffer = new Uint8Array(read * 4);
    } else if (read * 8 >= length || length === SMALL_READ) {
      this.#smallReads = 0;
    } else if (++this.#smallReads === SHRINK_AFTER) {
      this.#smallReads = 0;
      this.#buffer = new Uint8Array(length / 4);
    }
  }
}

/** Calls `prepare` for a connection; closes it if that throws. */
export function prepared<C extends ConnLike>(
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

/**
 * Makes a listener.
 *
 * @param describe formats an address
 * @param prepare called for a connection
 * @param addr the address of the listener. Default: what the runtime says it is
 */
export function connListener<A>(
  listener: ListenerLike<A>,
  describe: (addr: A) => string,
  prepare: (conn: AcceptedConn<A>) => void = () => {},
  addr = describe(listener.addr),
): TransportListener {
  let closed = false;
  return {
    addr,
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

/** `tcp://host:port` in Deno; an IPv6 host is written in brackets. */
export const tcp = {
  async connect(rest: string, signal: AbortSignal): Promise<Transport> {
    // Newer versions of Deno use the signal to cancel the attempt itself.
    const connecting = Deno.connect({ ...parseRemote("tcp", rest), signal });
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
    const place = parseHostPort("tcp", rest);
    const listener = Deno.listen({ ...place, ...(reusePort && { reusePort }) });
    return connListener(
      listener,
      (addr) => hostPort("tcp", addr),
      (conn) => disableDelay(conn as Deno.TcpConn),
      boundAddress("tcp", place.hostname, listener.addr),
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

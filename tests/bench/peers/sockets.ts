/**
 * Bytes between two processes, as raw peers use them: what they all do, and
 * what is wrong without (Nagle's algorithm).
 *
 * @module
 */
import type { Transport } from "../measures.ts";
import { script } from "../peer.ts";
import { connectTls, listenTls } from "./tls_sockets.ts";

/** Bytes read at once. */
const READ_SIZE = 256 * 1024;

/** A stream of bytes each way. */
export interface Pipe {
  /** What came, valid until the next read; `null` at the end. */
  read(): Promise<Uint8Array | null>;
  /** Writes all of `bytes`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends this side's direction. */
  closeWrite(): Promise<void>;
  close(): void;
}

/** Serves every pipe that comes with `handle`; resolves to the address. */
export async function listenPipes(
  transport: Transport,
  handle: (pipe: Pipe) => Promise<void>,
): Promise<string> {
  const serve = (pipe: Pipe) => {
    handle(pipe).catch((error) => console.error(error))
      .finally(() => pipe.close());
  };
  if (transport === "tls") return await listenTls(serve);
  if (transport === "stdio") {
    // The other end reads an end when the process has ended, and not before.
    void handle(stdioPipe()).finally(() => Deno.exit());
    return transport;
  }
  const address = transport === "tcp" ? "0" : unixAddress();
  const listener = transport === "tcp"
    ? Deno.listen({ hostname: "127.0.0.1", port: 0 })
    : Deno.listen({ transport: "unix", path: address });
  (async () => {
    for await (const conn of listener) serve(connPipe(conn));
  })();
  return "port" in listener.addr ? String(listener.addr.port) : address;
}

/**
 * Connects to what {@linkcode listenPipes} returned; over stdio, starts the
 * server of `file`.
 */
export async function connectPipe(
  address: string,
  file: string,
): Promise<Pipe> {
  if (address === "stdio") return childPipe(file);
  if (address.startsWith("tls:")) return await connectTls(address);
  const conn = address.includes("/")
    ? await Deno.connect({ transport: "unix", path: address })
    : await Deno.connect({ hostname: "127.0.0.1", port: Number(address) });
  return connPipe(conn);
}

/** A path for a socket; the bench removes it with all that is temporary. */
export function unixAddress(): string {
  return `${Deno.makeTempDirSync()}/socket`;
}

/** Starts the server of `file`, to be talked to by its stdin and stdout. */
export function stdioServer(file: string): Deno.Command {
  const [program, ...args] = script("server.ts", file, "stdio");
  return new Deno.Command(program, { args, stdin: "piped", stdout: "piped" });
}

/** Writes all of `bytes` to whatever takes some at a time. */
export async function writeAll(
  target: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await target.write(bytes.subarray(at));
  }
}

function connPipe(conn: Deno.Conn): Pipe {
  if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
  const buffer = new Uint8Array(READ_SIZE);
  return {
    async read() {
      const read = await conn.read(buffer);
      return read === null ? null : buffer.subarray(0, read);
    },
    write: (bytes) => writeAll(conn, bytes),
    closeWrite: () => conn.closeWrite(),
    close() {
      try {
        conn.close();
      } catch {
        // It was closed by an error.
      }
    },
  };
}

function stdioPipe(): Pipe {
  const buffer = new Uint8Array(READ_SIZE);
  return {
    async read() {
      const read = await Deno.stdin.read(buffer);
      return read === null ? null : buffer.subarray(0, read);
    },
    write: (bytes) => writeAll(Deno.stdout, bytes),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
}

function childPipe(file: string): Pipe {
  const child = stdioServer(file).spawn();
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  return {
    async read() {
      return (await reader.read()).value ?? null;
    },
    write: (bytes) => writer.write(bytes),
    closeWrite: () => writer.close(),
    close() {
      try {
        child.kill();
      } catch {
        // It has ended by itself.
      }
    },
  };
}

/**
 * `Deno.connect()` and `Deno.listen()`, over `node:net`.
 *
 * @module
 */
import net from "node:net";
import process from "node:process";
import {
  NodeTransport,
  systemError,
} from "../../../mux/transport/node/streams.ts";

/** Where a connection leads to, or a listener waits. */
interface Place {
  hostname?: string;
  port?: number;
  transport?: "tcp" | "unix";
  path?: string;
}

/** The connections of this process that nobody has closed. */
export const open = new Set<Conn | Listener>();

/** `Deno.Conn`. */
export class Conn {
  readonly localAddr: unknown;
  readonly remoteAddr: unknown;
  readonly #socket: net.Socket;
  readonly #transport: NodeTransport;
  #rest = new Uint8Array(0);
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  #closed = false;

  constructor(socket: net.Socket, path?: string) {
    this.#socket = socket;
    this.#transport = new NodeTransport(socket, socket);
    this.localAddr = path === undefined
      ? address(socket.localAddress, socket.localPort)
      : { transport: "unix", path };
    this.remoteAddr = path === undefined
      ? address(socket.remoteAddress, socket.remotePort)
      : { transport: "unix", path };
    open.add(this);
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#closed) throw closedError();
    if (this.#rest.length === 0) {
      const bytes = await this.#transport.read();
      if (bytes === null) {
        if (this.#closed) throw closedError();
        return null;
      }
      this.#rest = bytes as Uint8Array<ArrayBuffer>;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#closed) throw closedError();
    await this.#transport.write(bytes);
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.#transport.closeWrite();
  }

  close(): void {
    if (this.#closed) throw closedError();
    this.#closed = true;
    open.delete(this);
    // The system does so, if it holds what was not read.
    if (this.#rest.length > 0) this.#socket.resetAndDestroy();
    else void this.#transport.close();
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#readable ??= new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const buffer = new Uint8Array(64 * 1024);
        const read = await this.read(buffer);
        if (read !== null) return controller.enqueue(buffer.subarray(0, read));
        controller.close();
        this[Symbol.dispose]();
      },
      cancel: () => this[Symbol.dispose](),
    }, { highWaterMark: 0 });
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= new WritableStream<Uint8Array>({
      write: async (bytes) => void await this.write(bytes),
      close: () => this.closeWrite(),
      abort: () => this[Symbol.dispose](),
    });
  }

  setNoDelay(on = true): void {
    this.#socket.setNoDelay(on);
  }

  setKeepAlive(on = true): void {
    this.#socket.setKeepAlive(on);
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  [Symbol.dispose](): void {
    if (!this.#closed) this.close();
  }
}

/** `Deno.connect()`. */
export async function connect(
  { hostname = "127.0.0.1", port, path }: Place,
): Promise<Conn> {
  const socket = net.connect({
    ...path === undefined ? { host: hostname, port: port! } : { path },
    allowHalfOpen: true,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", (error) => reject(systemError(error)));
  });
  socket.removeAllListeners("error");
  return new Conn(socket, path);
}

/** `Deno.Listener`. */
export class Listener implements AsyncIterable<Conn> {
  readonly addr: unknown;
  readonly #server: net.Server;
  readonly #accepted: Conn[] = [];
  readonly #waiting: PromiseWithResolvers<Conn>[] = [];
  #closed = false;

  constructor({ hostname = "127.0.0.1", port = 0, path }: Place) {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const conn = new Conn(socket, path);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#accepted.push(conn);
      else waiting.resolve(conn);
    });
    if (path === undefined) {
      listenAtOnce(this.#server, hostname, port);
      const at = this.#server.address() as net.AddressInfo;
      this.addr = address(at.address, at.port);
    } else {
      this.#server.listen(path);
      this.addr = { transport: "unix", path };
    }
    open.add(this);
  }

  accept(): Promise<Conn> {
    if (this.#closed) return Promise.reject(closedError());
    const conn = this.#accepted.shift();
    if (conn !== undefined) return Promise.resolve(conn);
    const waiting = Promise.withResolvers<Conn>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  close(): void {
    if (this.#closed) throw closedError();
    this.#closed = true;
    open.delete(this);
    this.#server.close();
    for (const conn of this.#accepted) conn.close();
    for (const waiting of this.#waiting) waiting.reject(closedError());
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Conn> {
    while (!this.#closed) {
      try {
        yield await this.accept();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    if (!this.#closed) this.close();
  }
}

/** `Deno.listen()`. */
export function listen(place: Place): Listener {
  return new Listener(place);
}

/** What is used of Node's handle of a socket. */
interface Handle {
  bind(host: string, port: number): number;
  bind6(host: string, port: number): number;
}

/**
 * Lets a server listen, so that its port is known when this returns. Bun does so
 * by itself. Node takes a turn of the event loop for the name of the host, unless
 * it is given a socket that is bound.
 */
export function listenAtOnce(
  server: net.Server,
  hostname: string,
  port: number,
): void {
  if ("Bun" in globalThis) return void server.listen(port, hostname);
  const { TCP, constants } = (process as unknown as {
    binding(name: string): {
      TCP: new (type: number) => Handle;
      constants: { SERVER: number };
    };
  }).binding("tcp_wrap");
  const handle = new TCP(constants.SERVER);
  const failed = hostname.includes(":")
    ? handle.bind6(hostname, port)
    : handle.bind(hostname, port);
  if (failed !== 0) {
    throw Object.assign(new Error(`bind failed: ${failed}`), {
      name: "AddrInUse",
    });
  }
  server.listen(handle);
}

function address(hostname = "", port = 0) {
  return { transport: "tcp", hostname, port };
}

function closedError(): Error {
  return Object.assign(new Error("Bad resource ID"), { name: "BadResource" });
}

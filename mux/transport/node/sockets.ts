/**
 * TCP and Unix sockets, and named pipes of Windows, on Node and Bun.
 *
 * @module
 */
import "../../internal.ts"; // Keeps bundles in few chunks.
import {
  boundAddress,
  hostPort,
  parseHostPort,
  parsePath,
  parseRemote,
} from "../address_forms.ts";
import {
  type FileInfo,
  ownFile,
  replaceSocket,
  type SocketSystem,
} from "../socket_file.ts";
import { PendingAccepts } from "../pending_accepts.ts";
import type { Accepted, Scheme, TransportListener } from "../types.ts";
import { requiredModule } from "./builtin.ts";
import { beforeNodeEnds } from "./process_end.ts";
import {
  type NodeReadable,
  NodeTransport,
  type NodeTransportOptions,
  type NodeWritable,
  systemError,
} from "./streams.ts";

/** What is used of a `net.Socket`. */
export interface NodeSocket extends NodeReadable, NodeWritable {
  /** Stops listening to an event. */
  off(event: string, listener: (...args: never[]) => void): unknown;
  /** Gathers what is written, until {@linkcode uncork} is called. */
  cork(): void;
  /** Writes what was gathered. */
  uncork(): void;
  /** Sends small writes at once. */
  setNoDelay(on: boolean): unknown;
  /** Lets the system probe an idle connection. */
  setKeepAlive(on: boolean): unknown;
  /** The address of the other end. */
  readonly remoteAddress?: string | undefined;
  /** The port of the other end. */
  readonly remotePort?: number | undefined;
  /** Closes it. */
  destroy(): unknown;
}

/** What is used of a `net.Server`. */
export interface NodeServer {
  /** Listens to an event. */
  on(event: string, listener: (...args: never[]) => void): unknown;
  /** Stops listening to an event. */
  off(event: string, listener: (...args: never[]) => void): unknown;
  /** Starts to listen at an address. */
  listen(where: object): unknown;
  /** Where it listens: the path of a socket, or a port. */
  address(): string | { address: string; port: number } | null;
  /** Stops listening. */
  close(): unknown;
}

/** What is used of `node:net`. */
interface NetModule {
  connect(options: object): NodeSocket;
  createServer(
    options: object,
    listener: (socket: NodeSocket) => void,
  ): NodeServer;
}

/** What is used of `node:fs`. */
interface FsModule {
  lstatSync(path: string): {
    isSocket(): boolean;
    ino: number;
    dev: number;
    birthtime: Date;
  };
  unlinkSync(path: string): void;
  linkSync(path: string, name: string): void;
}

/** Where a socket connects to. */
type Place = { host: string; port: number } | { path: string };

/** Where a server listens, and whether others may, too. */
export type ListenPlace = Place & { reusePort?: boolean | undefined };

/** `tcp://host:port` on Node and Bun; an IPv6 host is written in brackets. */
export const nodeTcp: Scheme = {
  async connect(rest, signal) {
    return socketTransport(
      await connectSocket(remotePlace("tcp", rest), signal),
    );
  },
  listen: (rest, { reusePort } = {}) =>
    listenAt({ ...tcpPlace("tcp", rest), reusePort }, "tcp"),
};

/** `unix:/path` on Node and Bun. */
export const nodeUnix: Scheme = pathScheme("unix", socketPath);

/** `pipe:name`: a named pipe of Windows. */
export const nodePipe: Scheme = pathScheme("pipe", pipePath);

/** Bytes of the path of a socket that Linux takes, and other systems at least. */
const MAX_PATH = { linux: 107, others: 103 };

/**
 * The path of a socket. Node 22 cuts a path that is too long, and the socket would
 * be at another path.
 *
 * @throws {SyntaxError} if there is none
 * @throws {Error} `InvalidInput` if it is longer than the system allows
 */
function socketPath(rest: string): string {
  const path = parsePath("unix", rest);
  const { process } = globalThis as { process?: { platform?: string } };
  const max = process?.platform === "linux" ? MAX_PATH.linux : MAX_PATH.others;
  const { length } = new TextEncoder().encode(path);
  if (length <= max) return path;
  throw Object.assign(
    new Error(`the path has ${length} bytes, and this system allows ${max}`),
    { name: "InvalidInput" },
  );
}

/**
 * The path of the named pipe `name`, `//name` or `\\.\pipe\name`, which can also be
 * written with slashes.
 *
 * @throws {SyntaxError} if there is no name
 */
export function pipePath(rest: string): string {
  // First: its slashes are not those before a name.
  const whole = /^[\\/]{2}([.?])[\\/]pipe[\\/](.*)$/is.exec(rest);
  const name = whole?.[2] ?? rest.replace(/^\/\//, "");
  if (name === "") throw new SyntaxError("expected pipe:name");
  return `\\\\${whole?.[1] ?? "."}\\pipe\\${name}`;
}

/**
 * The host and the port of an address.
 *
 * @throws {SyntaxError} if the address has another form
 */
export function tcpPlace(
  scheme: string,
  rest: string,
): { host: string; port: number } {
  const { hostname, port } = parseHostPort(scheme, rest);
  return { host: hostname, port };
}

/**
 * As {@linkcode tcpPlace}, for dialing.
 *
 * @throws {SyntaxError} also if the port is 0
 */
export function remotePlace(
  scheme: string,
  rest: string,
): { host: string; port: number } {
  const { hostname, port } = parseRemote(scheme, rest);
  return { host: hostname, port };
}

/** Connects a socket, which has no listeners yet. */
export function connectSocket(
  place: Place,
  signal: AbortSignal,
): Promise<NodeSocket> {
  const net = requiredModule<NetModule>("node:net");
  signal.throwIfAborted();
  const socket = net.connect({ ...place, allowHalfOpen: true });
  return untilReady(socket, "connect", signal);
}

/** Waits for an event of a socket, which is closed if there is none. */
export async function untilReady<S extends NodeSocket>(
  socket: S,
  event: string,
  signal: AbortSignal,
): Promise<S> {
  const ready = Promise.withResolvers<void>();
  const onReady = () => ready.resolve();
  const onError = (error: unknown) => ready.reject(systemError(error));
  const onClose = () => ready.reject(new Error("the connection was closed"));
  const onAbort = () => ready.reject(signal.reason);
  socket.on(event, onReady);
  socket.on("error", onError);
  socket.on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await ready.promise;
    socket.off("error", onError);
  } catch (error) {
    // The listener to errors stays: without one, they end the process.
    socket.destroy();
    throw error;
  } finally {
    socket.off(event, onReady);
    socket.off("close", onClose);
    signal.removeEventListener("abort", onAbort);
  }
  return socket;
}

/** A transport over a connected socket, which it owns. */
export function socketTransport(
  socket: NodeSocket,
  options: NodeTransportOptions = {},
): NodeTransport {
  // Otherwise the second of two small writes is delayed.
  socket.setNoDelay(true);
  return new NodeTransport(socket, socket, {
    startKeepAlive: () => void socket.setKeepAlive(true),
    ...options,
  });
}

/** The address of the other end of a socket. */
export function remoteAddrOf(
  { remoteAddress, remotePort }: NodeSocket,
  scheme = "tcp",
): string {
  if (remoteAddress === undefined) return "";
  // A socket for both versions of IP writes those of IPv4 in the form of IPv6.
  const hostname = remoteAddress.replace(/^::ffff:(?=\d+\.)/, "");
  return hostPort(scheme, { hostname, port: remotePort ?? 0 });
}

/** Listens on TCP or at a path. */
async function listenAt(
  place: ListenPlace,
  scheme: string,
): Promise<TransportListener> {
  const net = requiredModule<NetModule>("node:net");
  const accepting = new NodeListener();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const remoteAddr = "path" in place
      ? `${scheme}:${place.path}`
      : remoteAddrOf(socket);
    accepting.push({ transport: socketTransport(socket), remoteAddr });
  });
  await accepting.start(server, place, scheme);
  return accepting;
}

/** Accepts what a server of Node passes to it. */
export class NodeListener implements TransportListener {
  addr = "";
  #server: NodeServer | undefined;
  readonly #pending = new PendingAccepts();
  #closed = false;

  /** Starts to listen; {@linkcode addr} is then where. */
  async start(
    server: NodeServer,
    place: ListenPlace,
    scheme: string,
  ): Promise<void> {
    const listening = Promise.withResolvers<void>();
    server.on("listening", listening.resolve);
    server.on("error", listening.reject);
    try {
      server.listen(place);
      await listening.promise;
    } catch (error) {
      server.close();
      throw systemError(error);
    }
    server.off("error", listening.reject);
    server.on("error", (error: unknown) => {
      this.#pending.push({ error: systemError(error) });
    });
    this.#server = server;
    const address = server.address();
    this.addr = "path" in place || address === null ||
        typeof address === "string"
      ? `${scheme}:${"path" in place ? place.path : address}`
      : boundAddress(scheme, place.host, {
        hostname: address.address,
        port: address.port,
      });
  }

  /** Takes a connection. */
  push(accepted: Accepted): void {
    if (this.#closed) void accepted.transport.close();
    else this.#pending.push({ accepted });
  }

  accept(): Promise<Accepted | null> {
    if (this.#closed && this.#pending.isEmpty) return Promise.resolve(null);
    return this.#pending.next();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server?.close();
    this.#pending.discard();
    this.#pending.end();
  }
}

function pathScheme(
  scheme: "unix" | "pipe",
  parse: (rest: string) => string,
): Scheme {
  return {
    async connect(rest, signal) {
      const socket = await connectSocket({ path: parse(rest) }, signal);
      return socketTransport(socket);
    },
    listen: (rest) => listenAtPath(parse(rest), scheme),
    ...scheme === "unix" && {
      takeOver: (rest: string) => {
        const path = parse(rest);
        return replaceSocket(path, () => listenAtPath(path, scheme), system());
      },
    },
  };
}

/** Listens at a path; a file that is there then is removed at the end. */
async function listenAtPath(
  path: string,
  scheme: "unix" | "pipe",
): Promise<TransportListener> {
  const listener = await listenAt({ path }, scheme).catch((error) => {
    throw scheme === "unix" ? bindError(error, path) : error;
  });
  if (scheme === "pipe" || path.startsWith("\0")) return listener;
  const file = ownFile(path, system());
  const forget = beforeNodeEnds(() => file.remove());
  return {
    addr: listener.addr,
    accept: () => listener.accept(),
    close() {
      forget();
      const giveBack = file.keepOther();
      listener.close();
      giveBack();
      // Node does so itself, and Bun does not.
      file.remove();
    },
  };
}

/** The error of listening at a path. libuv says EACCES where the folder is missing. */
function bindError(error: Error & { code?: string }, path: string): Error {
  const fs = requiredModule<FsModule>("node:fs");
  const folder = path.replace(/[^/]*$/, "") || ".";
  if (error.code !== "EACCES" || !isMissing(fs, folder)) return error;
  return Object.assign(
    new Error(`no such folder: "${folder}"`, { cause: error }),
    { name: "NotFound", code: "ENOENT" },
  );
}

/** Whether nothing is at a path, as far as this user may look. */
function isMissing(fs: FsModule, path: string): boolean {
  try {
    fs.lstatSync(path);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "ENOENT";
  }
}

/** What Node and Bun do with socket files: they have no locks. */
function system(): SocketSystem {
  const fs = requiredModule<FsModule>("node:fs");
  return {
    fileAt(path): FileInfo | undefined {
      try {
        const stats = fs.lstatSync(path);
        const { ino, dev, birthtime } = stats;
        return { ino, dev, birthtime, isSocket: stats.isSocket() };
      } catch {
        return undefined;
      }
    },
    remove: (path) => fs.unlinkSync(path),
    link: (path, name) => fs.linkSync(path, name),
    async probe(path) {
      const socket = await connectSocket(
        { path },
        new AbortController().signal,
      );
      socket.on("error", () => {});
      socket.destroy();
    },
    lock: () => Promise.resolve(() => {}),
  };
}

/**
 * Sockets as programs for Node use them: `node:net`, `node:tls` and the package `ws`,
 * all of which Bun and Deno have as well. Addresses are URLs.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import net, { type AddressInfo, type Socket } from "node:net";
import process from "node:process";
import tls from "node:tls";
import type { Transport } from "../measures.ts";
import { loadPackage } from "./packages.ts";

/** What is used of a `WebSocket` of the package `ws`. */
export interface NodeWebSocket
  extends Pick<WebSocket, "send" | "close" | "addEventListener"> {
  on(event: string, listener: (data: string) => void): unknown;
}

/** What is used of the package `ws`. */
interface Ws {
  WebSocket: new (url: string) => NodeWebSocket;
  WebSocketServer: new (
    options: { host: string; port: number },
    onListening: () => void,
  ) => {
    on(event: string, listener: (socket: NodeWebSocket) => void): unknown;
    address(): AddressInfo;
  };
}

/** The folder of certificates is named by main.ts. */
export function credentials(): { cert: string; key: string; ca: string } {
  const folder = process.env.QTALK_BENCH_TLS!;
  const read = (name: string) => readFileSync(`${folder}/${name}.pem`, "utf8");
  return { cert: read("cert"), key: read("key"), ca: read("ca") };
}

/** Serves each connection, by TCP or TLS; resolves to the address. */
export async function listenSockets(
  transport: Transport,
  handle: (socket: Socket) => void,
): Promise<string> {
  const onSocket = (socket: Socket) => {
    socket.setNoDelay(true);
    // The client ends without a word.
    socket.on("error", () => socket.destroy());
    handle(socket);
  };
  const server = transport === "tls"
    ? tls.createServer(credentials(), onSocket)
    : net.createServer(onSocket);
  await new Promise<void>((resolve) =>
    server.listen({ host: "127.0.0.1", port: 0 }, resolve)
  );
  const { port } = server.address() as AddressInfo;
  return `${transport}://127.0.0.1:${port}`;
}

/** Connects to what {@linkcode listenSockets} resolved to. */
export async function connectSocket(address: string): Promise<Socket> {
  const { protocol, port } = new URL(address);
  const place = { host: "127.0.0.1", port: Number(port) };
  const isTls = protocol === "tls:";
  const socket = isTls
    ? tls.connect({ ...place, ca: credentials().ca })
    : net.connect(place);
  await new Promise((resolve, reject) => {
    socket.on(isTls ? "secureConnect" : "connect", resolve);
    socket.on("error", reject);
  });
  socket.setNoDelay(true);
  return socket;
}

/** Serves each WebSocket; resolves to the address. */
export async function listenWebSockets(
  handle: (socket: NodeWebSocket) => void,
): Promise<string> {
  const { WebSocketServer } = await loadPackage<Ws>("ws");
  const listening = Promise.withResolvers<void>();
  const place = { host: "127.0.0.1", port: 0 };
  const server = new WebSocketServer(place, listening.resolve);
  server.on("connection", handle);
  await listening.promise;
  return `ws://127.0.0.1:${server.address().port}`;
}

/** Connects to what {@linkcode listenWebSockets} resolved to. */
export async function openWebSocket(address: string): Promise<NodeWebSocket> {
  const { WebSocket } = await loadPackage<Ws>("ws");
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return socket;
}

/**
 * `Deno.serve()`, over `node:http`, without upgrades.
 *
 * @module
 */
import http from "node:http";
import https from "node:https";
import type net from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { listenAtOnce } from "./sockets.ts";

/** Answers a request. */
type Handler = (
  request: Request,
  info: { remoteAddr: unknown },
) => Response | Promise<Response>;

/** What of the options is known here. */
interface ServeOptions {
  hostname?: string;
  port?: number;
  signal?: AbortSignal;
  handler?: Handler;
  onListen?: (addr: unknown) => void;
  cert?: string;
  key?: string;
}

/** `Deno.serve()`. */
export function serve(...args: (ServeOptions | Handler)[]) {
  const options = (args.find((arg) => typeof arg === "object") ??
    {}) as ServeOptions;
  const handler = (args.find((arg) => typeof arg === "function") ??
    options.handler) as Handler;
  const onRequest: http.RequestListener = (incoming, outgoing) => {
    answer(incoming, outgoing, handler).catch((error) => {
      outgoing.destroy(error as Error);
    });
  };
  const { cert, key } = options;
  const server = cert === undefined || key === undefined
    ? http.createServer(onRequest)
    : https.createServer({ cert, key }, onRequest);
  // The timer of Bun for it would be one of the test that runs.
  server.keepAliveTimeout = 0;
  listenAtOnce(server, options.hostname ?? "127.0.0.1", options.port ?? 0);
  const at = server.address() as net.AddressInfo;
  const addr = { transport: "tcp", hostname: at.address, port: at.port };
  options.onListen?.(addr);
  const finished = new Promise<void>((resolve) => {
    server.once("close", () => resolve());
  });
  const shutdown = () => {
    server.close();
    server.closeAllConnections();
    return finished;
  };
  options.signal?.addEventListener("abort", () => void shutdown());
  return { addr, finished, shutdown, [Symbol.asyncDispose]: shutdown };
}

async function answer(
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  handler: Handler,
): Promise<void> {
  const { method = "GET", headers, url = "/", socket } = incoming;
  const hasBody = method !== "GET" && method !== "HEAD";
  const request = new Request(new URL(url, `http://${headers.host}`), {
    method,
    headers: Object.entries(headers).map(([name, value]) => [name, `${value}`]),
    ...hasBody && {
      body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>,
      duplex: "half",
    },
  } as RequestInit);
  const response = await handler(request, {
    remoteAddr: {
      transport: "tcp",
      hostname: socket.remoteAddress,
      port: socket.remotePort,
    },
  });
  // Node writes it in another way.
  if (response.status === 418) outgoing.statusMessage = "I'm a teapot";
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) return void outgoing.end();
  await pipeline(Readable.fromWeb(response.body as never), outgoing);
}

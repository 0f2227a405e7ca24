/**
 * Either end of the interop tests, for Node and Bun: sessions over the web
 * streams of their sockets, as in examples/node_streams.mjs.
 *
 *     program.mjs serve tcp|ws|stdio
 *     program.mjs serve unix PATH
 *     program.mjs client tcp|unix|ws ADDRESS CASE…
 *     program.mjs client exec CASE… -- COMMAND…
 *     program.mjs refused ws ADDRESS
 *
 * A server prints "listening HOST:PORT" or "listening PATH". A client prints a
 * line of JSON for each case; one that is refused, the code of its error.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { type AddressInfo, connect, createServer } from "node:net";
import process from "node:process";
import { Readable, Writable } from "node:stream";
import { dial, Peer, qmux } from "@qtalk/qtalk";
import { type WebSocketLike, webSocketTransport } from "@qtalk/qtalk/mux";
import { CASES } from "../interop/cases.ts";
import { EXTENDED, extendedCase } from "../interop/extended_cases.ts";
import type { CaseName } from "../interop/names.ts";
import { interopService, MAX_VALUE_SIZE } from "../interop/service.ts";

const [mode, transport, ...rest] = process.argv.slice(2);
const options = {
  handler: interopService(),
  maxValueSize: MAX_VALUE_SIZE,
  onError(error: unknown, { selector }: { selector: string | undefined }) {
    // Whoever waits for the other end to die is not surprised.
    if (rest.includes("peer-dies" satisfies CaseName)) return;
    console.error(`serve: ${selector ?? "session"}: ${error}`);
  },
};

/**
 * A pair of web streams over Node's. Not for sockets with `allowHalfOpen`:
 * Node 22 ends the readable one only when both directions have ended.
 */
function pair(input: Readable, output: Writable) {
  return {
    readable: Readable.toWeb(input) as ReadableStream<Uint8Array>,
    writable: Writable.toWeb(output) as WritableStream<Uint8Array>,
  };
}

function peerOver(pipe: Parameters<typeof qmux>[0]): Peer {
  return new Peer(qmux(pipe), options);
}

function serveSockets(where: { path: string } | { port: number }): void {
  const server = createServer({ noDelay: true });
  server.on("connection", (socket) => peerOver(pair(socket, socket)));
  server.listen({ host: "127.0.0.1", ...where }, () => {
    const address = server.address() as AddressInfo | string;
    console.log(
      `listening ${
        typeof address === "string" ? address : `127.0.0.1:${address.port}`
      }`,
    );
  });
}

/** What is used of the npm package `ws`. */
interface WsModule {
  WebSocketServer: new (options: { port: number; host: string }) => {
    on(event: "connection", listener: (socket: WebSocketLike) => void): void;
    on(event: "listening", listener: () => void): void;
    address(): AddressInfo;
  };
}

/** Node has no server of its own; that of `ws` runs on both. */
async function serveWebSockets(): Promise<void> {
  const name = "ws"; // Nothing of the project itself needs it.
  const { WebSocketServer } = await import(name) as WsModule;
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket) => peerOver(webSocketTransport(socket)));
  server.on("listening", () => {
    console.log(`listening 127.0.0.1:${server.address().port}`);
  });
}

async function serve(): Promise<void> {
  switch (transport) {
    case "tcp":
      return serveSockets({ port: 0 });
    case "unix":
      return serveSockets({ path: rest[0]! });
    case "ws":
      return await serveWebSockets();
    case "stdio":
      await peerOver(pair(process.stdin, process.stdout)).closed;
  }
}

async function connectTo(address: string): Promise<Peer> {
  if (transport === "ws") return await dial(`ws://${address}/`, options);
  const where = transport === "unix"
    ? { path: address }
    : { host: "127.0.0.1", port: Number(address.split(":")[1]) };
  const socket = connect(where);
  if (transport === "tcp") socket.setNoDelay(true);
  return peerOver(pair(socket, socket));
}

async function client(): Promise<void> {
  let names = rest.slice(1);
  let peer: Peer;
  if (transport === "exec") {
    const split = rest.indexOf("--");
    names = rest.slice(0, split);
    const [command, ...args] = rest.slice(split + 1);
    const child = spawn(command!, args, { stdio: ["pipe", "pipe", "inherit"] });
    peer = peerOver(pair(child.stdout, child.stdin));
  } else {
    peer = await connectTo(rest[0]!);
  }
  for (const name of names as CaseName[]) {
    let error: string | undefined;
    try {
      await (name as string === EXTENDED ? extendedCase : CASES[name])(peer);
    } catch (failure) {
      error = failure instanceof Error ? failure.stack : `${failure}`;
    }
    console.log(JSON.stringify({ case: name, ok: error === undefined, error }));
  }
  await peer.close();
}

/** Dials a server that refuses. */
async function refused(): Promise<void> {
  const error = await connectTo(rest[0]!).catch((error) => error);
  console.log((error as { code?: unknown }).code);
}

const modes = { serve, client, refused };
await modes[mode as keyof typeof modes]();
// What is left of a session must not keep the program.
if (mode !== "serve") process.exit();

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  testTransport,
  type TransportPair,
} from "../../../../tests/conformance/transport_suite.ts";
import { within } from "../../../../tests/support/within.ts";
import { TlsError } from "../../../errors.ts";
import type { RawChannel } from "../../../raw.ts";
import { QmuxSession } from "../../../session.ts";
import type { Channel, Transport } from "../../../types.ts";
import { connectSocket } from "../sockets.ts";
import { tlsOver } from "./client.ts";
import { listenTls } from "./listen.ts";

const [cert, key, ca] = await Promise.all(
  ["cert", "key", "ca"].map((name) =>
    Deno.readTextFile(
      new URL(`../../../../tests/support/tls/${name}.pem`, import.meta.url),
    )
  ),
) as [string, string, string];
const HOST = "127.0.0.1";
/** More than a transport holds, and less than systems do. */
const SIZE = 512 * 1024;

/** Reads to the end; resolves to how many bytes there were. */
async function readAll(transport: Transport): Promise<number> {
  let size = 0;
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) return size;
    size += chunk.length;
  }
}

/** Two ends of a connection, and the socket below the client's. */
async function connectPair() {
  const listener = await listenTls(
    { host: HOST, port: 0 },
    ...["tls", "qtalk"] as const,
    { cert, key },
  );
  const port = Number(new URL(listener.addr).port);
  const accepting = listener.accept();
  const { signal } = new AbortController();
  const socket = await connectSocket({ host: HOST, port }, signal);
  const options = { ca, serverName: HOST };
  const client = await tlsOver(socket, options, signal, "qtalk");
  const server = (await accepting)!.transport;
  return {
    socket,
    client,
    server,
    async close() {
      await client.close();
      await server.close();
      listener.close();
    },
  };
}

async function transports(
  a: "client" | "server",
  b: "client" | "server",
): Promise<TransportPair> {
  const { [a]: one, [b]: other, close } = await connectPair();
  return { a: one, b: other, close };
}

testTransport("tls, client", () => transports("client", "server"));
testTransport("tls, server", () => transports("server", "client"));

for (const [sender, reader] of [["client", "server"], ["server", "client"]]) {
  Deno.test(`tls: a ${reader} that reads late gets all bytes and the end`, async () => {
    const pair = await connectPair();
    const { [sender as "client"]: from, [reader as "server"]: to } = pair;
    // Nothing is read until all is written, so the reading was stopped.
    await from.write(new Uint8Array(SIZE));
    await from.closeWrite();
    assertEquals(await within(readAll(to), "the end"), SIZE);
    await pair.close();
  });
}

Deno.test("tls: a server that reads late gets all bytes, and then the error of a cut", async () => {
  const { socket, client, server, close } = await connectPair();
  await client.write(new Uint8Array(SIZE));
  socket.end(() => {});
  const reading = readAll(server);
  const error = await assertRejects(() => within(reading, "the cut"), TlsError);
  assertEquals(error.code, "truncated");
  await close();
});

Deno.test("tls: small frames of a turn leave in one write, up to 4 KiB", async () => {
  const { socket, client, server, close } = await connectPair();
  const [near, far] = [new QmuxSession(client), new QmuxSession(server)];
  const accepted = Promise.withResolvers<Channel>();
  far.accept(accepted.resolve);
  const opened = Promise.withResolvers<RawChannel>();
  near.openRaw(opened);
  const channel = await opened.promise;
  const sizes: number[] = [];
  const { write } = socket;
  let isSameTurn = false;
  socket.write = (bytes, done) => {
    // Node's TLS passes a record on in pieces. The socket gathers them.
    if (isSameTurn) {
      sizes[sizes.length - 1]! += bytes.length;
      const { writableCorked } = socket as { writableCorked?: number };
      assert(writableCorked! > 0);
    } else sizes.push(bytes.length);
    isSameTurn = true;
    queueMicrotask(() => isSameTurn = false);
    return write.call(socket, bytes, done);
  };
  for (let i = 0; i < 35; i++) channel.send(new Uint8Array(100));
  const reader = (await accepted.promise).readable.getReader({ mode: "byob" });
  const min = 3_500;
  await within(reader.read(new Uint8Array(min), { min }), "the values");
  assertEquals(sizes.length, 1, `the writes have ${sizes} bytes`);
  await near.close();
  await far.close();
  await close();
});

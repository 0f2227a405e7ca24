import {
  type Channel,
  dial,
  dialCommand,
  type DialOptions,
  handlerFrom,
  type HandlerFunction,
  listen,
  type ListenOptions,
  memoryPool,
  Peer,
  qmux,
  Router,
  type SessionOptions,
} from "@qtalk/qtalk";
import { messagePortTransport } from "@qtalk/qtalk/mux";
import type { Transport } from "../measures.ts";
import { type Connection, type DenoPeer, startWorker } from "../peer.ts";
import { stdioServer, unixAddress } from "./sockets.ts";
import { credentials } from "./tls_sockets.ts";

/** What some measures need beyond the defaults: large values. */
const LIMITS = {
  maxValueSize: 128 * 1024 * 1024,
  session: {
    maxHeldSize: 512 * 1024 * 1024,
    memoryPool: memoryPool({ size: 4 * 1024 ** 3, maxSessions: 2_048 }),
  } as SessionOptions,
};

/** Bytes of the buffer that a stream is read into, again and again. */
const READ_SIZE = 256 * 1024;

/** What some measures vary, at both ends. */
type Options = Pick<DialOptions & ListenOptions, "resume">;

/** This package, as its README says to use it. */
const peer: DenoPeer = qtalkPeer();
export default peer;

/** This package with options. */
export function qtalkPeer(options: Options = {}): DenoPeer {
  return {
    serve: (transport) => serve(transport, options),
    connect: (address) =>
      connectTo(address, "same", (value) => [value], options),
  };
}

async function serve(transport: Transport, options: Options): Promise<string> {
  const handler = new Router();
  handler.handle("same", handlerFrom((value: unknown) => value));
  handler.handle("discard", discard);
  handler.handle("source", source);
  handler.handle("bytes", bytes);
  // What qtalk-go's client calls: a value of its own, and no arguments.
  handler.handle("echo", async (call, respond) => {
    await respond.return(await call.receive());
  });
  if (transport === "worker") {
    const port = messagePortTransport(self as unknown as MessagePort);
    new Peer(qmux(port, LIMITS.session), { handler, ...LIMITS });
    return transport;
  }
  const addresses = {
    tcp: () => "tcp://127.0.0.1:0",
    unix: () => `unix:${unixAddress()}`,
    stdio: () => "stdio:",
    ws: () => "ws://127.0.0.1:0",
    tls: () => "tls://127.0.0.1:0",
  };
  const { cert, key } = credentials();
  const isTls = transport === "tls";
  const listener = await listen(addresses[transport](), {
    handler,
    ...LIMITS,
    ...(isTls && { tls: { cert, key } }),
    ...options,
  });
  return listener.addr;
}

/** Connects to a server whose `method` echoes an argument. */
export async function connectTo(
  address: string,
  method: string,
  toArgs: (value: unknown) => unknown,
  options: Options = {},
): Promise<Connection> {
  const client = address === "stdio"
    ? dialCommand(stdioServer("qtalk"), LIMITS)
    : address === "worker"
    ? new Peer(
      qmux(messagePortTransport(await startWorker("qtalk"))),
    )
    : await dial(address, {
      ...LIMITS,
      ...options,
      ...(address.startsWith("tls:") && { tls: { ca: credentials().ca } }),
    });
  return {
    call: (value) => client.call(method, toArgs(value)),
    async send(bytes, chunk) {
      await using response = await client.request("discard");
      await writeMany(response.channel!, bytes, chunk);
      return await response.receive() as number;
    },
    async receive(bytes, took) {
      await using response = await client.request("source", bytes);
      await readAll(response.channel!, took);
    },
    async echo(bytes, chunk) {
      await using response = await client.request("bytes");
      let counted = 0;
      await Promise.all([
        writeMany(response.channel!, bytes, chunk),
        readAll(response.channel!, (size) => counted += size),
      ]);
      return counted;
    },
    close: () => client.close(),
  };
}

/** Counts the bytes that come and says how many there were. */
const discard: HandlerFunction = async (call, respond) => {
  await call.receive();
  const channel = await respond.continue();
  let bytes = 0;
  await readAll(channel, (size) => bytes += size);
  await respond.send(bytes);
  await channel.close();
};

/** Sends as many bytes as it is asked for. */
const source: HandlerFunction = async (call, respond) => {
  const bytes = await call.receive() as number;
  const channel = await respond.continue();
  await writeMany(channel, bytes, new Uint8Array(64 * 1024));
  await channel.close();
};

/** Sends back what comes. */
const bytes: HandlerFunction = async (call, respond) => {
  await call.receive();
  const channel = await respond.continue();
  await channel.readable.pipeTo(channel.writable);
};

async function writeMany(
  { writable }: Channel,
  bytes: number,
  chunk: Uint8Array,
): Promise<void> {
  const writer = writable.getWriter();
  for (let left = bytes; left > 0; left -= chunk.length) {
    await writer.ready;
    // Its failure shows in the next `ready`, and in `close()`.
    writer.write(chunk.subarray(0, left)).catch(() => {});
  }
  await writer.close();
}

async function readAll(
  { readable }: Channel,
  took: (size: number) => void,
): Promise<void> {
  const reader = readable.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(READ_SIZE);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) return;
    took(value.length);
    buffer = value.buffer;
  }
}

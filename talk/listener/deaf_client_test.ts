/**
 * Clients that ignore the end of their connection: what closes it does not wait
 * for them.
 *
 * @module
 */
import { listen, type Listener, type Peer } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { withPath } from "../../tests/support/socket_path.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { upgradeRequest } from "../../tests/support/websocket_wire.ts";

/** A listener, and how to connect to it. */
interface Place {
  listener: Listener<Peer>;
  connect(): Promise<Deno.Conn>;
  close(): Promise<void>;
  /** Whether this side can end the connection of a client that ignores it. */
  endsAll: boolean;
}

const session = { closeTimeout: 50 };
const MEBIBYTE = "x".repeat(1024 * 1024);
/** Fills the buffers of the sockets, and what the session may queue. */
const onPeer = (peer: Peer) => {
  for (let i = 0; i < 16; i++) {
    peer.call("x", [MEBIBYTE.slice(0, 60_000)]).catch(() => {});
    peer.call("y", [MEBIBYTE]).catch(() => {});
  }
};

async function upgraded(port: number): Promise<Deno.Conn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(upgradeRequest(`127.0.0.1:${port}`));
  await conn.read(new Uint8Array(16));
  return conn;
}

const PLACES: Record<string, (path: string) => Promise<Place>> = {
  async tcp() {
    const listener = await listen("tcp://127.0.0.1:0", { onPeer, session });
    const port = Number(new URL(listener.addr.replace("tcp", "http")).port);
    const connect = () => Deno.connect({ hostname: "127.0.0.1", port });
    const close = () => listener.close();
    return { listener, connect, close, endsAll: true };
  },
  async unix(path) {
    const listener = await listen(`unix:${path}`, { onPeer, session });
    const connect = () => Deno.connect({ transport: "unix", path });
    const close = () => listener.close();
    return { listener, connect, close, endsAll: true };
  },
  async ws() {
    const listener = await listen("ws://127.0.0.1:0/", { onPeer, session });
    const port = Number(new URL(listener.addr).port);
    const connect = () => upgraded(port);
    const close = () => listener.close();
    return { listener, connect, close, endsAll: true };
  },
  serveWebSocket() {
    const serve = serveWebSocket({ onPeer, session });
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      serve,
    );
    return Promise.resolve({
      listener: serve.listener as Listener<Peer>,
      connect: () => upgraded(server.addr.port),
      close: () => server.shutdown(),
      // Only the server itself can.
      endsAll: false,
    });
  },
};

for (const [name, make] of Object.entries(PLACES)) {
  test(
    `listener.close(): over ${name} it does not wait for a client that reads nothing, nor for one that ignores the end`,
    {
      ignore: name === "unix" && Deno.build.os === "windows",
    },
    async () => {
      await withPath(async (path) => {
        const { listener, connect, close, endsAll } = await make(path);
        const loop = listener[Symbol.asyncIterator]();
        const stopped = await connect();
        const ignoring = await connect();
        const peers = [
          await within(loop.next(), "a peer"),
          await within(loop.next(), "a peer"),
        ];
        // One takes everything and sends nothing; the other takes nothing.
        const reading = readToEnd(ignoring);
        await until(() =>
          !peers.some(({ value }) => value!.session.usage.slots === 0)
        );
        await within(listener.close(), "close()");
        if (!endsAll) await within(close(), "the end of the server");
        await within(reading, "the end at the client that ignores it");
        // What is still in the buffers may be read, and then it ends.
        await within(
          readToEnd(stopped),
          "the end at the client that had stopped",
        );
        await assertGone(ignoring);
        for (const conn of [stopped, ignoring]) conn.close();
        await close();
      });
    },
  );
}

async function readToEnd(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // It was reset.
  }
}

/** The other side has no socket any more: it answers what comes with a reset. */
async function assertGone(conn: Deno.Conn): Promise<void> {
  for (let i = 0; i < 10_000; i++) {
    try {
      await conn.write(new Uint8Array(1));
      await turn();
    } catch {
      return;
    }
  }
  assert(false, "the other side still takes bytes");
}

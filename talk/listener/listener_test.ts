import {
  dial,
  listen,
  listenSession,
  type MuxError,
  Peer,
  TalkError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { ConnectionListener } from "./listener.ts";
import {
  calls,
  handler,
  listening,
  Source,
} from "../../tests/support/listening.ts";

Deno.test("listener: connections are served without iteration", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  assertEquals(await calls(source.connect()), "served");
  assertEquals(await calls(source.connect()), "served");
});

const ADDRESSES = ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://0.0.0.0:0"];

for (const address of ADDRESSES) {
  const { hostname, port } = new URL(address.replace("tcp", "http"));
  Deno.test({
    name:
      `listener.addr: the address of a listener on ${address} can be dialed`,
    ignore: !available(hostname.replace(/[[\]]/g, ""), Number(port)),
    async fn() {
      await using listener = await listen(address, { handler });
      assert(!listener.addr.endsWith(":0"), listener.addr);
      await using peer = await dial(listener.addr);
      assertEquals(await peer.call("echo", [1]), 1);
    },
  });
}

/** Whether this machine has that address. */
function available(hostname: string, port: number): boolean {
  // Windows listens there, and cannot dial it.
  if (hostname === "0.0.0.0" && Deno.build.os === "windows") return false;
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch {
    return false;
  }
}

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

testUnix("listener.close(): the file of a Unix socket is removed", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  for (let i = 0; i < 2; i++) {
    const listener = await listen(`unix:${path}`, { handler });
    assertEquals(listener.addr, `unix:${path}`);
    await listener.close();
    await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
  }
  await Deno.remove(folder);
});

Deno.test("listener.close(): a drainTimeout out of range rejects and does not close", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  await assertRejects(
    () => listener.close({ drainTimeout: -1 }),
    RangeError,
    'Cannot use option "drainTimeout": -1 is not a number of at least 0',
  );
  assertEquals(await calls(source.connect()), "served");
});

Deno.test("listener.closed: it rejects if no peer can be made", async () => {
  for (const accept of [undefined, () => true]) {
    const source = new Source();
    const mistake = new Error("no peer can be made");
    const listener = new ConnectionListener(
      source,
      (): Peer => {
        throw mistake;
      },
      accept === undefined ? {} : { accept },
    );
    await within(source.connect().closed, "the session to end");
    const error = await assertRejects(() => within(listener.closed, "closed"));
    assertEquals(error, mistake);
    assert(source.closed);
  }
});

testUnix(
  "listener.close(): all peers are closed and no more are accepted",
  async () => {
    const folder = await Deno.makeTempDir();
    const listener = await listen(`unix:${folder}/socket`, { handler });
    const clients = [await dial(listener.addr), await dial(listener.addr)];
    for (const client of clients) await client.call("echo", [1]);
    await Promise.all([listener.close(), listener.close()]);
    for (const client of clients) await within(client.closed, "the client");
    await listener.closed;
    // A socket's file cannot belong to another process now, as a port could.
    const error = await assertRejects(() => dial(listener.addr), TalkError);
    assertEquals(error.code, "dial-failed");
    await listener.close();
    for (const client of clients) await client.close();
    await Deno.remove(folder);
  },
);

Deno.test("listener.closed: it resolves when the last peer has ended", async () => {
  const { source, listener } = listening();
  const client = new Peer(source.connect());
  await client.call("echo", [1]);
  source.end();
  const closed = watch(listener.closed);
  await turn();
  assertEquals(closed.state, "pending");
  await client.close();
  await within(listener.closed, "closed");
});

Deno.test("listener: a broken session does not affect other peers", async () => {
  const errors: unknown[] = [];
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler,
    onError: (error) => errors.push(error),
  });
  const { port } = new URL(listener.addr.replace("tcp", "http"));
  const stranger = await Deno.connect({ port: Number(port) });
  await stranger.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assertEquals(await stranger.read(new Uint8Array(1)).catch(() => null), null);
  stranger.close();
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["served"]), "served");
  assertEquals((errors[0] as MuxError).code, "protocol-error");
});

Deno.test("listener: a failed accept is retried after 50 ms", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  for (let i = 0; i < 3; i++) source.fail(new Error("no files left"));
  const served = calls(source.connect());
  for (let i = 0; i < 3; i++) {
    await until(() => time.waiting !== 0);
    time.tick(50);
    await turn();
  }
  assertEquals(await served, "served");
  const closing = listener.close();
  await turn();
  time.tick(1_000);
  await closing;
});

Deno.test("listener.closed: it rejects after 100 failures in a row", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  const failure = new Error("broken for good");
  for (let i = 0; i < 1_000; i++) source.fail(failure);
  const closed = watch(listener.closed);
  await until(() => closed.state !== "pending", "the end", () => {
    time.tick(50);
    return turn();
  });
  assertEquals(closed.reason, failure);
  assert(source.closed);
  await listener.close();
  for await (const _ of listener) assert(false);
});

Deno.test("listener.close(): it does not wait for a retry", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  source.fail(new Error("no files left"));
  await until(() => time.waiting !== 0);
  await within(listener.close(), "close()");
  assertEquals(time.waiting, 0);
});

Deno.test("listen(): an address in use is listen-failed", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  const error = await assertRejects(() => listen(listener.addr), TalkError);
  assertEquals(error.code, "listen-failed");
  assert(error.message.startsWith(`Cannot listen on "${listener.addr}": `));
  assert(error.cause instanceof Error);
});

Deno.test("listen(): an option out of range is refused before listening", async () => {
  for (const open of [listen, listenSession]) {
    await assertRejects(
      () => open("tcp://127.0.0.1:0", { session: { maxChannels: 0 } }),
      RangeError,
      "maxChannels",
    );
  }
  const folder = await Deno.makeTempDir();
  const address = `unix:${folder}/socket`;
  await assertRejects(
    () => listen(address, { maxConcurrentCalls: 0 }),
    RangeError,
    "maxConcurrentCalls",
  );
  await assertRejects(() => Deno.stat(`${folder}/socket`));
  await Deno.remove(folder);
});

Deno.test("listen(): a WebSocket listener on loopback refuses the names of others", async () => {
  await using listener = await listen("ws://127.0.0.1:0/", {
    hosts: ["dev.example"],
    origins: ["https://friend.example"],
    handler: (call, respond) => respond.return(call.selector),
  });
  const dialAs = (host: string, origin: string) =>
    dial(listener.addr, { headers: { host, origin } });
  for (
    const [host, origin] of [
      ["evil.example", "http://evil.example"],
      ["evil.example", "https://friend.example"],
      ["localhost", "http://evil.example"],
    ] as const
  ) {
    await assertRejects(
      () => dialAs(host, origin),
      TalkError,
      "the server answered 403",
    );
  }
  for (
    const [host, origin] of [
      ["localhost:80", "http://localhost"],
      ["dev.example", "http://dev.example"],
      ["127.0.0.1", "https://friend.example"],
    ] as const
  ) {
    await using peer = await dialAs(host, origin);
    assertEquals(await peer.call("x"), "/x");
  }
});

Deno.test("listen(): a host that is not a name is listen-failed", async () => {
  const error = await assertRejects(
    () => listen("ws://127.0.0.1:0/", { hosts: ["a:80"] }),
    TalkError,
    'Cannot use option "hosts": "a:80" is not a name',
  );
  assertEquals(error.code, "listen-failed");
});

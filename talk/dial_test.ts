import {
  dial,
  dialSession,
  handlerFrom,
  listen,
  listenSession,
  TalkError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { toText } from "@std/streams";
import { FakeTime } from "../tests/support/fake_time.ts";
import { turn, watch, within } from "../tests/support/within.ts";

/** A path for a Unix socket that nobody uses. */
async function socketPath() {
  const folder = await Deno.makeTempDir({ prefix: "qtalk" });
  return {
    address: `unix:${folder}/socket`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

const handler = handlerFrom({ echo: (value: unknown) => value });

Deno.test("a dialed TCP address is talked to", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

Deno.test("a dialed Unix socket is talked to", async () => {
  await using path = await socketPath();
  await using listener = await listen(path.address, { handler });
  assertEquals(listener.addr, path.address);
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

Deno.test("an address may name a host, and its scheme in capitals", async () => {
  await using listener = await listen("TCP://localhost:0", { handler });
  const port = listener.addr.split(":").at(-1);
  await using peer = await dial(`Tcp://localhost:${port}/`);
  assertEquals(await peer.call("echo", ["hi"]), "hi");
});

Deno.test("the dialing end answers calls too", async () => {
  const peers = Promise.withResolvers<unknown>();
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: async (call, respond) => {
      await respond.return();
      peers.resolve(await call.caller.call("name"));
    },
  });
  await using peer = await dial(listener.addr, {
    handler: handlerFrom({ name: () => "dialer" }),
  });
  await peer.call("hello");
  assertEquals(await within(peers.promise, "the call back"), "dialer");
});

Deno.test("sessions without RPC carry channels, half-closed and closed", async () => {
  await using path = await socketPath();
  for (const address of ["tcp://127.0.0.1:0", path.address]) {
    await using listener = await listenSession(address);
    const echo = (async () => {
      for await (const session of listener) {
        for await (const channel of session) {
          await channel.readable.pipeTo(channel.writable);
        }
        return;
      }
    })();
    const session = await dialSession(listener.addr);
    const channel = await session.open();
    const writer = channel.writable.getWriter();
    await writer.write(new TextEncoder().encode("there and back"));
    await writer.close();
    assertEquals(await toText(channel.readable), "there and back");
    await session.close();
    await session.closed;
    await within(echo, "the incoming channels to end");
  }
});

Deno.test("an address of the wrong form is refused, and the right form named", async () => {
  const addresses: Record<string, string> = {
    "tcp:": "expected tcp://host:port",
    "tcp://": "expected tcp://host:port",
    "tcp:localhost:80": "expected tcp://host:port",
    "tcp://localhost": "expected tcp://host:port",
    "tcp://:80": "expected tcp://host:port",
    "tcp://localhost:": "expected tcp://host:port",
    "tcp://localhost:65536": "expected tcp://host:port",
    "tcp://localhost:-1": "expected tcp://host:port",
    "tcp://localhost:80/path": "expected tcp://host:port",
    "tcp://user@localhost:80": "expected tcp://host:port",
    "tcp://::1:80": "expected tcp://host:port",
    "tcp://[::1]": "expected tcp://host:port",
    "unix:": "expected unix:/path",
    "unix://": "expected unix:/path",
    "stdio:file": "expected stdio:",
  };
  for (const [address, expected] of Object.entries(addresses)) {
    for (
      const [verb, open] of [["dial", dial], ["listen on", listen]] as const
    ) {
      const error = await assertRejects(() => open(address), TalkError);
      assertEquals(error.code, "bad-address", address);
      assertEquals(error.message, `Cannot ${verb} "${address}": ${expected}`);
    }
  }
});

Deno.test("an address of an unknown scheme is refused, and the known ones named", async () => {
  for (const address of ["", "nothing", "smtp://a", "constructor:a", ":1"]) {
    for (const open of [dial, dialSession, listen, listenSession]) {
      const error = await assertRejects(() => open(address), TalkError);
      assertEquals(error.code, "unknown-scheme");
      const text = `Cannot use address "${address}": its scheme is not one of `;
      assert(
        error.message.startsWith(`${text}tcp, unix, stdio`),
        error.message,
      );
    }
  }
});

Deno.test("a connection that is refused is a failed dial, with the reason as its cause", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const tcp = `tcp://127.0.0.1:${free.addr.port}`;
  free.close();
  await using path = await socketPath();
  for (const address of [tcp, path.address]) {
    const error = await assertRejects(() => dial(address), TalkError);
    assertEquals(error.code, "dial-failed");
    assert(error.message.startsWith(`Cannot dial "${address}": `));
    assert(error.cause instanceof Error);
  }
});

/** An address that neither accepts nor refuses: its queue is full. */
async function silent() {
  const listener = Deno.listen({
    hostname: "127.0.0.1",
    port: 0,
    tcpBacklog: 1,
  });
  const { port } = listener.addr;
  const queued = await Promise.all([1, 2].map(() => Deno.connect({ port })));
  return {
    address: `tcp://127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      for (const conn of queued) conn.close();
      listener.close();
    },
  };
}

Deno.test("a dial that takes too long is given up", async () => {
  using nobody = await silent();
  using time = new FakeTime();
  for (const open of [dial, dialSession]) {
    const dialing = watch(open(nobody.address, { timeout: 500 }));
    while (time.waiting === 0) await turn();
    time.tick(499);
    await turn();
    assertEquals(dialing.state, "pending");
    time.tick(1);
    await turn();
    const error = dialing.reason as TalkError;
    assert(error instanceof TalkError, String(error));
    assertEquals(error.code, "timeout");
    assertEquals(
      error.message,
      `Cannot dial "${nobody.address}": no connection within 500 ms`,
    );
  }
});

Deno.test("a dial without a timeout has one of 30 seconds", async () => {
  using nobody = await silent();
  using time = new FakeTime();
  const dialing = watch(dial(nobody.address));
  while (time.waiting === 0) await turn();
  time.tick(29_999);
  await turn();
  assertEquals(dialing.state, "pending");
  time.tick(1);
  await turn();
  assertEquals((dialing.reason as TalkError).code, "timeout");
});

Deno.test("a timeout too long for a timer is none", async () => {
  using nobody = await silent();
  for (const timeout of [Infinity, 2 ** 31]) {
    const giveUp = new AbortController();
    const dialing = watch(
      dial(nobody.address, { timeout, signal: giveUp.signal }),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(dialing.state, "pending");
    giveUp.abort("enough");
    await turn();
    assertEquals(dialing.reason, "enough");
  }
});

Deno.test("a signal gives a dial up, with its reason", async () => {
  using nobody = await silent();
  const giveUp = new AbortController();
  const dialing = dial(nobody.address, { signal: giveUp.signal });
  await turn();
  giveUp.abort(new RangeError("mine"));
  await assertRejects(() => dialing, RangeError, "mine");
});

Deno.test("a signal that is aborted already dials nothing", async () => {
  const signal = AbortSignal.abort(new RangeError("before"));
  await assertRejects(
    () => dial("tcp://127.0.0.1:1", { signal }),
    RangeError,
    "before",
  );
});

Deno.test("a signal is done with when the connection is there", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  const signal = new AbortController();
  await using peer = await dial(listener.addr, { signal: signal.signal });
  signal.abort();
  assertEquals(await peer.call("echo", ["still"]), "still");
});

Deno.test("session options out of range dial nothing", async () => {
  const accepted: unknown[] = [];
  await using listener = await listen("tcp://127.0.0.1:0", {
    accept: (connection) => {
      accepted.push(connection);
      return true;
    },
  });
  const session = { maxPacketSize: 1 };
  for (const open of [dial, dialSession]) {
    await assertRejects(
      () => open(listener.addr, { session }),
      RangeError,
      "maxPacketSize",
    );
  }
  await turn();
  assertEquals(accepted, []);
});

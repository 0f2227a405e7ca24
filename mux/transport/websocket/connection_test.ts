import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import {
  type ClientFrame,
  clientFrame,
  ScriptedClient,
  ScriptedServer,
  serverFrame,
} from "../../../tests/support/websocket_wire.ts";
import type { FakeTime } from "../../../tests/support/fake_time.ts";
import {
  concat,
  data,
  open,
  parseFrames,
  text,
  utf8,
} from "../../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../../tests/support/within.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import type { Transport } from "../../types.ts";
import { memoryTransports } from "../memory.ts";
import type { AbortableTransport, GatheringTransport } from "../types.ts";
import { webSocketClient, webSocketServer } from "./connection.ts";
import { Opcode } from "./frames.ts";

interface Lab {
  client: Transport;
  server: ScriptedServer;
  /** The number of writes to the connection. */
  writes(): number;
}

/** Runs `body` with a client and a scripted server. */
async function withClient(body: (lab: Lab) => Promise<void>): Promise<void> {
  const [near, far] = memoryTransports();
  let writes = 0;
  const counting: Transport = {
    ...near,
    write(bytes) {
      writes++;
      return near.write(bytes);
    },
  };
  const client = webSocketClient(counting, new Uint8Array(0));
  const server = new ScriptedServer(far);
  try {
    const run = body({ client, server, writes: () => writes });
    await within(run, "the test of a client");
  } finally {
    await client.close();
    await server.end();
  }
}

/** Reads until the end. */
async function readAll(transport: Transport): Promise<string> {
  let all = "";
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) return all;
    all += text(chunk);
  }
}

function described(frame: ClientFrame | undefined): unknown {
  return frame && [frame.opcode, text(frame.payload)];
}

function closePayload(code: number, reason = ""): Uint8Array {
  return concat(Uint8Array.of(code >> 8, code & 255), utf8(reason));
}

function closeFrame(code: number, reason = ""): Uint8Array {
  return serverFrame(Opcode.CLOSE, closePayload(code, reason));
}

Deno.test("webSocketClient: write() sends one binary message in one write", () =>
  withClient(async ({ client, server, writes }) => {
    for (const size of [1, 1_025, 300_000]) {
      const before = writes();
      await client.write(new Uint8Array(size).fill(7));
      assertEquals(writes(), before + 1);
      const { opcode, payload } = (await server.frame())!;
      assertEquals([opcode, payload.length], [Opcode.BINARY, size]);
      assert(payload.every((byte) => byte === 7));
    }
  }));

Deno.test("webSocketClient: write() sends more than 1 MiB in several messages", () =>
  withClient(async ({ client, server }) => {
    const writing = client.write(new Uint8Array(2.5 * 1024 * 1024));
    const sizes: number[] = [];
    for (let i = 0; i < 3; i++) {
      sizes.push(
        (await server.frame())!.payload.length,
      );
    }
    assertEquals(sizes, [2 ** 20, 2 ** 20, 2 ** 19]);
    await writing;
  }));

Deno.test("webSocketClient: read() ignores the boundaries of messages", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(
      serverFrame(Opcode.BINARY, "one,"),
      serverFrame(Opcode.BINARY, "two,", { final: false }),
      serverFrame(Opcode.CONTINUATION, "three"),
      closeFrame(1000),
    );
    assertEquals(await reading, "one,two,three");
  }));

Deno.test("webSocketClient: reads first what arrived with the handshake", async () => {
  const [near] = memoryTransports();
  const client = webSocketClient(near, serverFrame(Opcode.BINARY, "early"));
  assertEquals(text((await client.read())!), "early");
  await client.close();
});

Deno.test("webSocketClient: answers PING with its payload, and an unsolicited PONG with nothing", () =>
  withClient(async ({ client, server }) => {
    void readAll(client);
    server.send(serverFrame(Opcode.PONG, "unsolicited"));
    server.send(serverFrame(Opcode.PING, "still there?"));
    assertEquals(described(await server.frame()), [
      Opcode.PONG,
      "still there?",
    ]);
  }));

Deno.test("webSocketClient: PONG waits for a pending write, and answers the last of several PINGs", async () => {
  const [near, far] = memoryTransports();
  const client = webSocketClient(near, new Uint8Array(0));
  void readAll(client);
  // The server does not read yet.
  const writing = watch(client.write(utf8("slow")));
  for (const word of ["one", "two", "three"]) {
    await far.write(serverFrame(Opcode.PING, word));
  }
  await turn();
  assertEquals(writing.state, "pending");
  const server = new ScriptedServer(far);
  assertEquals(described(await server.frame()), [Opcode.BINARY, "slow"]);
  assertEquals(described(await server.frame()), [Opcode.PONG, "three"]);
  server.send(serverFrame(Opcode.PING, "four"));
  assertEquals(described(await server.frame()), [Opcode.PONG, "four"]);
  await client.close();
  await server.end();
});

Deno.test("webSocketClient: closeWrite() sends CLOSE, and reading continues until the server's CLOSE", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    await client.closeWrite();
    const { opcode, payload } = (await server.frame())!;
    assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xe8]]);
    server.send(
      serverFrame(Opcode.BINARY, "the rest"),
      closeFrame(1000),
    );
    assertEquals(await reading, "the rest");
    // CLOSE is sent once.
    await client.closeWrite();
    await client.close();
    assertEquals(await server.frame(), undefined);
  }));

Deno.test("webSocketClient: writes nothing after a CLOSE of either side", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(closeFrame(1000));
    assertEquals(await reading, "");
    const error = await assertRejects(
      () => client.write(utf8("late")),
      MuxError,
    );
    assertEquals(error.code, "session-closed");
    assertEquals((await server.frame())!.opcode, Opcode.CLOSE);
    server.send(serverFrame(Opcode.PING));
    await client.close();
    assertEquals(await server.frame(), undefined);
  }));

for (const code of [1000, 1001, 1012, 1013]) {
  Deno.test(`webSocketClient: CLOSE ${code} is a clean end and is answered`, () =>
    withClient(async ({ client, server }) => {
      const reading = readAll(client);
      server.send(closeFrame(code));
      assertEquals(await reading, "");
      const { opcode, payload } = (await server.frame())!;
      assertEquals(opcode, Opcode.CLOSE);
      assertEquals(payload[0]! << 8 | payload[1]!, code);
    }));
}

Deno.test("webSocketClient: CLOSE without a status code is a clean end and is answered with 1000", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(serverFrame(Opcode.CLOSE));
    assertEquals(await reading, "");
    assertEquals([...(await server.frame())!.payload], [0x03, 0xe8]);
  }));

Deno.test("webSocketClient: CLOSE with another status code is an error that has the reason", () =>
  withClient(async ({ client, server }) => {
    const reading = readAll(client);
    server.send(closeFrame(1009, "too long"));
    await assertRejects(
      () => reading,
      Error,
      "the peer closed the WebSocket: 1009 too long",
    );
  }));

Deno.test("webSocketClient: a connection that ends without CLOSE is an error", () =>
  withClient(async ({ client, server }) => {
    server.send(serverFrame(Opcode.BINARY, "some"));
    assertEquals(text((await client.read())!), "some");
    await server.end();
    await assertRejects(
      () => client.read(),
      Error,
      "the WebSocket ended without CLOSE",
    );
  }));

Deno.test("webSocketClient: a bad frame is an error after what arrived before it, and the server gets CLOSE", () =>
  withClient(async ({ client, server }) => {
    server.send(
      serverFrame(Opcode.BINARY, "good"),
      serverFrame(Opcode.TEXT, "bad"),
    );
    assertEquals(text((await client.read())!), "good");
    const error = await assertRejects(
      () => client.read(),
      MuxError,
      "received a text message",
    );
    assertEquals(error.code, "protocol-error");
    const { opcode, payload } = (await server.frame())!;
    assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xea]]);
  }));

Deno.test("webSocketClient: close() does not wait for the server", () =>
  withClient(async ({ client }) => {
    const reading = watch(readAll(client));
    await client.close();
    await until(() => reading.state !== "pending");
    assertEquals(reading.state, "resolved");
    await client.close();
  }));

// --- The server's end ----------------------------------------------------------

/** A server and a scripted client. */
function serve() {
  const [near, far] = memoryTransports();
  const server = webSocketServer(near, new Uint8Array(0));
  const client = new ScriptedClient(far);
  return { server, client, far };
}

test("webSocketClient: it writes early when its connection says", () => {
  const [near] = memoryTransports();
  const inner = { ...near, earlyWrite: 9 };
  const client: Partial<GatheringTransport> = webSocketClient(
    inner,
    new Uint8Array(0),
  );
  assertEquals(client.earlyWrite, 9);
});

test("webSocketServer: write() sends one message in one write, not masked", async () => {
  const { server, client } = serve();
  for (const size of [1, 125, 126, 65_536, 300_000]) {
    await server.write(new Uint8Array(size).fill(7));
    const { opcode, payload } = (await client.frame())!;
    assertEquals([opcode, payload.length], [Opcode.BINARY, size]);
    assert(payload.every((byte) => byte === 7));
  }
  await client.end();
  await server.close();
});

test("webSocketServer: read() passes a message on as it arrives, however long it says it is", async () => {
  const { server, client, far } = serve();
  // 2^50 bytes, of which the first ones arrive.
  const head = [0x02, 0xff, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (const word of ["one", "two"]) {
    void far.write(concat(
      word === "one" ? Uint8Array.from(head) : new Uint8Array(0),
      utf8(word),
    ));
    assertEquals(text((await server.read())!), word);
  }
  await client.end();
  await server.close();
});

test("webSocketServer: read() reads no more from the connection than it is asked for", async () => {
  const { server, client, far } = serve();
  let written = 0;
  const writing = (async () => {
    const more = clientFrame(Opcode.CONTINUATION, "x".repeat(1_000), {
      final: false,
    });
    await far.write(clientFrame(Opcode.BINARY, "", { final: false }));
    for (; written < 1_000; written++) await far.write(more);
  })();
  assertEquals((await server.read())!.length, 1_000);
  for (let i = 0; i < 20; i++) await turn();
  // Backpressure is the connection's own.
  assert(written < 3, `${written} fragments were taken`);
  await client.end();
  await writing.catch(() => {});
  await server.close();
});

test("webSocketServer: 5,000 small messages in one chunk are read in turns of the event loop", async () => {
  const { server, client } = serve();
  const frames = Array.from({ length: 5_000 }, (_, i) => {
    const empty = clientFrame(Opcode.PONG);
    return i % 5 === 0 ? clientFrame(Opcode.BINARY, "x") : empty;
  });
  client.send(...frames);
  const reading = readAll(server);
  let turns = 0;
  const watched = watch(reading);
  client.send(clientFrame(Opcode.CLOSE, closePayload(1000)));
  for (; watched.state === "pending"; turns++) await turn();
  assertEquals((await reading).length, 1_000);
  await client.end();
  await server.close();
});

test("webSocketServer: a flood of PINGs gets a PONG for the last of those that wait", async () => {
  const { server, client } = serve();
  void readAll(server).catch(() => {});
  const pings = Array.from(
    { length: 2_000 },
    (_, i) => clientFrame(Opcode.PING, `${i}`),
  );
  client.send(...pings);
  const pongs: string[] = [];
  while (pongs.at(-1) !== "1999") {
    const { opcode, payload } = (await client.frame())!;
    assertEquals(opcode, Opcode.PONG);
    pongs.push(text(payload));
  }
  assert(pongs.length < 20, `${pongs.length} PONGs`);
  await client.end();
  await server.close();
});

test("webSocketServer: more PINGs or empty frames than a client needs end the connection", async () => {
  for (
    const frame of [
      clientFrame(Opcode.PING, "12345678"),
      clientFrame(Opcode.BINARY),
      clientFrame(Opcode.PONG),
    ]
  ) {
    const { server, client } = serve();
    const flood = concat(...Array.from({ length: 10_000 }, () => frame));
    client.send(flood);
    const error = await assertRejects(
      () => server.read(),
      MuxError,
      "frames without payload in 10000 ms",
    );
    assertEquals(error.code, "protocol-error");
    await client.end();
    await server.close();
  }
});

test("webSocketServer: PINGs may come for years, and any number between two messages", async () => {
  const [near, far] = memoryTransports();
  let now = 0;
  const none = new Uint8Array(0);
  const server = webSocketServer(near, none, () => now);
  const reading = watch(readAll(server));
  const client = new ScriptedClient(far);
  const pings = (count: number) =>
    concat(
      ...Array.from({ length: count }, () => clientFrame(Opcode.PING)),
    );
  for (; now < 200_000; now += 10_000) await far.write(pings(1_000));
  for (let i = 0; i < 20; i++) {
    await far.write(concat(pings(900), clientFrame(Opcode.BINARY, "x")));
  }
  assertEquals(reading.state, "pending");
  await client.end();
  await server.close();
});

for (
  const [what, frame] of [
    ["a frame that is not masked", serverFrame(Opcode.BINARY, "bare")],
    ["a text message", clientFrame(Opcode.TEXT, "{}")],
    ["a PING of 126 bytes", clientFrame(Opcode.PING, "x".repeat(126))],
    ["a compressed frame", clientFrame(Opcode.BINARY, "x", { bits: 0x40 })],
  ] as const
) {
  test(`webSocketServer: ${what} is an error after what arrived before it, and the client gets CLOSE`, async () => {
    const { server, client } = serve();
    client.send(clientFrame(Opcode.BINARY, "good"), frame);
    assertEquals(text((await server.read())!), "good");
    const error = await assertRejects(() => server.read(), MuxError);
    assertEquals(error.code, "protocol-error");
    const { opcode, payload } = (await client.frame())!;
    assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xea]]);
    // What the client sent meanwhile is read, so that CLOSE is not lost.
    client.send(clientFrame(Opcode.BINARY, "late"));
    const closing = server.close();
    await client.end();
    await closing;
  });
}

test("webSocketServer: close() sends CLOSE and waits for the client's", async () => {
  const { server, client } = serve();
  const closing = watch(Promise.resolve(server.close()));
  const { opcode, payload } = (await client.frame())!;
  assertEquals([opcode, [...payload]], [Opcode.CLOSE, [0x03, 0xe8]]);
  client.send(clientFrame(Opcode.BINARY, "late"));
  await turn();
  assertEquals(closing.state, "pending");
  client.send(clientFrame(Opcode.CLOSE, closePayload(1000)));
  await until(() => closing.state !== "pending");
  assertEquals(await client.frame(), undefined);
  assertEquals(await server.read(), null);
});

test("webSocketServer: close() waits a second at most, also for a client that sends without end", async (t) => {
  using time = t.time();
  const { server, client, far } = serve();
  const closing = watch(Promise.resolve(server.close()));
  assertEquals((await client.frame())!.opcode, Opcode.CLOSE);
  const sending = (async () => {
    const frame = clientFrame(Opcode.BINARY, "x".repeat(1_000));
    for (;;) await far.write(frame);
  })();
  sending.catch(() => {});
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(closing.state, "pending");
  time.tick(1_000);
  await until(() => closing.state !== "pending");
  await assertRejects(() => sending);
});

test("webSocketServer: abort() closes the connection after a CLOSE, and close() then waits for nothing", async (t) => {
  using _ = t.time();
  const { server, client } = serve();
  (server as AbortableTransport).abort!();
  const closing = Promise.resolve(server.close());
  assertEquals((await client.frame())!.opcode, Opcode.CLOSE);
  assertEquals(await client.frame(), undefined);
  await within(closing, "close()");
});

test("webSocketServer: abort() does not wait for a client that reads nothing", async (t) => {
  using _ = t.time();
  const [near, far] = memoryTransports();
  const server = webSocketServer(near, new Uint8Array(0));
  // The client takes no bytes, so this write stays pending.
  const writing = watch(server.write(new Uint8Array(1)));
  const closing = Promise.resolve(server.close());
  await turn();
  assertEquals(writing.state, "pending");
  (server as AbortableTransport).abort!();
  await within(closing, "close()");
  await until(() => writing.state !== "pending");
  await far.close();
});

/** Lets a session look at the silence as often as it does in this time. */
async function silence(time: FakeTime, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    time.tick(500);
    await turn();
  }
}

test("webSocketServer: a silent client is pinged, and lost if it says nothing", async (t) => {
  using time = t.time();
  const { server, client, far } = serve();
  const session = qmux(server);
  const ended = watch(session.closed);
  for (let i = 0; i < 3; i++) {
    await silence(time, 20_000);
    assertEquals(described(await client.frame()), [Opcode.PING, ""]);
    // Any frame is a sign of life.
    await far.write(clientFrame(Opcode.PONG));
  }
  assertEquals(ended.state, "pending");
  await silence(time, 29_000);
  const error = await assertRejects(() => session.closed, MuxError);
  assertEquals(error.code, "connection-lost");
  assertEquals(
    error.message,
    'Connection is lost: no byte arrived for 27 s, although the peer was pinged (option "keepAlive")',
  );
  assertEquals(described(await client.frame()), [Opcode.PING, ""]);
  const closing = session.close();
  await silence(time, 1_000);
  await closing;
});

test("webSocketServer: a client that sends something is not pinged", async (t) => {
  using time = t.time();
  const { server, client } = serve();
  const session = qmux(server);
  const adopted = session[Symbol.asyncIterator]().next();
  client.send(clientFrame(Opcode.BINARY, open(7)));
  const { value: channel } = await adopted;
  assertEquals((await client.frame())!.opcode, Opcode.BINARY);
  for (let i = 0; i < 10; i++) {
    client.send(clientFrame(Opcode.BINARY, data(channel!.id, "x")));
    await silence(time, 4_500);
  }
  const closing = session.close();
  const { opcode } = (await client.frame())!;
  assertEquals(opcode, Opcode.CLOSE);
  await client.end();
  await closing;
});

test("webSocketServer: a session answers messages that arrived together in one", async () => {
  const { server, client } = serve();
  const session = qmux(server);
  session.accept(() => {});
  client.send(
    clientFrame(Opcode.BINARY, open(7)),
    clientFrame(Opcode.BINARY, open(8)),
  );
  const { payload } = (await client.frame())!;
  const answers = parseFrames(payload).map(({ type }) => type);
  assertEquals(answers, ["open-confirm", "open-confirm"]);
  const closing = session.close();
  await client.end();
  await closing;
});

test("webSocketServer: ping() sends PING, after the pending write, and once at a time", async () => {
  const { server, client } = serve();
  const writing = server.write(utf8("first"));
  for (let i = 0; i < 3; i++) server.keepAlive.ping!();
  await writing;
  assertEquals(described(await client.frame()), [Opcode.BINARY, "first"]);
  assertEquals(described(await client.frame()), [Opcode.PING, ""]);
  await server.write(utf8("second"));
  assertEquals(described(await client.frame()), [Opcode.BINARY, "second"]);
  await client.end();
  await server.close();
});

test("webSocketServer: frames that read() does not show are signs of life", async () => {
  const { server, client, far } = serve();
  const reading = server.read();
  const before = server.keepAlive.signs;
  await far.write(clientFrame(Opcode.PONG));
  await until(() => server.keepAlive.signs !== before);
  client.send(clientFrame(Opcode.BINARY, "x"));
  assertEquals(text((await reading)!), "x");
  await client.end();
  await server.close();
});

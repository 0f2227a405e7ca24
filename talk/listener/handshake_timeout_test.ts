import {
  dial,
  dialSession,
  type ErrorContext,
  handlerFrom,
  listen,
  type ListenOptions,
  listenSession,
  type MuxError,
  type Peer,
  type TalkError,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { upgradeRequest } from "../../tests/support/websocket_wire.ts";

/** Milliseconds: what takes longer in these tests never ends. */
const SHORT = 20;
const handler = handlerFrom({ ping: () => "pong" });

/** What a listener reports. */
function recorder() {
  const reports: { error: TalkError; context: ErrorContext }[] = [];
  const first = Promise.withResolvers<void>();
  const onError = (error: unknown, context: ErrorContext) => {
    reports.push({ error: error as TalkError, context });
    first.resolve();
  };
  return { reports, first: first.promise, onError };
}

/** Listens with the options at every kind of address, and serves HTTP. */
async function* everywhere(
  options: ListenOptions,
): AsyncGenerator<{ address: string; close: () => Promise<void> }> {
  for (const address of ["tcp://127.0.0.1:0", "ws://127.0.0.1:0/"]) {
    const listener = await listen(address, options);
    yield { address: listener.addr, close: () => listener.close() };
  }
  const serve = serveWebSocket(options);
  const server = Deno.serve({ port: 0, onListen() {} }, serve);
  yield {
    address: `ws://127.0.0.1:${server.addr.port}/`,
    async close() {
      await serve.listener.close();
      await server.shutdown();
    },
  };
}

test("handshakeTimeout: an onPeer that never ends closes the peer and is reported with it", async (t) => {
  const time = t.time();
  const never = Promise.withResolvers<void>();
  const { reports, onError } = recorder();
  const handled: string[] = [];
  let asked = Promise.withResolvers<void>();
  const options: ListenOptions = {
    onPeer() {
      asked.resolve();
      return never.promise;
    },
    handler: (call) => void handled.push(call.selector),
    handshakeTimeout: 5_000,
    onError,
  };
  let count = 0;
  for await (const { address, close } of everywhere(options)) {
    asked = Promise.withResolvers();
    const client = await dial(address);
    await within(asked.promise, "onPeer");
    const call = assertRejects(() => client.call("ping"));
    time.tick(4_999);
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(reports.length, count);
    time.tick(1);
    await within(call, "its call");
    await within(client.closed, "the client");
    count++;
    assertEquals(reports.length, count);
    const { error, context } = reports.at(-1)!;
    assertEquals([error.name, error.code, error.message], [
      "TalkError",
      "timeout",
      'Cannot admit peer: "onPeer" took longer than 5000 ms (option "handshakeTimeout")',
    ]);
    await within(context.peer!.closed, "its session");
    await client.close();
    await close();
  }
  assertEquals([count, handled], [3, []]);
  never.resolve();
});

test("handshakeTimeout: an onPeer that waits for a client that does not answer ends with its session", async (t) => {
  const { reports, first, onError } = recorder();
  const why = Promise.withResolvers<unknown>();
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", {
      onPeer: (peer) =>
        peer.call("login").catch((error) => {
          why.resolve(error);
          throw error;
        }),
      handshakeTimeout: SHORT,
      onError,
    }),
  );
  const client = await dial(listener.addr, {
    handler: () => new Promise<void>(() => {}),
  });
  await within(first, "the report");
  const error = await within(why.promise, "the login to fail");
  assertEquals((error as MuxError).code, "session-closed");
  await within(client.closed, "the client");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(reports.map(({ error }) => error.code), ["timeout"]);
});

test("handshakeTimeout: it is no limit until the first call, nor for one that onPeer has admitted", async (t) => {
  const time = t.time();
  const { reports, onError } = recorder();
  const admitted = Promise.withResolvers<Peer>();
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", {
      handler,
      async onPeer(peer) {
        await turn();
        admitted.resolve(peer);
      },
      onError,
    }),
  );
  const worker = t.watch(
    await dial(listener.addr, { handler: () => {} }),
  );
  const peer = await within(admitted.promise, "the worker");
  const ended = watch(peer.closed);
  for (let i = 0; i < 20; i++) await turn();
  time.tick(3_600_000);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals([ended.state, reports], ["pending", []]);
  assertEquals(await peer.call("work"), null);
  assertEquals(await worker.call("ping"), "pong");
});

test("handshakeTimeout: its default is half a minute", async (t) => {
  const time = t.time();
  const never = Promise.withResolvers<void>();
  const { first, reports, onError } = recorder();
  const asked = Promise.withResolvers<void>();
  const listener = await listen("tcp://127.0.0.1:0", {
    onPeer() {
      asked.resolve();
      return never.promise;
    },
    onError,
  });
  const client = await dialSession(listener.addr);
  await within(asked.promise, "onPeer");
  time.tick(29_999);
  assertEquals(reports.length, 0);
  time.tick(1);
  await within(first, "the report");
  assertEquals(
    reports[0]!.error.message,
    'Cannot admit peer: "onPeer" took longer than 30000 ms (option "handshakeTimeout")',
  );
  never.resolve();
  await within(client.closed, "the client");
  const closing = Promise.all([client.close(), listener.close()]);
  await turn();
  time.tick(5_000);
  await closing;
});

test("handshakeTimeout: an accept hook that never decides refuses the connection", async (t) => {
  for (const open of [listen, listenSession]) {
    const { reports, onError } = recorder();
    const late = Promise.withResolvers<boolean>();
    let first = true;
    const listener = t.watch(
      await open("tcp://127.0.0.1:0", {
        accept() {
          if (!first) return true;
          first = false;
          return late.promise;
        },
        handshakeTimeout: SHORT,
        onError,
      }),
    );
    const loop = listener[Symbol.asyncIterator]();
    const client = await dialSession(listener.addr);
    await within(client.closed, "the client");
    assertEquals(
      reports.map(({ error, context }) => [error.message, context]),
      [
        [
          'Cannot accept connection: "accept" took longer than 20 ms (option "handshakeTimeout")',
          { peer: undefined, selector: undefined },
        ],
      ],
    );
    // A decision that comes too late changes nothing.
    late.resolve(true);
    const next = await dialSession(listener.addr);
    await within(loop.next() as Promise<unknown>, "the next connection");
    for (let i = 0; i < 10; i++) await turn();
    const other = watch(loop.next());
    await turn();
    assertEquals(other.state, "pending");
    await Promise.all([client.close(), next.close()]);
    await listener.close();
  }
});

/** Sends a part of a request, byte by byte, until the server ends it. */
async function trickle(port: number, bytes: Uint8Array): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const ended = watch(conn.read(new Uint8Array(1)).catch(() => null));
  try {
    for (let i = 0; ended.state === "pending"; i++) {
      if (i < bytes.length) await conn.write(bytes.subarray(i, i + 1));
      await turn();
    }
  } catch {
    // It was reset: bytes were on their way.
  } finally {
    conn.close();
  }
}

test("handshakeTimeout: a WebSocket's request that comes byte by byte, in part or not at all is cut and reported", async () => {
  const head = new TextEncoder().encode(
    `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"y".repeat(10_000)}`,
  );
  for (const length of [0, 10, head.length]) {
    const { reports, first, onError } = recorder();
    const listener = await listen("ws://127.0.0.1:0/", {
      handler,
      handshakeTimeout: SHORT,
      onError,
    });
    const port = Number(new URL(listener.addr).port);
    await within(trickle(port, head.subarray(0, length)), "the end");
    await within(first, "the report");
    const { error, context } = reports[0]!;
    assertEquals([error.name, error.code], ["TalkError", "timeout"]);
    assert(
      /^Cannot accept connection from "tcp:\/\/127\.0\.0\.1:\d+": its handshake took longer than 20 ms \(option "handshakeTimeout"\)$/
        .test(error.message),
      error.message,
    );
    assertEquals(context, { peer: undefined, selector: undefined });
    await listener.close();
    assertEquals(reports.length, 1);
  }
});

test("handshakeTimeout: an authenticate of serveWebSocket() that never decides is answered with 503 and reported", async (t) => {
  const time = t.time();
  const { reports, onError } = recorder();
  const never = Promise.withResolvers<boolean>();
  const asked = Promise.withResolvers<void>();
  const serve = serveWebSocket({
    authenticate() {
      asked.resolve();
      return never.promise;
    },
    handshakeTimeout: 5_000,
    onError,
  });
  const request = new Request("http://localhost/", {
    headers: { upgrade: "websocket", host: "localhost" },
  });
  const answer = serve(request);
  await within(asked.promise, "authenticate");
  time.tick(5_000);
  assertEquals((await within(answer, "the answer")).status, 503);
  assertEquals(reports.map(({ error }) => [error.code, error.message]), [[
    "timeout",
    'Cannot accept connection from "": its handshake took longer than 5000 ms (option "handshakeTimeout")',
  ]]);
  never.resolve(false);
  await serve.listener.close();
});

test("serveWebSocket(): clients that ignore CLOSE take no more than twice maxSessions", async (t) => {
  const errors: unknown[] = [];
  const serve = serveWebSocket({
    handler,
    maxSessions: 2,
    whenFull: "evict",
    onError: (error) => errors.push(error),
  });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    serve,
  );
  t.defer(async () => {
    await serve.listener.close();
    await server.shutdown();
  });
  const { port } = server.addr;
  const deaf: Deno.Conn[] = [];
  const answers: string[] = [];
  for (let i = 0; i < 6; i++) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    deaf.push(conn);
    await conn.write(upgradeRequest(`127.0.0.1:${port}`));
    const buffer = new Uint8Array(1_000);
    const read = await within(conn.read(buffer), "the answer");
    const text = new TextDecoder().decode(buffer.subarray(0, read ?? 0));
    answers.push(text.slice(9, 12));
    // Until the server has it, it does not count.
    for (let i = 0; i < 20; i++) await turn();
  }
  assertEquals(answers, ["101", "101", "101", "101", "503", "503"]);
  for (const conn of deaf) conn.close();
  // Their places are free again when they have gone.
  const client = await within(dialUntilServed(port), "a client");
  assertEquals(await client.call("ping"), "pong");
  await client.close();
});

async function dialUntilServed(port: number): Promise<Peer> {
  for (;;) {
    try {
      return await dial(`ws://127.0.0.1:${port}/`);
    } catch {
      await turn();
    }
  }
}

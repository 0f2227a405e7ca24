import {
  dial,
  dialSession,
  handlerFrom,
  listen,
  listenSession,
  type MemoryPool,
  memoryPool,
} from "@qtalk/qtalk";
import { dialPool } from "@qtalk/qtalk/pool";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { listenerErrors } from "../../tests/support/listener_errors.ts";
import { turn, until, within } from "../../tests/support/within.ts";

const handler = handlerFrom({ ping: () => "pong" });

test("maxSessions: connections beyond it are closed at once, and reported once until there is room", async (t) => {
  const { errors, onError } = listenerErrors();
  const options = { handler, maxSessions: 2, onError };
  const listener = await listen("tcp://127.0.0.1:0", options);
  t.defer(() => listener.close());
  const [first, second] = [
    await dial(listener.addr),
    await dial(listener.addr),
  ];
  t.watch(second);
  assertEquals(await first.call("ping"), "pong");
  assertEquals(await second.call("ping"), "pong");
  for (let i = 0; i < 3; i++) {
    const third = await dialSession(listener.addr);
    await within(third.closed, "the third to be closed");
  }
  assertEquals(errors.map(({ code, message }) => [code, message]), [[
    "limit-exceeded",
    "Cannot accept connection: 2 sessions are open, the limit of the listener",
  ]]);

  // The others notice nothing, and their place is free when one has left.
  assertEquals(await second.call("ping"), "pong");
  await first.close();
  const next = await dialUntilServed(listener.addr);
  assertEquals(errors.length, 1, "not again before there was room");
  const refused = await dialSession(listener.addr);
  await within(refused.closed, "the one more to be closed");
  assertEquals(errors.length, 2);
  await next.close();
});

/** Dials until the listener has noticed that a session has ended. */
async function dialUntilServed(address: string) {
  for (;;) {
    const peer = await dial(address);
    try {
      assertEquals(await peer.call("ping"), "pong");
      return peer;
    } catch {
      await peer.close();
      await turn();
    }
  }
}

test("maxSessions: connections that accept() has not decided about count", async (t) => {
  const { errors, onError } = listenerErrors();
  const decided = Promise.withResolvers<boolean>();
  const listener = await listenSession("tcp://127.0.0.1:0", {
    accept: () => decided.promise,
    maxSessions: 1,
    onError,
  });
  t.defer(() => listener.close());
  const first = await dialSession(listener.addr);
  const second = await dialSession(listener.addr);
  await within(second.closed, "the second to be closed");
  assertEquals(errors.length, 1);
  decided.resolve(true);
  await first.close();
});

test("maxSessions: listeners that share a pool have its sessions together", async (t) => {
  const { errors, onError } = listenerErrors();
  const pool = memoryPool({ maxSessions: 1 });
  const options = { handler, memoryPool: pool, onError };
  const a = await listen("tcp://127.0.0.1:0", options);
  const b = await listen("tcp://127.0.0.1:0", options);
  t.defer(() => a.close());
  t.defer(() => b.close());
  const first = await dial(a.addr);
  assertEquals(await first.call("ping"), "pong");
  assertEquals(pool.usage.sessions, 1);
  assert(pool.usage.held > 0);
  const second = await dialSession(b.addr);
  await within(second.closed, "the second to be closed");
  assertEquals(errors.map(({ message }) => message), [
    "Cannot accept connection: 1 sessions are open, the limit of its memory pool",
  ]);
  await first.close();
  await until(() => pool.usage.sessions === 0);
  assertEquals(pool.usage, { sessions: 0, held: 0 });
});

test("memoryPool: what memoryPool() has not made is refused before there is a connection", async () => {
  const message =
    'Cannot use option "memoryPool": an object is not from memoryPool()';
  const wrong = { size: 1024 * 1024, maxSessions: 10 } as unknown as MemoryPool;
  for (
    const options of [{ memoryPool: wrong }, { session: { memoryPool: wrong } }]
  ) {
    for (const open of [listen, listenSession]) {
      await assertRejects(
        async () => await open("tcp://127.0.0.1:0", options) as unknown,
        TypeError,
        message,
      );
    }
    assertThrows(() => serveWebSocket(options), TypeError, message);
  }
  const session = { memoryPool: wrong };
  for (
    const open of [
      () => dial("tcp://127.0.0.1:1", { session }),
      () => dial("tcp://127.0.0.1:1", { session, reconnect: {} }),
      () => dialPool(["tcp://127.0.0.1:1"], { session }),
    ]
  ) {
    await assertRejects(
      async () => await open() as unknown,
      TypeError,
      message,
    );
  }
});

test("maxSessions: onError that throws does not stop the listener", async (t) => {
  const uncaught = Promise.withResolvers<unknown>();
  const onUncaught = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.resolve(event.error);
  };
  addEventListener("error", onUncaught);
  t.defer(() => removeEventListener("error", onUncaught));
  const mistake = new Error("of the hook");
  const listener = await listen("tcp://127.0.0.1:0", {
    handler,
    maxSessions: 1,
    onError: () => {
      throw mistake;
    },
  });
  t.defer(() => listener.close());
  const first = await dial(listener.addr);
  assertEquals(await first.call("ping"), "pong");
  await within((await dialSession(listener.addr)).closed, "to be closed");
  assertEquals(await uncaught.promise, mistake);
  assertEquals(await first.call("ping"), "pong");
  await first.close();
});

test("maxSessions: of serveWebSocket() closes WebSockets beyond it", async (t) => {
  const { errors, onError } = listenerErrors();
  const serve = serveWebSocket({ handler, maxSessions: 1, onError });
  const server = Deno.serve({ port: 0, onListen() {} }, serve);
  t.defer(() => server.shutdown());
  const address = `ws://127.0.0.1:${server.addr.port}/`;
  const first = t.watch(await dial(address));
  assertEquals(await first.call("ping"), "pong");
  const second = await dialSession(address);
  await within(second.closed, "the second to be closed");
  assertEquals(errors.length, 1);
  assertEquals(await first.call("ping"), "pong");
});

test("maxSessions: out of range, or a pool of another origin, is refused at once", async () => {
  for (const maxSessions of [0, 1.5, Infinity]) {
    await assertRejects(
      () => listen("tcp://127.0.0.1:0", { maxSessions }),
      RangeError,
      `Cannot use option "maxSessions": ${maxSessions} is not an integer from 1 to`,
    );
    assertThrows(() => serveWebSocket({ maxSessions }), RangeError);
  }
});

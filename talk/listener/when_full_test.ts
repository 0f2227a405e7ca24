import {
  dial,
  dialSession,
  handlerFrom,
  listen,
  type Listener,
  type ListenOptions,
  listenSession,
  memoryPool,
  type Peer,
  type Session,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { listenerErrors } from "../../tests/support/listener_errors.ts";
import {
  turn,
  until,
  watch,
  type Watched,
  within,
} from "../../tests/support/within.ts";
import { upgradeRequest } from "../../tests/support/websocket_wire.ts";

const handler = handlerFrom({
  ping: () => "pong",
  later: async (answer: () => Promise<unknown>) => await answer(),
});

/** A listener, and a way to connect to it without a call. */
async function crowded(t: Harness, options: ListenOptions, scheme = "tcp:") {
  const { errors, onError } = listenerErrors();
  const listener = await listen(`${scheme}//127.0.0.1:0`, {
    handler,
    whenFull: "evict",
    onError,
    ...options,
  });
  t.defer(() => listener.close());
  const loop = listener[Symbol.asyncIterator]();
  return {
    listener,
    errors,
    /** Connects and says nothing; returns when the listener has it. */
    async silent(): Promise<{ client: Session; peer: Peer }> {
      const client = await dialSession(listener.addr);
      t.defer(() => client.close());
      const { value } = await within(loop.next(), "the peer");
      return { client, peer: value! };
    },
    async caller(): Promise<Peer> {
      const client = await dial(listener.addr, {
        handler: handlerFrom({ work: () => "done" }),
      });
      t.defer(() => client.close());
      assertEquals(await client.call("ping"), "pong");
      await within(loop.next(), "the peer");
      return client;
    },
  };
}

for (const scheme of ["tcp:", "ws:"]) {
  test(`whenFull: over ${scheme} with "evict", the connection that has been silent longest gives way`, async (t) => {
    const { silent, caller, errors } = await crowded(
      t,
      { maxSessions: 3 },
      scheme,
    );
    const used = await caller();
    const first = await silent();
    const second = await silent();
    const third = await silent();
    await within(first.client.closed, "the first to give way");
    const fourth = await silent();
    await within(second.client.closed, "the second to give way");
    const open = [third, fourth].map(({ client }) => watch(client.closed));
    assertEquals(await used.call("ping"), "pong");
    assertEquals(open.map(({ state }) => state), ["pending", "pending"]);
    assertEquals(errors.map(({ code, message }) => [code, message]), [[
      "limit-exceeded",
      "Cannot keep all connections: 3 sessions are open, the limit of the listener; the one that was silent longest was closed",
    ]]);
  });
}

test('whenFull: with "evict", a crowd does not evict what was used, in whichever direction', async (t) => {
  const { silent, caller, errors } = await crowded(t, { maxSessions: 4 });
  const callers = [await caller(), await caller()];
  // A worker that was called, but does not call.
  const worker = await crowdedWorker(t, silent);
  const ends: Watched[] = [];
  for (let i = 0; i < 50; i++) ends.push(watch((await silent()).client.closed));
  for (const client of callers) {
    assertEquals(await client.call("ping"), "pong");
  }
  assertEquals(worker.state, "pending");
  await turn();
  await until(() =>
    ends.filter(({ state }) => state === "resolved").length >= 49
  );
  assertEquals(ends.at(-1)!.state, "pending");
  assertEquals(errors.length, 1);
});

/** A connection that the listener's side has called once. */
async function crowdedWorker(
  t: Harness,
  silent: () => Promise<{ client: Session; peer: Peer }>,
) {
  const { client, peer } = await silent();
  client.accept((channel) => void channel.close());
  await peer.call("work").catch(() => {});
  t.defer(() => client.close());
  return watch(client.closed);
}

test('whenFull: with "evict", the new connection is refused if all others were used', async (t) => {
  const { listener, caller, errors } = await crowded(t, { maxSessions: 2 });
  const callers = [await caller(), await caller()];
  for (let i = 0; i < 3; i++) {
    await within((await dialSession(listener.addr)).closed, "to be refused");
  }
  for (const client of callers) {
    assertEquals(await client.call("ping"), "pong");
  }
  assertEquals(errors.map(({ message }) => message), [
    "Cannot accept connection: 2 sessions are open, the limit of the listener",
  ]);
});

test('whenFull: with "evict", a call in progress and one that waits for onPeer are use', async (t) => {
  const verdict = Promise.withResolvers<void>();
  let asked = 0;
  const { errors, onError } = listenerErrors();
  const listener = await listen("tcp://127.0.0.1:0", {
    handler,
    maxSessions: 2,
    whenFull: "evict",
    onError,
    onPeer: () => ++asked === 1 ? verdict.promise : undefined,
  });
  t.defer(() => listener.close());
  const held = t.watch(await dial(listener.addr));
  const call = held.call("ping");
  await until(() => asked >= 1);
  const answer = Promise.withResolvers<unknown>();
  const busy = t.watch(await dial(listener.addr));
  const pending = busy.call("later", [() => answer.promise]);
  await until(() => asked >= 2);
  // Both have said something, though neither was answered.
  for (let i = 0; i < 50; i++) await turn();
  await within((await dialSession(listener.addr)).closed, "to be refused");
  verdict.resolve();
  answer.resolve("answer");
  assertEquals(await Promise.all([call, pending]), ["pong", "answer"]);
  assertEquals(errors.length, 1);
});

test('whenFull: with "evict", a connection that accept() has not decided about gives way', async (t) => {
  const never = Promise.withResolvers<boolean>();
  let asked = 0;
  const { errors, onError } = listenerErrors();
  const listener = await listenSession("tcp://127.0.0.1:0", {
    accept: () => ++asked <= 2 ? never.promise : true,
    maxSessions: 2,
    whenFull: "evict",
    onError,
  });
  t.defer(() => listener.close());
  const clients = [];
  for (let i = 1; i <= 3; i++) {
    clients.push(await dialSession(listener.addr));
    await until(() => asked >= i);
  }
  await within(clients[0]!.closed, "the first to give way");
  never.resolve(true);
  await Promise.all(clients.map((client) => client.close()));
  assertEquals(errors.length, 1);
});

test('whenFull: with "evict", a session of listenSession() that had a channel stays', async (t) => {
  const listener: Listener<Session> = await listenSession(
    "tcp://127.0.0.1:0",
    { maxSessions: 2, whenFull: "evict" },
  );
  t.defer(() => listener.close());
  const loop = listener[Symbol.asyncIterator]();
  const used = await dialSession(listener.addr);
  const { value } = await within(loop.next(), "the session");
  value!.accept((channel) => void channel.close());
  const channel = await used.open();
  await channel.close();
  const silent = await dialSession(listener.addr);
  await within(loop.next(), "the silent session");
  const next = await dialSession(listener.addr);
  await within(loop.next(), "the next session");
  await within(silent.closed, "the silent one to give way");
  assertEquals(watch(used.closed).state, "pending");
  await (await used.open()).close();
  await Promise.all([used.close(), next.close()]);
});

test('whenFull: with "evict", listeners that share a pool evict their own connections', async (t) => {
  const pool = memoryPool({ maxSessions: 2 });
  const { errors, onError } = listenerErrors();
  const options = { handler, memoryPool: pool, onError } as const;
  const a = await listen("tcp://127.0.0.1:0", options);
  const b = await listen("tcp://127.0.0.1:0", {
    ...options,
    whenFull: "evict",
  });
  t.defer(() => Promise.all([a.close(), b.close()]));
  const [loopA, loopB] = [a, b].map((one) => one[Symbol.asyncIterator]());
  const first = await dialSession(a.addr);
  await within(loopA!.next(), "the first");
  const second = await dialSession(b.addr);
  await within(loopB!.next(), "the second");
  const third = await dialSession(b.addr);
  await within(loopB!.next(), "the third");
  await within(second.closed, "the second to give way");
  const fourth = await dialSession(a.addr);
  await within(fourth.closed, "the fourth to be refused");
  assertEquals(pool.usage.sessions, 2);
  assertEquals(watch(first.closed).state, "pending");
  await Promise.all([first, third].map((client) => client.close()));
  assertEquals(errors.length, 2);
});

test('whenFull: with "evict", serveWebSocket() closes the WebSocket that has been silent longest', async (t) => {
  const { errors, onError } = listenerErrors();
  const serve = serveWebSocket({
    handler,
    maxSessions: 2,
    whenFull: "evict",
    onError,
  });
  const server = Deno.serve({ port: 0, onListen() {} }, serve);
  t.defer(async () => {
    await serve.listener.close();
    await server.shutdown();
  });
  const loop = serve.listener[Symbol.asyncIterator]();
  const address = `ws://127.0.0.1:${server.addr.port}/`;
  const used = t.watch(await dial(address));
  assertEquals(await used.call("ping"), "pong");
  await loop.next();
  const first = await dialSession(address);
  await within(loop.next(), "the first");
  const second = await dialSession(address);
  await within(loop.next(), "the second");
  await within(first.closed, "the first to give way");
  assertEquals(await used.call("ping"), "pong");
  await second.close();
  assertEquals(errors.length, 1);
});

test("whenFull: a client that ignores its eviction does not keep its place", async (t) => {
  const { listener, silent } = await crowded(t, {
    maxSessions: 1,
    // Nothing waits that long.
    session: { closeTimeout: 600_000 },
  }, "ws:");
  const port = Number(new URL(listener.addr).port);
  // Speaks no WebSocket after the handshake: CLOSE gets no answer.
  const deaf = await Deno.connect({ hostname: "127.0.0.1", port });
  t.defer(() => deaf.close());
  await deaf.write(upgradeRequest(`127.0.0.1:${port}`));
  await deaf.read(new Uint8Array(1_000));
  await silent();
  const ended = (async () => {
    while (await deaf.read(new Uint8Array(1_000)) !== null);
  })();
  await within(ended.catch(() => {}), "the end of the deaf connection");
  // Neither does it make the listener wait.
  await within(listener.close(), "close()");
});

test("whenFull: the default refuses the new connection", async (t) => {
  const { listener, silent, errors } = await crowded(t, {
    maxSessions: 1,
    whenFull: undefined,
  });
  const first = await silent();
  await within((await dialSession(listener.addr)).closed, "to be refused");
  assertEquals(watch(first.client.closed).state, "pending");
  assertEquals(errors.map(({ message }) => message), [
    "Cannot accept connection: 1 sessions are open, the limit of the listener",
  ]);
});

test("whenFull: another value is refused at once", async () => {
  for (const whenFull of ["Evict", "", null, 1]) {
    const options = { whenFull } as unknown as ListenOptions;
    const message =
      `Cannot use option "whenFull": ${whenFull} is not "refuse" or "evict"`;
    for (const open of [listen, listenSession]) {
      await assertRejects(
        () => open("tcp://127.0.0.1:0", options) as Promise<unknown>,
        RangeError,
        message,
      );
    }
    assertThrows(() => serveWebSocket(options), RangeError, message);
  }
});

import {
  type Callback,
  type Channel,
  dial,
  dialSession,
  handlerFrom,
  listen,
  type ListenOptions,
  listenSession,
  type Peer,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals } from "@std/assert";
import type { FakeTime } from "../../tests/support/fake_time.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import {
  turn,
  until,
  watch,
  type Watched,
  within,
} from "../../tests/support/within.ts";

const IDLE = 60_000;

/** A listener whose sessions may be idle for a minute, and a client. */
async function lab(t: Harness, options: ListenOptions = {}) {
  const time = t.time();
  const kept: Callback<() => unknown>[] = [];
  const errors: unknown[] = [];
  const listener = await listen("tcp://127.0.0.1:0", {
    sessionIdleTimeout: IDLE,
    onError: (error) => errors.push(error),
    handler: handlerFrom({
      ping: () => "pong",
      keep: (fn: Callback<() => unknown>) => void kept.push(fn.retain()),
      later: (fn: () => Promise<unknown>) => fn(),
    }),
    ...options,
  });
  const loop = listener[Symbol.asyncIterator]();
  const client = await dial(listener.addr, {
    handler: handlerFrom({ work: () => "done" }),
  });
  const { value } = await within(loop.next(), "the peer");
  return {
    time,
    client,
    peer: value as Peer,
    kept,
    errors,
    ended: watch(client.closed),
    /** Closes everything, and lets the time pass that this takes. */
    async close() {
      const closing = watch(Promise.all([client.close(), listener.close()]));
      await passUntil(time, closing);
    },
  };
}

/** Lets time pass in small steps, with turns of the event loop. */
async function pass(time: FakeTime, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 1_000) {
    time.tick(1_000);
    await turn();
  }
  for (let i = 0; i < 20; i++) await turn();
}

async function passUntil(time: FakeTime, watched: Watched): Promise<void> {
  await until(
    () => watched.state !== "pending",
    "the end",
    () => pass(time, 1_000),
  );
}

test("sessionIdleTimeout: a session without a call is closed cleanly when the time has passed", async (t) => {
  const { time, ended, errors, close } = await lab(t);
  await pass(time, IDLE - 1_000);
  assertEquals(ended.state, "pending");
  await pass(time, 1_000);
  await passUntil(time, ended);
  assertEquals([ended.state, errors], ["resolved", []]);
  await close();
});

test("sessionIdleTimeout: after the last call of either side it is one to one and a half times as long", async (t) => {
  for (const side of ["client", "server"]) {
    const { time, client, peer, ended, close } = await lab(t);
    for (let i = 0; i < 5; i++) {
      await pass(time, IDLE - 5_000);
      if (side === "client") await client.call("ping");
      else await peer.call("work");
    }
    await pass(time, IDLE - 1_000);
    assertEquals(ended.state, "pending", side);
    await pass(time, IDLE / 2 + 2_000);
    await passUntil(time, ended);
    await close();
    time[Symbol.dispose]();
  }
});

test("sessionIdleTimeout: a call that is under way is use, however long it takes", async (t) => {
  const { time, client, ended, close } = await lab(t);
  const begun = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<unknown>();
  const call = client.call("later", [() => {
    begun.resolve();
    return answer.promise;
  }]);
  // To load what it needs may take more turns than the idle time has here.
  await within(begun.promise, "the call");
  await pass(time, 10 * IDLE);
  assertEquals(ended.state, "pending");
  answer.resolve("late");
  assertEquals(await call, "late");
  await pass(time, 2 * IDLE);
  await passUntil(time, ended);
  await close();
});

test("sessionIdleTimeout: spare channels and kept functions are no use, and calls of functions are", async (t) => {
  const { time, client, kept, ended, close } = await lab(t);
  await client.call("keep", [() => "called back"]);
  // Several calls at once leave spare channels.
  await Promise.all(Array.from({ length: 20 }, () => client.call("ping")));
  assert(client.session.usage.slots > 0, "there are spare channels");
  for (let i = 0; i < 4; i++) {
    await pass(time, IDLE - 5_000);
    assertEquals(await kept[0]!(), "called back");
  }
  assertEquals(ended.state, "pending");
  await pass(time, 2 * IDLE);
  await passUntil(time, ended);
  await close();
});

test("sessionIdleTimeout: channels that the peer opens without a call are no use", async (t) => {
  const { time, client, ended, close } = await lab(t);
  for (let i = 0; i < 10; i++) await client.session.open();
  await pass(time, 2 * IDLE);
  await passUntil(time, ended);
  assertEquals(ended.state, "resolved");
  await close();
});

test("sessionIdleTimeout: it starts when onPeer has admitted the peer", async (t) => {
  const verdict = Promise.withResolvers<void>();
  const time = t.time();
  const asked = Promise.withResolvers<void>();
  const listener = await listen("tcp://127.0.0.1:0", {
    sessionIdleTimeout: IDLE,
    handshakeTimeout: Infinity,
    onPeer() {
      asked.resolve();
      return verdict.promise;
    },
  });
  const client = await dialSession(listener.addr);
  const ended = watch(client.closed);
  await within(asked.promise, "onPeer");
  await pass(time, 3 * IDLE);
  assertEquals(ended.state, "pending");
  verdict.resolve();
  await pass(time, IDLE + 2_000);
  await passUntil(time, ended);
  await passUntil(time, watch(Promise.all([client.close(), listener.close()])));
});

test("sessionIdleTimeout: of listenSession(), an open channel is use, and one that opened and closed meanwhile", async (t) => {
  const time = t.time();
  const listener = await listenSession("tcp://127.0.0.1:0", {
    sessionIdleTimeout: IDLE,
  });
  const loop = listener[Symbol.asyncIterator]();
  const client = await dialSession(listener.addr);
  const ended = watch(client.closed);
  const { value } = await within(loop.next(), "the session");
  value!.accept((channel) => void channel.close());
  for (let i = 0; i < 4; i++) {
    await pass(time, IDLE - 5_000);
    await (await client.open()).close();
  }
  const theirs = Promise.withResolvers<Channel>();
  client.accept(theirs.resolve);
  const channel = await value!.open();
  await pass(time, 5 * IDLE);
  assertEquals(ended.state, "pending");
  await channel.close();
  await (await theirs.promise).close();
  await pass(time, 2 * IDLE);
  await passUntil(time, ended);
  await passUntil(time, watch(Promise.all([client.close(), listener.close()])));
});

test("sessionIdleTimeout: of serveWebSocket() closes what idleTimeout keeps, as the client answers its pings", async (t) => {
  const serve = serveWebSocket({ sessionIdleTimeout: 20 });
  const server = Deno.serve({ port: 0, onListen() {} }, serve);
  t.defer(() => server.shutdown());
  const client = await dialSession(`ws://127.0.0.1:${server.addr.port}/`);
  assertEquals(await within(client.closed, "the session"), undefined);
  await client.close();
  await serve.listener.close();
});

test("sessionIdleTimeout: the default is no limit", async (t) => {
  const { time, client, ended, close } = await lab(t, {
    sessionIdleTimeout: undefined,
  });
  await pass(time, 3 * IDLE);
  assertEquals(ended.state, "pending");
  assertEquals(await client.call("ping"), "pong");
  await close();
});

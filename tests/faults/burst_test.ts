/**
 * More calls at once than there is room for: they wait, in order and up to a
 * limit, and calls that others wait for do not wait for those.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Call,
  type Callback,
  forward,
  handlerFrom,
  type MuxError,
  type Peer,
  RemoteError,
  type Responder,
  RpcError,
} from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { close, confirm, failure } from "../support/wire.ts";
import { turn, until, within } from "../support/within.ts";

/** Makes calls at once; returns how many of them got an answer. */
async function burst(peer: Peer, count: number): Promise<number> {
  const outcomes = await Promise.allSettled(
    Array.from({ length: count }, (_, i) => peer.call("echo", [i])),
  );
  outcomes.forEach((outcome, i) => {
    if (outcome.status === "rejected") throw outcome.reason;
    assertEquals(outcome.value, i);
  });
  return outcomes.length;
}

const echo = handlerFrom((value: unknown) => value);

test("bursts: 1,600 calls at once on an idle connection, and 10,000 twice, are all answered", async (t) => {
  const [client, server] = t.pair();
  server.handle("echo", echo);
  assertEquals(await burst(client, 1_600), 1_600);
  assertEquals(await burst(client, 10_000), 10_000);
  assertEquals(await burst(client, 10_000), 10_000);
});

test("bursts: both sides can have all their slots at the same time", async (t) => {
  const session = { maxChannels: 8 };
  const [a, b] = t.pair({ session }, { session });
  for (const peer of [a, b]) peer.handle("echo", echo);
  await Promise.all([burst(a, 200), burst(b, 200)]);
});

test("bursts: calls wait while a peer with fewer slots refuses channels", async (t) => {
  const [client, server] = t.pair({}, { session: { maxChannels: 5 } });
  server.handle("echo", echo);
  assertEquals(await burst(client, 500), 500);
  assertEquals(await burst(client, 500), 500);
});

test("bursts: a peer that refuses all channels fails each call with open-refused", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const calls = Array.from(
    { length: 20 },
    () => peer.call("x").catch((error) => error),
  );
  for (let i = 0; i < 20; i++) {
    await raw.send(failure((await raw.expect("open")).sender));
  }
  for (const error of await Promise.all(calls)) {
    assertEquals((error as MuxError).code, "open-refused");
  }
});

test("bursts: a refused call is tried again when another one has ended, before those that came later", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const names: string[] = [];
  const calls = ["first", "second", "third"].map((name) =>
    peer.call(name).then(
      () => names.push(name),
      (error) => names.push(`${name}: ${error.code}`),
    )
  );
  const opens = [
    await raw.expect("open"),
    await raw.expect("open"),
    await raw.expect("open"),
  ];
  await raw.send(
    confirm(opens[0]!.sender, 0),
    failure(opens[1]!.sender),
    failure(opens[2]!.sender),
  );
  await raw.find("data");
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(raw.takePending(), [], "nothing is tried while the first runs");
  await raw.send(close(opens[0]!.sender));
  const again = await raw.find("open");
  await raw.send(failure(again.sender));
  const last = await raw.find("open");
  await raw.send(failure(last.sender));
  await Promise.all(calls);
  assertEquals(names, [
    "first: no-response",
    "second: open-refused",
    "third: open-refused",
  ]);
});

test("maxQueuedCalls: calls beyond it fail with limit-exceeded, and others are made in order", async (t) => {
  const session = { maxChannels: 1 };
  const [client, server] = t.pair(
    { session, maxQueuedCalls: 3 },
    { session },
  );
  const order: unknown[] = [];
  const release = Promise.withResolvers<void>();
  server.handle("note", async (call: Call, respond: Responder) => {
    order.push(await call.receive());
    await release.promise;
    await respond.return();
  });
  const calls = [0, 1, 2, 3].map((i) => client.call("note", i));
  const error = await assertRejects(() => client.call("note", 4), RpcError);
  assertEquals(error.code, "limit-exceeded");
  assert(error.message.includes('3 calls wait, the limit of "maxQueuedCalls"'));
  release.resolve();
  await Promise.all(calls);
  assertEquals(order, [0, 1, 2, 3]);
});

test("maxQueuedCallSize: calls whose requests exceed it together fail with limit-exceeded", async (t) => {
  const session = { maxChannels: 1 };
  const [client, server] = t.pair(
    { session, maxQueuedCallSize: 10_000 },
    { session },
  );
  server.handle("echo", echo);
  const large = ["x".repeat(6_000)];
  const calls = [client.call("echo", large), client.call("echo", large)];
  const error = await assertRejects(
    () => client.call("echo", large),
    RpcError,
  );
  assertEquals(error.code, "limit-exceeded");
  await Promise.all([...calls, client.call("echo", [1])]);
});

test("bursts: a call that waits for a channel leaves the queue with its signal or timeout", async (t) => {
  const clock = t.time();
  const session = { maxChannels: 1 };
  const [client, server] = t.pair(
    { session, maxQueuedCalls: 2 },
    { session },
  );
  const release = Promise.withResolvers<void>();
  const called: string[] = [];
  server.handle("", async (call, respond) => {
    called.push(call.selector);
    await release.promise;
    await respond.return();
  });
  const running = client.call("running");
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = client.call("aborted", null, { signal });
  const late = client.call("late", null, { timeout: 1_000 });
  await assertRejects(() => client.call("too many"), RpcError);
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  clock.tick(1_000);
  assertEquals((await assertRejects(() => late, RpcError)).code, "timeout");
  const next = client.call("next");
  release.resolve();
  await Promise.all([running, next]);
  assertEquals(called, ["/running", "/next"]);
});

test("bursts: calls that wait for a channel reject when the session is closed", async (t) => {
  const session = { maxChannels: 1 };
  const [client, server] = t.pair({ session }, { session });
  server.handle("", () => new Promise(() => {}));
  const calls = [1, 2, 3].map((i) =>
    client.call("x", i).catch((error) => error)
  );
  await client.close();
  for (const error of await within(Promise.all(calls), "the calls to reject")) {
    assertEquals((error as MuxError).code, "session-closed");
  }
});

test("maxConcurrentCalls: calls beyond it wait, and run in order", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 2 });
  const order: unknown[] = [];
  const waiting: (() => void)[] = [];
  server.handle("", async (call, respond) => {
    order.push((await call.receive() as string).length);
    await new Promise<void>((resolve) => waiting.push(resolve));
    await respond.return();
  });
  const sizes = [1, 2, 3, 4, 5];
  const calls = sizes.map((size) => client.call("x", "x".repeat(size)));
  await until(() => waiting.length >= 2);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(order, [1, 2]);
  for (let i = 0; i < sizes.length; i++) {
    await until(() => waiting.length > 0);
    waiting.shift()!();
  }
  await Promise.all(calls);
  assertEquals(order, sizes);
});

test("maxConcurrentCalls: the arguments of a call that waits stay unread", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const release = Promise.withResolvers<void>();
  server.handle("", async (call, respond) => {
    const { length } = await call.receive() as string;
    await release.promise;
    await respond.return(length);
  });
  const first = client.call("x", "x");
  const second = client.call("x", "x".repeat(900_000));
  for (let i = 0; i < 50; i++) await turn();
  const { values } = server.session.usage.held;
  assertEquals(values, 0);

  release.resolve();
  assertEquals(await first, 1);
  assertEquals(await second, 900_000);
});

test("callQueueTimeout: a call that has waited for so long is answered with busy", async (t) => {
  const clock = t.time();
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const release = Promise.withResolvers<void>();
  server.handle("", async (_call, respond) => {
    await release.promise;
    await respond.return();
  });
  const running = client.call("a");
  const waiting = client.call("b").catch((error) => error);
  for (let i = 0; i < 10; i++) await turn();
  clock.tick(9_999);
  const later = client.call("c");
  for (let i = 0; i < 10; i++) await turn();
  clock.tick(1);
  const error = await waiting;
  assert(error instanceof RemoteError);
  assertEquals(
    error.text,
    'busy: 1 calls are running, the limit of "maxConcurrentCalls"; cannot call "/b"',
  );
  assertEquals(error.code, "busy");
  release.resolve();
  await Promise.all([running, later]);
});

test("maxConcurrentCalls: a call that is given up while it waits is not begun, and leaves nothing", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const called: string[] = [];
  const release = Promise.withResolvers<void>();
  server.handle("", async (call, respond) => {
    called.push(call.selector);
    await release.promise;
    await respond.return();
  });
  const running = client.call("running");
  const controller = new AbortController();
  const { signal } = controller;
  const given = client.call("given up", "x".repeat(50_000), { signal });
  for (let i = 0; i < 10; i++) await turn();
  controller.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");
  for (let i = 0; i < 10; i++) await turn();
  release.resolve();
  await running;
  assertEquals(await client.call("next"), null);
  assertEquals(called, ["/running", "/next"]);
});

test("nested calls: maxConcurrentCalls handlers can each call their caller back, on both sides at once", async (t) => {
  const limits = { maxConcurrentCalls: 4, session: { maxChannels: 16 } };
  const [a, b] = t.pair(limits, limits);
  for (const peer of [a, b]) {
    peer.handle("inner", (_call, respond) => respond.return(1));
    peer.handle("outer", async (call, respond) => {
      await respond.return(await call.caller.call("inner"));
    });
  }
  const calls = [a, b].flatMap((peer) =>
    Array.from({ length: 100 }, () => peer.call("outer"))
  );
  const answers = await within(Promise.all(calls), "the nested calls");
  assertEquals(answers, Array(200).fill(1));
});

test("nested calls: maxConcurrentCalls handlers can each call a callback", async (t) => {
  const limits = { maxConcurrentCalls: 4, session: { maxChannels: 16 } };
  const [a, b] = t.pair(limits, limits);
  const outer = handlerFrom(
    async (fn: Callback<(n: number) => number>, n: number) => await fn(n),
  );
  for (const peer of [a, b]) peer.handle("outer", outer);
  const calls = [a, b].flatMap((peer) =>
    Array.from(
      { length: 100 },
      (_, i) => peer.call("outer", [(n: number) => n + 1, i]),
    )
  );
  const answers = await within(Promise.all(calls), "the callbacks");
  assertEquals(answers.slice(0, 100), answers.slice(100));
  assertEquals(answers[99], 100);
});

test("nested calls: calls that are nested without end fail instead of waiting forever", async (t) => {
  const clock = t.time();
  const limits = { maxConcurrentCalls: 4, session: { maxChannels: 8 } };
  const [a, b] = t.pair(limits, limits);
  for (const peer of [a, b]) {
    peer.handle("down", async (call, respond) => {
      await respond.return(await call.caller.call("down"));
    });
  }
  const failed = a.call("down").catch((error) => error);
  let settled = false;
  void failed.then(() => settled = true);
  await until(() => settled, "the call to fail", async () => {
    for (let i = 0; i < 20; i++) await turn();
    clock.tick(10_000);
  });
  assert(await failed instanceof RemoteError);
});

test("forward(): a client whose calls never end leaves room to the others", async (t) => {
  const [middle, backend] = t.pair();
  let hanging = 0;
  backend.handle("hang", () => {
    hanging++;
    return new Promise(() => {});
  });
  backend.handle("echo", echo);
  const handler = forward(middle);
  const [greedy] = t.pair({}, { handler });
  const others = [t.pair({}, { handler }), t.pair({}, { handler })];
  const controller = new AbortController();
  const { signal } = controller;
  const hung = Array.from(
    { length: 1_024 },
    () => greedy.call("hang", "x", { signal }).catch(() => {}),
  );
  const most = 1_024 * 7 / 8;
  await until(() => hanging === most, "all places of the client to be taken");
  for (const [client] of others) assertEquals(await burst(client, 200), 200);
  controller.abort();
  await Promise.all(hung);
  assertEquals(await burst(greedy, 1_024), 1_024);
});

test("forward(): a call that waits for its client's share is answered with busy, or leaves with its caller", async (t) => {
  const clock = t.time();
  const [middle, backend] = t.pair();
  const release = Promise.withResolvers<void>();
  backend.handle("hang", () => release.promise);
  const [client] = t.pair({}, {
    handler: forward(middle, { maxConcurrentCalls: 2 }),
  });
  const running = client.call("hang");
  const busy = client.call("hang").catch((error) => error);
  const controller = new AbortController();
  const { signal } = controller;
  const left = client.call("hang", null, { signal }).catch((error) => error);
  for (let i = 0; i < 20; i++) await turn();
  controller.abort(new Error("enough"));
  assertEquals((await left as Error).message, "enough");
  clock.tick(10_000);
  assertEquals((await busy as RemoteError).code, "busy");
  release.resolve();
  await running;
});

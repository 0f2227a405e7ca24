import {
  dial,
  forward,
  type Handler,
  handlerFrom,
  json,
  listen,
  memoryTransports,
  MuxError,
  Peer,
  qmux,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { proxy } from "@qtalk/qtalk/mux";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { rawSession } from "../mux/internal.ts";
import { type Harness, test } from "../tests/support/harness.ts";
import {
  rawAccept,
  type RawChannel,
  rawOpen,
} from "../tests/support/raw_call.ts";
import type { RawPeer } from "../tests/support/raw_peer.ts";
import { close, confirm, failure } from "../tests/support/wire.ts";
import { turn, watch, within } from "../tests/support/within.ts";

const KEEP_ALIVE = { interval: 1_000, timeout: 4_000 };
const PING = "/_qtalk/ping";

/** Lets time pass in steps that are shorter than those of the watch. */
async function pass(time: { tick(ms: number): void }, ms: number) {
  for (let at = 0; at < ms; at += 100) {
    time.tick(100);
    for (let i = 0; i < 4; i++) await turn();
  }
}

/** The script makes a call, from which the peer learns that it is extended. */
async function announce(raw: RawPeer, Q: object = {}): Promise<void> {
  const call = await rawOpen(raw, 9);
  await call.values({ Selector: "hello", Q: { v: 1, ...Q } }, null);
  await call.read(2);
  await call.close();
}

/** A peer whose silent other end is a script. */
function silent(
  t: Harness,
  keepAlive: boolean | typeof KEEP_ALIVE,
  options = {},
) {
  return t.scriptedPeer({
    handler: handlerFrom({ hello: () => "hello" }),
    onError() {},
    session: { keepAlive, closeTimeout: 1, ...options },
  });
}

/** The selectors of what the other end is called, each of which is answered. */
async function pingsOf(raw: RawPeer): Promise<RawChannel> {
  const channel = await rawAccept(raw, 20);
  const [header, argument] = await channel.read(2) as [
    { Selector: string; Q: { again: unknown } },
    null,
  ];
  const { Selector, Q: { again } } = header;
  assertEquals([Selector, again, argument], [PING, undefined, null]);
  return channel;
}

test("keepAlive: an extended peer that is silent is pinged, and its session ends with connection-lost", async (t) => {
  const time = t.time();
  const { peer, raw } = silent(t, KEEP_ALIVE);
  await announce(raw);
  raw.takePending();
  await pass(time, 4_000);
  await raw.find("open");
  const closed = watch(peer.closed);
  const call = peer.call("anything");
  call.catch(() => {});
  await pass(time, 900);
  assertEquals(closed.state, "pending");
  await pass(time, 1_300);
  const error = await assertRejects(() => peer.closed, MuxError);
  assertEquals(error.code, "connection-lost");
  assert(
    /no byte arrived for 5 s, although the peer was pinged/.test(error.message),
    error.message,
  );
  const failed = await assertRejects(() => call, MuxError);
  assertEquals(failed.code, "connection-lost");
  assertEquals(peer.signal.reason, error);
});

test("keepAlive: every byte is a sign of life, also a refusal", async (t) => {
  const time = t.time();
  const { peer, raw } = silent(t, KEEP_ALIVE);
  await announce(raw);
  raw.takePending();
  const closed = watch(peer.closed);
  for (let i = 0; i < 5; i++) {
    await pass(time, 4_000);
    const { sender } = await raw.find("open");
    await raw.send(failure(sender));
  }
  for (let i = 0; i < 5; i++) {
    await pass(time, 4_000);
    const ping = await pingsOf(raw);
    await ping.answer(null);
  }
  assertEquals(closed.state, "pending");
});

test("keepAlive: a peer that is not extended is not pinged, and not lost", async (t) => {
  const time = t.time();
  const { peer, raw } = silent(t, KEEP_ALIVE);
  const closed = watch(peer.closed);
  const call = await rawOpen(raw, 9);
  await call.values({ Selector: "hello" }, null);
  await call.read(2);
  await call.close();
  raw.takePending();
  await pass(time, 10_000);
  assertEquals(closed.state, "pending");
  assertEquals(raw.takePending().filter(({ type }) => type === "open"), []);
});

test("keepAlive: a peer is pinged in the codec of its calls", async (t) => {
  const [left, right] = memoryTransports();
  const errors: unknown[] = [];
  const client = new Peer(qmux(left), {
    codec: cbor(),
    onError: (error) => void errors.push(error),
  });
  const server = new Peer(qmux(right), {
    codecs: [json(), cbor()],
    handler: handlerFrom({ hello: () => "hello" }),
  });
  t.watchBoth(client, server);
  await client.call("hello");
  const { openedByPeer } = rawSession(client.session).channels;
  assertEquals(rawSession(server.session).onSilence!(), true);
  // The ping arrives during these.
  for (let i = 0; i < 5; i++) await client.call("hello");
  assertEquals(
    rawSession(client.session).channels.openedByPeer,
    openedByPeer + 1,
  );
  assertEquals(errors, []);
});

test("keepAlive: a ping has a channel when calls have taken all", async (t) => {
  const time = t.time();
  const { peer, raw } = silent(t, KEEP_ALIVE, { maxChannels: 2 });
  await announce(raw);
  raw.takePending();
  const calls = [1, 2, 3].map(() => peer.call("wait"));
  calls.forEach((call) => call.catch(() => {}));
  for (let i = 0; i < 2; i++) {
    const { sender } = await raw.find("open");
    await raw.send(confirm(sender, 30 + i));
  }
  await pass(time, 1_500);
  const ping = await pingsOf(raw);
  await ping.answer(null);
  await pass(time, 1_500);
  // The last one was answered, so there is room for the next.
  await pingsOf(raw);
});

test("keepAlive: a ping that was not answered makes way for the next", async (t) => {
  const time = t.time();
  const { raw } = silent(t, KEEP_ALIVE);
  await announce(raw);
  raw.takePending();
  await pass(time, 1_500);
  const first = await pingsOf(raw);
  // Other bytes are signs of life as well.
  await announce(raw);
  raw.takePending();
  await pass(time, 1_500);
  assertEquals((await raw.find("close")).recipient, 20);
  await raw.send(close(first.remote));
  await pingsOf(raw);
});

test("keepAlive: calls between two peers are enough to be known, and both live on", async (t) => {
  const time = t.time();
  const session = { keepAlive: KEEP_ALIVE };
  const [client, server] = t.pair({ session }, { session });
  server.handle("hello", handlerFrom(() => "hello"));
  assertEquals(await client.call("hello"), "hello");
  await pass(time, 12_000);
  assertEquals(await client.call("hello"), "hello");
});

test("keepAlive: a ping goes through proxy() to the far end", async (t) => {
  const time = t.time();
  const [near, left] = memoryTransports();
  const [right, far] = memoryTransports();
  const proxied = proxy(qmux(left), qmux(right));
  const client = t.watch(new Peer(qmux(near, { keepAlive: KEEP_ALIVE })));
  const server = t.watch(
    new Peer(qmux(far), { handler: handlerFrom({ hello: () => "hello" }) }),
  );
  assertEquals(await client.call("hello"), "hello");
  await pass(time, 12_000);
  assertEquals(await client.call("hello"), "hello");
  await client.close();
  await server.close();
  await proxied;
});

test("keepAlive: memory, message ports and streams are not watched by default", async (t) => {
  const time = t.time();
  const { peer, raw } = t.scriptedPeer({
    handler: handlerFrom({ hello: () => "hello" }),
  });
  await announce(raw);
  raw.takePending();
  await pass(time, 10_000);
  assertEquals(raw.takePending(), []);
  assertEquals(watch(peer.closed).state, "pending");
});

test("keepAlive: false asks the other side, in Q of both headers, not to ping", async (t) => {
  const { peer, raw } = silent(t, false);
  const call = peer.call("there", []);
  const channel = await rawAccept(raw, 5);
  const [header] = await channel.read(2);
  assertEquals(header, {
    Selector: "there",
    S: "there",
    Q: { v: 1, ping: false, again: true },
  });
  await channel.answer(7);
  assertEquals(await call, 7);
  for (const selector of ["hello", "nothing"]) {
    const incoming = await rawOpen(raw, 6);
    await incoming.values({ Selector: selector, Q: { v: 1 } }, null);
    const [{ Q }] = await incoming.read(2) as [{ Q: { ping: unknown } }];
    assertEquals(Q.ping, false);
    await incoming.close();
  }
});

test("keepAlive: a peer that asks not to be pinged is not, and is not lost", async (t) => {
  const time = t.time();
  const { peer, raw } = silent(t, KEEP_ALIVE);
  await announce(raw, { ping: false });
  raw.takePending();
  await pass(time, 10_000);
  assertEquals(raw.takePending(), []);
  assertEquals(watch(peer.closed).state, "pending");
});

test("keepAlive: what is forwarded does not say who may not be pinged", async (t) => {
  const middle = t.scriptedPeer({ onError() {} });
  const front = t.scriptedPeer({ handler: forward(middle.peer) });
  const call = await rawOpen(front.raw, 9);
  await call.values(
    { Selector: "x", Q: { v: 1, ping: false, other: 1 } },
    null,
  );
  const there = await rawAccept(middle.raw, 7);
  const [header] = await there.read(2);
  assertEquals(header, { Selector: "/x", S: "/x", Q: { v: 1, other: 1 } });
  const Q = { v: 1, ping: false, other: 2 };
  await there.values({ Error: null, Continue: false, Q }, "result");
  await there.eof();
  await there.close();
  assertEquals(await call.read(2), [
    { Error: null, Continue: false, Q: { v: 1, other: 2 } },
    "result",
  ]);
  await call.close();
});

test("keepAlive: a peer that forwards says itself that it may not be pinged", async (t) => {
  const session = { keepAlive: false };
  const middle = t.scriptedPeer({ session, onError() {} });
  const front = t.scriptedPeer({ session, handler: forward(middle.peer) });
  const call = await rawOpen(front.raw, 9);
  await call.values({ Selector: "x", Q: { v: 1 } }, null);
  const there = await rawAccept(middle.raw, 7);
  const [header] = await there.read(2) as [{ Q: unknown }];
  assertEquals(header.Q, { v: 1, ping: false });
  await there.values({ Error: null, Continue: false, Q: { v: 1 } }, "result");
  await there.eof();
  await there.close();
  const [answer] = await call.read(2) as [{ Q: unknown }];
  assertEquals(answer.Q, { v: 1, ping: false });
  await call.close();
});

test("pings: they are answered when no call is, and reach no handler", async (t) => {
  const selectors: string[] = [];
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const handler: Handler = async (call) => {
    selectors.push(call.selector);
    started.resolve();
    await finish.promise;
  };
  const [client, server] = t.pair({}, {
    handler,
    maxConcurrentCalls: 1,
    maxQueuedCalls: 0,
  });
  server.handle("/_qtalk/", handler);
  const running = client.call("work");
  await started.promise;
  await assertRejects(() => client.call("more"), Error, "busy");
  assertEquals(await client.call(PING), null);
  assertEquals(await client.call("_qtalk.ping"), null);
  const closed = server.close({ drainTimeout: 10_000 });
  await assertRejects(() => client.call("more"), Error, "unavailable");
  assertEquals(await client.call(PING), null);
  finish.resolve();
  await running;
  await closed;
  assertEquals(selectors, ["/work"]);
});

test("pings: they are answered before onPeer has admitted the peer", async (t) => {
  const admitted = Promise.withResolvers<void>();
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", { onPeer: () => admitted.promise }),
  );
  const client = t.watch(await dial(listener.addr));
  assertEquals(await within(client.call(PING), "the answer"), null);
  admitted.resolve();
});

test("pings: forward() does not pass them on", async (t) => {
  const [middle, backend] = t.pair();
  const [client] = t.pair({}, { handler: forward(middle) });
  const calls: string[] = [];
  backend.handle("/", (call, respond) => {
    calls.push(call.selector);
    return respond.return();
  });
  assertEquals(await client.call(PING), null);
  assertEquals(await client.call("other"), null);
  assertEquals(calls, ["/other"]);
});

test("Peer.rtt: it is known when a channel has been opened, and in milliseconds", async (t) => {
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", {
      handler: handlerFrom({ hello: () => "hello" }),
    }),
  );
  const client = t.watch(await dial(listener.addr));
  assertEquals(client.rtt, undefined);
  assertEquals(await client.call("hello"), "hello");
  assert(client.rtt! > 0 && client.rtt! < 5_000, `${client.rtt}`);
});

Deno.test("keepAlive: a wrong option is an error that says so", () => {
  const [transport] = memoryTransports();
  for (const keepAlive of [{ interval: 0 }, { timeout: 2 ** 31 }, 5, null]) {
    let error: unknown;
    try {
      qmux(transport, { keepAlive: keepAlive as never });
    } catch (thrown) {
      error = thrown;
    }
    const isTime = typeof keepAlive === "object" && keepAlive !== null;
    assertInstanceOf(error, isTime ? RangeError : TypeError);
    assert(/^Cannot use option "/.test(error.message), error.message);
  }
});

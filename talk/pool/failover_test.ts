import {
  type Callback,
  CallError,
  handlerFrom,
  MuxError,
  RemoteError,
  RpcError,
  withCall,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { ABC, PoolWorld } from "../../tests/support/pool_world.ts";
import { watch } from "../../tests/support/within.ts";

for (const code of ["busy", "unavailable"]) {
  test(`pool: a call that is refused with ${code} goes to another member`, async (t) => {
    const world = new PoolWorld(t, ABC);
    await world.connected(3);
    world.server(ABC[0]!).answer = () => new CallError("later", { code });
    for (let i = 0; i < 6; i++) {
      assertEquals(await world.pool.call("echo", i), i);
    }
    // It is the last choice for a while.
    assertEquals(world.counts[0], 1);
    world.pass(1_000);
    for (let i = 0; i < 3; i++) await world.pool.call("echo", i);
    assertEquals(world.counts[0], 2);
  });
}

test("pool: a member that says when to come back is the last choice until then", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  world.server(ABC[0]!).answer = () =>
    new CallError("later", { code: "busy", details: { retryAfter: 5_000 } });
  for (let i = 0; i < 4; i++) await world.pool.call("echo", i);
  world.pass(4_999);
  for (let i = 0; i < 4; i++) await world.pool.call("echo", i);
  assertEquals(world.counts[0], 1);
  world.pass(1);
  for (let i = 0; i < 2; i++) await world.pool.call("echo", i);
  assertEquals(world.counts[0], 2);
});

test("pool: if all refuse a call, it rejects with the latest refusal", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  for (const address of ABC) {
    world.server(address).answer = () => new CallError("no", { code: "busy" });
  }
  const error = await assertRejects(() => world.pool.call("x"), RemoteError);
  assertEquals(error.code, "busy");
  assertEquals(world.counts, [1, 1, 1]);
});

test("pool: a call that may have begun is never sent again", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const call = watch(world.pool.call("wait"));
  const server = world.server(ABC[0]!);
  await world.until("the call has begun", () => server.pending.length === 1);
  await server.lose();
  await world.until("the call ends", () => call.state !== "pending");
  assertInstanceOf(call.reason, MuxError);
  assertEquals(call.reason.code, "connection-lost");
  assert(
    call.reason.message.includes(`"tcp://a:1"`),
    call.reason.message,
  );
  assertEquals(world.counts, [1, 0, 0]);

  for (const answer of [new CallError("no"), new TypeError("bug")]) {
    world.servers.forEach((one) => one.answer = () => answer);
    const before = world.counts.reduce((sum, n) => sum + n);
    await assertRejects(() => world.pool.call("x"), RemoteError);
    assertEquals(world.counts.reduce((sum, n) => sum + n), before + 1);
  }
});

test("pool: a lost member gets no calls, and gets them again after it has reconnected", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  const server = world.server(ABC[0]!);
  await server.lose();
  await world.connected(1);
  for (let i = 0; i < 4; i++) await world.pool.call("echo", i);
  assertEquals(world.counts, [0, 4]);
  server.isUp = true;
  world.pass(100);
  await world.connected(2);
  for (let i = 0; i < 4; i++) await world.pool.call("echo", i);
  assertEquals(world.counts, [2, 6]);
});

test("pool: a call that waits for a channel when the connection is lost goes elsewhere", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  const [member] = world.pool.members;
  // As the client does it: its session has ended, and the pool does not know yet.
  const { peer } = member!;
  const call = world.pool.call("echo", 1);
  await call;
  const closed = peer!.session.close();
  assertEquals(await world.pool.call("echo", 2), 2);
  assertEquals(await world.pool.call("echo", 3), 3);
  await closed;
});

test("pool: without a connection, calls wait for one", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  ABC.forEach((address) => world.server(address).isUp = false);
  const calls = [1, 2].map((n) => world.pool.call("echo", n));
  await world.until(
    "both have failed",
    () => world.pool.members.every(({ state }) => state.name === "waiting"),
  );
  world.server(ABC[1]!).isUp = true;
  world.pass(100);
  assertEquals(await Promise.all(calls), [1, 2]);
});

test("pool: no more than maxWaitingCalls calls wait, within their timeout and signal", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 1), { maxWaitingCalls: 2 });
  world.server(ABC[0]!).isUp = false;
  const stop = new AbortController();
  const { signal } = stop;
  const waiting = assertRejects(
    () => world.pool.call("echo", 1, { signal }),
    Error,
    "enough",
  );
  const late = assertRejects(
    () => world.pool.call("echo", 1, { timeout: 5 }),
    RpcError,
    `within 5 ms`,
  );
  await assertRejects(
    () => world.pool.call("echo", 1),
    MuxError,
    `the limit of "maxWaitingCalls"`,
  );
  stop.abort(new Error("enough"));
  await waiting;
  await late;
});

test("pool: the timeout of a call is for all members together", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const seen: unknown[] = [];
  for (const address of ABC) {
    world.server(address).answer = () => {
      seen.push(address);
      world.time += 400;
      return new CallError("no", { code: "busy" });
    };
  }
  await assertRejects(
    () => world.pool.call("x", null, { timeout: 700 }),
    RemoteError,
    "no",
  );
  assertEquals(seen.length, 2);
});

test("pool: a call with a stream among its arguments goes to one member only", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  for (const address of ABC) {
    world.server(address).answer = () => new CallError("no", { code: "busy" });
  }
  for (
    const args of [
      ReadableStream.from([1]),
      [ReadableStream.from([1])],
      [{ body: ReadableStream.from([1]) }],
    ]
  ) {
    const before = world.counts.reduce((sum, n) => sum + n);
    await assertRejects(() => world.pool.call("x", args), RemoteError);
    assertEquals(world.counts.reduce((sum, n) => sum + n), before + 1);
  }
});

test("pool: functions among the arguments, and metadata, go along to the next member", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  world.server(ABC[0]!).answer = () => new CallError("no", { code: "busy" });
  const [far] = world.server(ABC[1]!).peers;
  const seen: unknown[] = [];
  far!.handle(
    "ask",
    handlerFrom(withCall(async (call, ask: Callback<() => string>) => {
      seen.push(call.meta.token);
      return await ask();
    })),
  );
  const api = world.pool.remote<
    { ask(ask: Callback<() => string>): Promise<string> }
  >({ meta: { token: "secret" } });
  assertEquals(await api.ask(() => "here"), "here");
  assertEquals(seen, ["secret"]);
  assertEquals(world.counts, [1, 0]);
});

test("pool: maxFailovers bounds how many members refuse one call", async (t) => {
  const world = new PoolWorld(t, ABC, { maxFailovers: 1 });
  await world.connected(3);
  for (const address of ABC) {
    world.server(address).answer = () => new CallError("no", { code: "busy" });
  }
  await assertRejects(() => world.pool.call("x"), RemoteError);
  assertEquals(world.counts.reduce((sum, n) => sum + n), 2);
});

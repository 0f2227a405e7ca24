import { type Callback, handlerFrom, MuxError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { ABC, ended, PoolWorld } from "../../tests/support/pool_world.ts";
import { turn, watch } from "../../tests/support/within.ts";
import type { PeerPool } from "./types.ts";

test("pool: calls go to its members by turns if none is busy", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  for (let i = 0; i < 9; i++) {
    assertEquals(await world.pool.call("echo", i), i);
  }
  assertEquals(world.counts, [3, 3, 3]);
});

test("pool: a call goes to the member with the fewest calls in flight", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const [first, second] = world.pool.members;
  const slow = [1, 2, 3].map(() => world.pool.call("wait"));
  await world.until(
    "all three wait",
    () => world.counts.join() === "1,1,1",
  );
  world.server(first!.address).pending[0]!.resolve("done");
  await slow[0];
  assertEquals(world.pool.members.map((one) => one.inFlight), [0, 1, 1]);
  for (let i = 0; i < 4; i++) await world.pool.call("echo", i);
  assertEquals(world.counts, [5, 1, 1]);
  world.server(second!.address).pending[0]!.resolve("done");
  await slow[1];
  await ended(slow, world);
});

test("pool: a stream counts as in flight until it ends", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  const response = await world.pool.request("stream");
  assertEquals(response.value, "begun");
  assertEquals(world.pool.members.map((one) => one.inFlight), [1, 0]);
  for (let i = 0; i < 3; i++) await world.pool.call("echo", i);
  assertEquals(world.counts, [1, 3]);
  await response.close();
  await world.until(
    "nothing in flight",
    () => world.pool.members.every((one) => one.inFlight === 0),
  );
});

test("pool: balance can be round-robin, or a function that chooses", async (t) => {
  const turns = new PoolWorld(t, ABC.slice(0, 2), { balance: "round-robin" });
  await turns.connected(2);
  const slow = turns.pool.call("wait");
  for (let i = 0; i < 3; i++) await turns.pool.call("echo", i);
  assertEquals(turns.counts, [2, 2]);
  await ended([slow], turns);

  const chosen = new PoolWorld(t, ABC, {
    balance: (members, { args }) => members[args as number]!,
  });
  await chosen.connected(3);
  await chosen.pool.call("echo", 2);
  await chosen.pool.call("echo", 2);
  await chosen.pool.call("echo", 0);
  assertEquals(ABC.map((one) => chosen.server(one).calls.length), [1, 0, 2]);
  await assertRejects(
    () => chosen.pool.call("echo", 7),
    TypeError,
    `"balance" returned none`,
  );
});

test("pool: handlers, also those of callbacks, answer the calls of every member", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2), {
    handler: handlerFrom(() => "fallback"),
  });
  const log: string[] = [];
  const pool: PeerPool = world.pool;
  pool.use(async (call, next) => {
    log.push(call.selector);
    return await next();
  });
  using _ = world.pool.handle(
    "hello",
    handlerFrom((n: string) => `hello ${n}`),
  );
  await world.connected(2);
  for (const address of ABC.slice(0, 2)) {
    const [far] = world.server(address).peers;
    assertEquals(await far!.call("hello", ["Ann"]), "hello Ann");
    assertEquals(await far!.call("other", []), "fallback");
  }
  assertEquals(log, ["/hello", "/other", "/hello", "/other"]);
  for (const { peers } of world.servers.values()) {
    peers[0]!.handle(
      "twice",
      handlerFrom((fn: Callback<(n: number) => number>) => fn(4)),
    );
  }
  const api = world.pool.remote<
    { twice(fn: Callback<(n: number) => number>): Promise<number> }
  >();
  assertEquals(await api.twice((n) => 2 * n), 8);
  assertEquals(await api.twice((n) => 3 * n), 12);
});

test("pool: onConnect finishes before calls of the pool, on every connection", async (t) => {
  const names: string[] = [];
  const world = new PoolWorld(t, ABC.slice(0, 1), {
    async onConnect(peer, member) {
      names.push(member.address);
      await peer.call("login");
    },
  });
  await world.pool.call("echo", 1);
  assertEquals(world.server(ABC[0]!).calls, ["/login", "/echo"]);
  await world.server(ABC[0]!).lose({ stays: true });
  await world.until("it waits", () => world.states.at(-1)!.includes("waiting"));
  world.pass(100);
  await world.pool.call("echo", 1);
  assertEquals(names, [ABC[0], ABC[0]]);
});

test("pool: errors and members have no secrets of an address", async (t) => {
  const world = new PoolWorld(t, ["ws://ann:secret@a:1/x?token=secret"]);
  await world.connected(1);
  const [member] = world.pool.members;
  assertEquals(member!.address, "ws://…@a:1/x?…");
  const call = assertRejects(() => world.pool.call("wait"), MuxError);
  const server = [...world.servers.values()][0]!;
  await world.until("it has begun", () => server.pending.length === 1);
  await server.lose({ stays: true });
  const { message } = await call;
  assert(message.includes(`at "ws://…@a:1/x?…"`), message);
});

test("pool: close() ends waiting calls, members and the questions", async (t) => {
  let signal: AbortSignal | undefined;
  const world = new PoolWorld(t, (options) => {
    signal = options.signal;
    return new Promise(() => {});
  });
  const call = assertRejects(() => world.pool.call("echo", 1), MuxError);
  await turn();
  await world.pool.close();
  await world.pool.closed;
  assert(signal!.aborted);
  assertEquals((await call).code, "session-closed");
  const late = await assertRejects(() => world.pool.call("x"), MuxError);
  assertEquals(
    late.message,
    'Cannot make call "x": the pool is closed',
  );
  assertThrows(() => world.pool.handle("x", () => {}), TypeError, "closed");
  await world.pool.close();
});

test("pool: close() with drainTimeout lets calls in progress end", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  const calls = [1, 2].map(() => world.pool.call("wait"));
  await world.until("they have begun", () => world.counts.join() === "1,1");
  const closed = watch(world.pool.close({ drainTimeout: Infinity }));
  await turn();
  assertEquals(closed.state, "pending");
  await ended(calls, world);
  assertEquals(await Promise.all(calls), ["done", "done"]);
  await world.pool.closed;
});

test("pool: connected() gives a peer, for calls that belong together", async (t) => {
  const world = new PoolWorld(t, ABC);
  const peer = await world.pool.connected();
  await peer.call("echo", 1);
  await peer.call("echo", 2);
  assertEquals(world.counts.filter((count) => count > 0), [2]);
  await assertRejects(
    () => world.pool.connected({ signal: AbortSignal.abort(new Error("no")) }),
    Error,
    "no",
  );
});

test("pool: options of the wrong type or out of range are refused", (t) => {
  for (const balance of ["random", 5, null]) {
    assertThrows(
      () => new PoolWorld(t, ABC, { balance: balance as never }),
      TypeError,
      `Cannot use option "balance"`,
    );
  }
  assertThrows(() => new PoolWorld(t, ABC, { maxMembers: 0 }), RangeError);
  assertThrows(() => new PoolWorld(t, ABC, { minDelay: -1 }), RangeError);
});

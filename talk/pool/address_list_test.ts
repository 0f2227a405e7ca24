import { TalkError } from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { ABC, ended, PoolWorld } from "../../tests/support/pool_world.ts";
import { turn } from "../../tests/support/within.ts";

test("pool: a function that lists addresses is asked again, and members come and go", async (t) => {
  let list = ["tcp://a:1", "tcp://b:1"];
  const world = new PoolWorld(t, () => list);
  await world.connected(2);
  list = ["tcp://b:1", "tcp://c:1"];
  world.pass(5_000);
  await world.until(
    "c has come",
    () => world.states.includes("tcp://c:1 connected"),
  );
  await world.until(
    "a has gone",
    () => world.states.includes("tcp://a:1 closed"),
  );
  assertEquals(
    world.pool.members.map(({ address }) => address),
    ["tcp://b:1", "tcp://c:1"],
  );
  assertEquals(world.states.filter((state) => state.includes("b:1")), [
    "tcp://b:1 connecting",
    "tcp://b:1 connected",
  ]);
});

test("pool: a lost connection is a reason to ask for the addresses at once", async (t) => {
  let asked = 0;
  let list = ["tcp://a:1"];
  const world = new PoolWorld(t, () => {
    asked++;
    return Promise.resolve(list);
  });
  await world.connected(1);
  assertEquals(asked, 1);
  list = ["tcp://b:1"];
  await world.server("tcp://a:1").lose();
  assertEquals(await world.pool.call("echo", 1), 1);
  assertEquals(asked, 2);
  assertEquals(world.counts, [0, 1]);
});

test("pool: an async iterable says which addresses there are", async (t) => {
  const { readable, writable } = new TransformStream<string[], string[]>();
  const writer = writable.getWriter();
  const world = new PoolWorld(t, readable);
  await writer.write(["tcp://a:1"]);
  await world.connected(1);
  await writer.write(["tcp://b:1", "tcp://c:1"]);
  await world.until("a has gone", () => {
    return world.states.includes("tcp://a:1 closed");
  });
  await world.connected(2);
  // At its end, the latest list stays.
  await writer.close();
  assertEquals(await world.pool.call("echo", 1), 1);
  await world.pool.close();
});

test("pool: a list that fails is reported, and the members stay", async (t) => {
  let failure: unknown;
  const world = new PoolWorld(t, () => {
    if (failure !== undefined) throw failure;
    return ["tcp://a:1"];
  });
  await world.connected(1);
  failure = new Error("the store is away");
  world.pass(5_000);
  await world.until("it is reported", () => world.errors.length > 0);
  assertStrictEquals(world.errors[0], failure);
  assertEquals(await world.pool.call("echo", 1), 1);
  failure = undefined;
  world.pass(5_000);
  await turn();
});

test("pool: what is no list of texts is refused", async (t) => {
  for (const wrong of [[1], [undefined], ["tcp://a:1", null]]) {
    assertThrows(
      () => new PoolWorld(t, wrong as string[]),
      TypeError,
      "they must be an array of strings, one of them is",
    );
  }
  for (const wrong of ["tcp://a:1", 5, null, {}]) {
    assertThrows(
      () => new PoolWorld(t, wrong as never),
      TypeError,
      "Cannot dial",
    );
  }
  const world = new PoolWorld(t, () => "tcp://a:1" as never);
  await world.until("it is reported", () => world.errors.length > 0);
  assertInstanceOf(world.errors[0], TypeError);
});

test("pool: calls of a member that is not listed any more go on, for drainTimeout", async (t) => {
  let list = ["tcp://a:1"];
  const world = new PoolWorld(t, () => list, { drainTimeout: Infinity });
  await world.connected(1);
  const slow = world.pool.call("wait");
  const server = world.server("tcp://a:1");
  await world.until("it has begun", () => server.pending.length === 1);
  list = ["tcp://b:1"];
  world.pass(5_000);
  await world.until("a has left", () => {
    return world.pool.members[0]?.address === "tcp://b:1";
  });
  assertEquals(await world.pool.call("echo", 1), 1);
  assertEquals(world.states.includes("tcp://a:1 closed"), false);
  await ended([slow], world);
  assertEquals(await slow, "done");
  await world.until("a is closed", () => {
    return world.states.includes("tcp://a:1 closed");
  });
});

test("pool: an address that is listed twice has one member", async (t) => {
  const world = new PoolWorld(t, ["tcp://a:1", "tcp://a:1", "tcp://b:1"]);
  await world.connected(2);
  assertEquals(world.pool.members.length, 2);
});

test("pool: maxMembers of a longer list are taken at random, and kept", async (t) => {
  const many = Array.from({ length: 100 }, (_, i) => `tcp://host${i}:1`);
  let list = many;
  const world = new PoolWorld(t, () => list, { maxMembers: 3 });
  world.random = 0.5;
  await world.connected(3);
  const first = world.pool.members.map(({ address }) => address);
  assert(!first.includes("tcp://host0:1"), first.join());
  list = many.toReversed();
  world.random = 0;
  world.pass(5_000);
  await turn();
  assertEquals(world.pool.members.map(({ address }) => address), first);
  list = many.filter((address) => address !== first[0]);
  world.pass(5_000);
  await world.until("one has left", () => {
    return !world.pool.members.some(({ address }) => address === first[0]);
  });
  await world.connected(3);
});

test("pool: a member that is given up is left out, and comes back if it is listed again", async (t) => {
  const world = new PoolWorld(t, () => ["tcp://a:1", "tcp://b:1"]);
  const failure = new TalkError("dial-failed", "Cannot dial: 401", {
    permanent: true,
  });
  world.failures.set("tcp://a:1", failure);
  await world.connected(1);
  await world.until("a is given up", () => world.pool.members.length === 1);
  assertEquals(await world.pool.call("echo", 1), 1);
  world.failures.clear();
  world.pass(5_000);
  await world.connected(2);
});

test("pool: when every address of an array was given up, it ends with the reasons", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  for (const address of ABC) {
    world.failures.set(
      address,
      new TalkError("dial-failed", `Cannot dial "${address}": 401`, {
        permanent: true,
      }),
    );
  }
  const waiting = assertRejects(() => world.pool.call("echo", 1), TalkError);
  const error = await assertRejects(() => world.pool.closed, TalkError);
  assertEquals(
    error.message,
    'Cannot dial pool: every address was given up: Cannot dial "tcp://a:1": 401; Cannot dial "tcp://b:1": 401',
  );
  assert(error.permanent);
  assertInstanceOf(error.cause, AggregateError);
  assertStrictEquals(await waiting, error);
  assertStrictEquals(
    await assertRejects(() => world.pool.call("echo", 1)),
    error,
  );
  assertStrictEquals(await assertRejects(() => world.pool.connected()), error);
});

test("pool: an empty array is refused", async (t) => {
  const world = new PoolWorld(t, []);
  const error = await assertRejects(() => world.pool.closed, TalkError);
  assertEquals(error.code, "bad-address");
});

import {
  type Callback,
  CallError,
  forward,
  type Handler,
  handlerFrom,
  type Peer,
  RemoteError,
  RpcError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { toText } from "@std/streams";
import { type Harness, test } from "../../tests/support/harness.ts";
import { ABC, ended, PoolWorld } from "../../tests/support/pool_world.ts";
import { turn, watch, within } from "../../tests/support/within.ts";

/** Clients of a gateway that forwards to the pool. */
function clientsOf(
  t: Harness,
  world: PoolWorld,
  count = 1,
  handler: Handler = forward(world.pool),
): Peer[] {
  return Array.from({ length: count }, () => t.pair({}, { handler })[0]);
}

/** Answers calls of a selector at every server. */
function handleAll(world: PoolWorld, selector: string, handler: Handler): void {
  for (const { peers } of world.servers.values()) {
    for (const peer of peers) peer.handle(selector, handler);
  }
}

test("forward(): calls go to the members of a pool by its own rule, and count as in flight", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const [client] = clientsOf(t, world);
  for (let i = 0; i < 6; i++) assertEquals(await client!.call("echo", i), i);
  assertEquals(world.counts, [2, 2, 2]);
  const waiting = [1, 2].map(() => client!.call("wait"));
  const inFlight = () => world.pool.members.map((one) => one.inFlight);
  await world.until(
    "two calls in flight",
    () => inFlight().join() === "1,1,0",
  );
  for (let i = 0; i < 3; i++) await client!.call("echo", i);
  assertEquals(world.counts, [3, 3, 5]);
  await ended(waiting, world);
  await world.until("none in flight", () => inFlight().join() === "0,0,0");
});

test("forward(): balance of a pool chooses by the selector, and gets no arguments", async (t) => {
  const seen: unknown[] = [];
  const world = new PoolWorld(t, ABC, {
    balance(members, call) {
      seen.push(call);
      return members.at(-1)!;
    },
  });
  await world.connected(3);
  const [client] = clientsOf(t, world);
  assertEquals(await client!.call("a.echo", 1), 1);
  assertEquals(seen, [{ selector: "/a/echo", args: undefined }]);
  assertEquals(world.server(ABC[2]!).calls, ["/a/echo"]);
});

test("forward(): all kinds of calls work through a pool", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const service = {
    upper: (s: string) => s.toUpperCase(),
    async *count(to: number) {
      for (let n = 1; n <= to; n++) yield n;
    },
    sum: withStream(async (numbers: AsyncIterable<number>) => {
      let sum = 0;
      for await (const n of numbers) sum += n;
      return sum;
    }),
    bytes: () => new TransformStream<Uint8Array, Uint8Array>(),
    upload: (body: ReadableStream<Uint8Array>) => toText(body),
    twice: async (fn: Callback<(n: number) => number>) => await fn(await fn(1)),
    counter: () => {
      let n = 0;
      return () => ++n;
    },
    size: (text: string) => text.length,
  };
  handleAll(world, "all.", handlerFrom(service));
  const [client] = clientsOf(t, world);
  const api = client!.remote<{ all: typeof service }>().all;
  for (let i = 0; i < 3; i++) {
    assertEquals(await api.upper("hi"), "HI");
    assertEquals(await Array.fromAsync(api.count(3)), [1, 2, 3]);
    assertEquals(await api.sum(ReadableStream.from([1, 2, 3])), 6);
    const { readable, writable } = await api.bytes();
    await new Blob(["bytes"]).stream().pipeTo(writable);
    assertEquals(await toText(readable), "bytes");
    assertEquals(await api.upload(new Blob(["up"]).stream()), "up");
    assertEquals(await client!.call("all.twice", [(n: number) => n + 2]), 5);
    const next = await client!.call("all.counter") as Callback<() => number>;
    assertEquals([await next(), await next()], [1, 2]);
    next.release();
    assertEquals(await api.size("x".repeat(900_000)), 900_000);
  }
  assertEquals(client!.callbackCount, 0);
});

for (const code of ["busy", "unavailable"]) {
  test(`forward(): a call that a member refuses with ${code} goes to another one, with all that belongs to it`, async (t) => {
    const world = new PoolWorld(t, ABC);
    await world.connected(3);
    // The first two that are asked.
    for (const address of [ABC[0]!, ABC[2]!]) {
      world.server(address).answer = () => new CallError("later", { code });
    }
    const { peers } = world.server(ABC[1]!);
    peers[0]!.handle(
      "ask",
      handlerFrom(withCall(async (call, ask: Callback<() => string>) => [
        call.meta.token,
        call.deadline !== undefined,
        await ask(),
      ])),
    );
    const [client] = clientsOf(t, world);
    const answer = await client!.call("ask", [() => "here"], {
      meta: { token: "secret" },
      timeout: 60_000,
    });
    assertEquals(answer, ["secret", true, "here"]);
    assertEquals(world.counts, [1, 0, 1]);
    // They are the last choice for a while.
    for (let i = 0; i < 3; i++) assertEquals(await client!.call("echo", i), i);
    assertEquals(world.counts, [1, 3, 1]);
    assertEquals(client!.callbackCount, 0);
    assertEquals(world.pool.members.map((one) => one.inFlight), [0, 0, 0]);
  });
}

test("forward(): a member may refuse a call of a pool before or after it has read the arguments", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  // Larger than a window of these members, and smaller than what is kept.
  const text = "x".repeat(200_000);
  for (const reads of [true, false]) {
    world.pass(60_000);
    let refused = 0;
    for (const address of ABC.slice(0, 2)) {
      const [peer] = world.server(address).peers;
      peer!.handle(`size${reads}`, async (call, respond) => {
        if (refused++ === 0) {
          if (reads) await call.receive();
          throw new CallError("later", { code: "busy" });
        }
        const [received] = await call.receive() as [string];
        await respond.return(received.length);
      });
    }
    const [client] = clientsOf(t, world);
    assertEquals(await client!.call(`size${reads}`, [text]), text.length);
    assertEquals(refused, 2);
  }
});

test("forward(): if all members of a pool refuse a call, its caller gets the latest refusal as it is", async (t) => {
  for (const maxFailovers of [3, 1, 0]) {
    const world = new PoolWorld(t, ABC, { maxFailovers });
    await world.connected(3);
    let count = 0;
    for (const address of ABC) {
      world.server(address).answer = () =>
        new CallError(`no ${++count}`, {
          code: "busy",
          details: { retryAfter: 1_000 * count },
          meta: { from: "server" },
        });
    }
    const [client] = clientsOf(t, world);
    const error = await assertRejects(() => client!.call("x"), RemoteError);
    const tried = Math.min(3, maxFailovers + 1);
    assertEquals(count, tried);
    const { text, code, details, meta } = error;
    assertEquals(
      { text, code, details, meta: { ...meta } },
      {
        text: `no ${tried}`,
        code: "busy",
        details: { retryAfter: 1_000 * tried },
        meta: { from: "server" },
      },
    );
    assertEquals(world.pool.members.map((one) => one.inFlight), [0, 0, 0]);
  }
});

test("forward(): a call of a pool that may have begun, or has a stream, is not sent again", async (t) => {
  const world = new PoolWorld(t, ABC);
  await world.connected(3);
  const [client] = clientsOf(t, world);
  const call = watch(client!.call("wait"));
  const server = world.server(ABC[0]!);
  await world.until("the call has begun", () => server.pending.length === 1);
  await server.lose();
  await world.until("the call ends", () => call.state !== "pending");
  assertInstanceOf(call.reason, RemoteError);
  assertEquals(call.reason.code, "connection-lost");
  // Addresses are of no concern to clients.
  assert(!call.reason.message.includes("tcp:"), call.reason.message);
  assertEquals(world.counts, [1, 0, 0]);

  const total = () => world.counts.reduce((sum, n) => sum + n);
  for (const answer of [new CallError("no"), new TypeError("bug")]) {
    world.servers.forEach((one) => one.answer = () => answer);
    const before = total();
    await assertRejects(() => client!.call("x"), RemoteError);
    assertEquals(total(), before + 1);
  }
  const busy = new CallError("no", { code: "busy" });
  world.servers.forEach((one) => one.answer = () => busy);
  let read = 0;
  handleAll(world, "read", async (call) => {
    read++;
    await call.receive();
    throw busy;
  });
  // What was sent is no longer known.
  const large = ["x".repeat(400_000)];
  await assertRejects(() => client!.call("read", large), RemoteError, "no");
  assertEquals(read, 1);
  for (
    const args of [
      ReadableStream.from([1]),
      [ReadableStream.from([1])],
      [{ body: new Blob(["x"]).stream() }],
    ]
  ) {
    const before = total();
    await assertRejects(() => client!.call("x", args), RemoteError, "no");
    assertEquals(total(), before + 1);
  }
});

test("forward(): a stream stays with its member of a pool, and looks cut if that is lost", async (t) => {
  let target = 0;
  const world = new PoolWorld(t, ABC, {
    balance: (members) =>
      members.find(({ address }) => address === ABC[target])!,
  });
  await world.connected(3);
  const service = {
    async *endless() {
      for (let n = 0;; n++) {
        yield n;
        await turn();
      }
    },
    bytes: () =>
      new ReadableStream<Uint8Array<ArrayBuffer>>({
        async pull(controller) {
          await turn();
          controller.enqueue(new Uint8Array(10));
        },
      }),
    load: () => ({ body: service.bytes() }),
  };
  handleAll(world, "s.", handlerFrom(service));
  const [client] = clientsOf(t, world);
  let read = 0;
  const readAll = async (values: AsyncIterable<unknown>) => {
    for await (const _ of values) read++;
  };
  const values = async () =>
    await readAll(await client!.request("s.endless", []));
  const bytes = async () => {
    await using response = await client!.request("s.bytes", []);
    await readAll(response.channel!.readable);
  };
  const nested = async () => {
    const { body } = await client!.call("s.load", []) as {
      body: ReadableStream<Uint8Array>;
    };
    await readAll(body);
  };
  for (const kind of [values, bytes, nested]) {
    read = 0;
    const reading = watch(kind());
    await world.until("the stream has begun", () => read > 3);
    assertEquals(reading.state, "pending");
    const server = world.server(ABC[target]!);
    const member = world.pool.members[target]!;
    if (kind !== nested) assertEquals(member.inFlight, 1);
    await server.lose();
    await world.until("the stream ends", () => reading.state !== "pending");
    assertEquals(reading.state, "rejected", `${kind.name} looks complete`);
    await world.until("it is not in flight", () => member.inFlight === 0);
    target++;
  }
});

test("forward(): what a lost member of a pool had lent is not found, at no other member either", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2));
  await world.connected(2);
  handleAll(world, "counter", handlerFrom(() => () => 1));
  const [client] = clientsOf(t, world);
  const [first, second] = [
    await client!.call("counter") as Callback<() => number>,
    await client!.call("counter") as Callback<() => number>,
  ];
  await world.server(ABC[0]!).lose();
  await world.connected(1);
  const error = await assertRejects(async () => await first(), RemoteError);
  assertEquals(error.code, "not-found");
  assertEquals(await second(), 1);
  await world.server(ABC[1]!).lose();
  await world.connected(0);
  // Without any member it would wait for one.
  await assertRejects(async () => await second(), RemoteError, "not found");
  first.release();
  second.release();
  assertEquals(world.counts, [0, 0]);
});

test("forward(): a call to a pool waits for a connection, as long as its caller and its deadline let it", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 2), { maxWaitingCalls: 3 });
  ABC.forEach((address) => world.server(address).isUp = false);
  const forwarding = forward(world.pool);
  let arrived = 0;
  let ended = 0;
  const clients = clientsOf(t, world, 3, async (call, respond) => {
    arrived++;
    try {
      await forwarding(call, respond);
    } finally {
      ended++;
    }
  });
  const [client] = clients;
  await world.until("no connection", () => world.states.length >= 4);

  const clock = t.time();
  const late = watch(client!.call("echo", 1, { timeout: 1_000 }));
  await world.until("it waits", () => arrived === 1);
  clock.tick(1_000);
  await world.until("it waits no more", () => ended === 1);
  await world.until("it is late", () => late.state !== "pending");
  assertInstanceOf(late.reason, RpcError);
  assertEquals(late.reason.code, "timeout");

  const stop = new AbortController();
  const given = watch(client!.call("echo", 1, { signal: stop.signal }));
  const calls = clients.slice(1).map((one, i) => one.call("echo", i));
  // Sessions are not read in the order in which they were written to.
  await world.until("three wait", () => arrived === 4);
  const full = watch(clients[1]!.call("x"));
  await world.until("one is refused", () => full.state !== "pending");
  assertInstanceOf(full.reason, RemoteError);
  assertEquals(full.reason.code, "limit-exceeded");
  stop.abort(new Error("enough"));
  await world.until("given up", () => given.state === "rejected");

  ABC.slice(0, 2).forEach((address) => world.server(address).isUp = true);
  world.pass(1_000);
  assertEquals(await Promise.all(calls), [0, 1]);
  await world.pool.close();
  const closed = await assertRejects(() => client!.call("x"), RemoteError);
  assertEquals(
    closed.text,
    'Cannot forward call "/x": Cannot make call "/x": the pool is closed',
  );
  assertEquals(closed.code, "session-closed");
});

test("forward(): when its caller gives a call to a pool up, the member learns of it", async (t) => {
  const world = new PoolWorld(t, ABC.slice(0, 1));
  await world.connected(1);
  const [client] = clientsOf(t, world);
  const stop = new AbortController();
  const call = watch(client!.call("wait", [], { signal: stop.signal }));
  const server = world.server(ABC[0]!);
  await world.until("the call has begun", () => server.pending.length === 1);
  const [pending] = server.pending;
  stop.abort(new Error("enough"));
  assertEquals(await within(pending!.promise, "the end of the call"), null);
  await world.until("given up", () => call.state === "rejected");
  await world.until(
    "none in flight",
    () => world.pool.members[0]!.inFlight === 0,
  );
});

test("forward(): the members of a pool together are the room for calls, and another member is more of it", async (t) => {
  let addresses = ABC.slice(0, 1);
  const world = new PoolWorld(t, () => addresses);
  await world.connected(1);
  const [client] = t.pair({}, {
    handler: forward(world.pool, { maxConcurrentCalls: 2 }),
  });
  const calls = [1, 2, 3].map(() => client.call("wait"));
  const begun = () =>
    [...world.servers.values()].reduce((n, one) => n + one.pending.length, 0);
  // A client alone gets half of the room.
  await world.until("one call has begun", () => begun() === 1);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(begun(), 1);
  addresses = ABC.slice(0, 2);
  world.pass(60_000);
  await world.connected(2);
  await world.until("another call has begun", () => begun() === 2);
  await world.until("the rest", () => {
    world.servers.forEach(({ pending }) =>
      pending.forEach(({ resolve }) => resolve("done"))
    );
    return begun() === 3;
  });
  await ended(calls, world);
});

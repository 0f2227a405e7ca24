import {
  type Callback,
  CallError,
  forward,
  type Handler,
  handlerFrom,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
  TalkError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { toText } from "@std/streams";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { Pool } from "./pool.ts";
import type { PeerPool, PoolAddresses, PoolOptions } from "./types.ts";

/** A server at an address, through all its connections. */
class Server {
  /** The far ends of its connections. */
  readonly peers: Peer[] = [];
  isUp = true;
  readonly calls: string[] = [];
  /** Answers its calls, if it is not the usual handler. */
  answer: ((selector: string) => unknown) | undefined;
  /** Calls of `wait` that it has not answered. */
  readonly pending: PromiseWithResolvers<unknown>[] = [];

  readonly handler: Handler = async (call, respond) => {
    this.calls.push(call.selector);
    const answered = await this.answer?.(call.selector);
    if (answered !== undefined) return await respond.return(answered);
    if (call.selector === "/wait") {
      const pending = Promise.withResolvers<unknown>();
      this.pending.push(pending);
      call.signal.addEventListener("abort", () => pending.resolve(null));
      return await respond.return(await pending.promise);
    }
    if (call.selector === "/stream") {
      const channel = await respond.continue("begun");
      call.signal.addEventListener("abort", () => channel.close());
      return;
    }
    await respond.return(await call.receive());
  };

  /** Loses its connections; the next attempts fail if it stays down. */
  async lose({ stays = false } = {}): Promise<void> {
    this.isUp = stays;
    await Promise.all(this.peers.splice(0).map((peer) => peer.close()));
  }
}

/** A pool whose servers and clock belong to the test. */
class World {
  readonly servers = new Map<string, Server>();
  readonly pool: Pool;
  readonly states: string[] = [];
  readonly errors: unknown[] = [];
  /** Errors that attempts fail with, by address. */
  readonly failures = new Map<string, unknown>();
  time = 0;
  random = 0;
  readonly #waits = new Set<{ at: number; resolve: () => void }>();

  constructor(
    t: Harness,
    addresses: PoolAddresses,
    options: PoolOptions = {},
  ) {
    this.pool = new Pool(
      addresses,
      {
        ...options,
        onState: (member) => {
          this.states.push(`${member.address} ${member.state.name}`);
          options.onState?.(member);
        },
      },
      {
        dial: async (address, handler, signal) => {
          await turn();
          signal.throwIfAborted();
          const failure = this.failures.get(address);
          if (failure !== undefined) throw failure;
          const server = this.server(address);
          if (!server.isUp) {
            throw new TalkError(
              "dial-failed",
              `Cannot dial "${address}": refused`,
            );
          }
          const [near, far] = t.pair({ handler }, { handler: server.handler });
          server.peers.push(far);
          return near;
        },
        report: (error) => this.errors.push(error),
        wait: (ms, signal) =>
          new Promise((resolve) => {
            const wait = { at: this.time + ms, resolve };
            this.#waits.add(wait);
            const end = () => {
              this.#waits.delete(wait);
              resolve();
            };
            signal.addEventListener("abort", end, { once: true });
            if (signal.aborted) end();
          }),
        now: () => this.time,
        random: () => this.random,
      },
    );
    t.defer(() => this.pool.close());
  }

  server(address: string): Server {
    let server = this.servers.get(address);
    if (server === undefined) {
      this.servers.set(address, server = new Server());
    }
    return server;
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.time += ms;
    for (const wait of [...this.#waits]) {
      if (wait.at > this.time) continue;
      this.#waits.delete(wait);
      wait.resolve();
    }
  }

  /** Waits until something is so. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    await until(isSo, `${what}; ${this.states.join(", ")}`);
  }

  /** Waits until so many members are connected. */
  connected(count: number): Promise<void> {
    return this.until(
      `${count} connected members`,
      () =>
        this.pool.members.filter((one) => one.peer !== undefined).length ===
          count,
    );
  }

  /** How many calls each server has got. */
  get counts(): number[] {
    return [...this.servers.values()].map(({ calls }) => calls.length);
  }
}

const ABC = ["tcp://a:1", "tcp://b:1", "tcp://c:1"];

/** What waits for the end of a call that never ends by itself. */
async function ended(calls: Promise<unknown>[], world: World): Promise<void> {
  for (const { pending } of world.servers.values()) {
    pending.forEach(({ resolve }) => resolve("done"));
  }
  await Promise.all(calls);
}

test("pool: calls go to its members by turns if none is busy", async (t) => {
  const world = new World(t, ABC);
  await world.connected(3);
  for (let i = 0; i < 9; i++) {
    assertEquals(await world.pool.call("echo", i), i);
  }
  assertEquals(world.counts, [3, 3, 3]);
});

test("pool: a call goes to the member with the fewest calls in flight", async (t) => {
  const world = new World(t, ABC);
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
  const world = new World(t, ABC.slice(0, 2));
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
  const turns = new World(t, ABC.slice(0, 2), { balance: "round-robin" });
  await turns.connected(2);
  const slow = turns.pool.call("wait");
  for (let i = 0; i < 3; i++) await turns.pool.call("echo", i);
  assertEquals(turns.counts, [2, 2]);
  await ended([slow], turns);

  const chosen = new World(t, ABC, {
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

for (const code of ["busy", "unavailable"]) {
  test(`pool: a call that is refused with ${code} goes to another member`, async (t) => {
    const world = new World(t, ABC);
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC);
  await world.connected(3);
  for (const address of ABC) {
    world.server(address).answer = () => new CallError("no", { code: "busy" });
  }
  const error = await assertRejects(() => world.pool.call("x"), RemoteError);
  assertEquals(error.code, "busy");
  assertEquals(world.counts, [1, 1, 1]);
});

test("pool: maxFailovers bounds how many members refuse one call", async (t) => {
  const world = new World(t, ABC, { maxFailovers: 1 });
  await world.connected(3);
  for (const address of ABC) {
    world.server(address).answer = () => new CallError("no", { code: "busy" });
  }
  await assertRejects(() => world.pool.call("x"), RemoteError);
  assertEquals(world.counts.reduce((sum, n) => sum + n), 2);
});

test("pool: a call that may have begun is never sent again", async (t) => {
  const world = new World(t, ABC);
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC.slice(0, 1), { maxWaitingCalls: 2 });
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
  const world = new World(t, ABC);
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
  const world = new World(t, ABC);
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
  const world = new World(t, ABC.slice(0, 2));
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

test("pool: handlers, also those of callbacks, answer the calls of every member", async (t) => {
  const world = new World(t, ABC.slice(0, 2), {
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

test("pool: a function that lists addresses is asked again, and members come and go", async (t) => {
  let list = ["tcp://a:1", "tcp://b:1"];
  const world = new World(t, () => list);
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
  const world = new World(t, () => {
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
  const world = new World(t, readable);
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
  const world = new World(t, () => {
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
      () => new World(t, wrong as string[]),
      TypeError,
      "they must be an array of strings, one of them is",
    );
  }
  for (const wrong of ["tcp://a:1", 5, null, {}]) {
    assertThrows(() => new World(t, wrong as never), TypeError, "Cannot dial");
  }
  const world = new World(t, () => "tcp://a:1" as never);
  await world.until("it is reported", () => world.errors.length > 0);
  assertInstanceOf(world.errors[0], TypeError);
});

test("pool: calls of a member that is not listed any more go on, for drainTimeout", async (t) => {
  let list = ["tcp://a:1"];
  const world = new World(t, () => list, { drainTimeout: Infinity });
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
  const world = new World(t, ["tcp://a:1", "tcp://a:1", "tcp://b:1"]);
  await world.connected(2);
  assertEquals(world.pool.members.length, 2);
});

test("pool: maxMembers of a longer list are taken at random, and kept", async (t) => {
  const many = Array.from({ length: 100 }, (_, i) => `tcp://host${i}:1`);
  let list = many;
  const world = new World(t, () => list, { maxMembers: 3 });
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
  const world = new World(t, () => ["tcp://a:1", "tcp://b:1"]);
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, []);
  const error = await assertRejects(() => world.pool.closed, TalkError);
  assertEquals(error.code, "bad-address");
});

test("pool: onConnect finishes before calls of the pool, on every connection", async (t) => {
  const names: string[] = [];
  const world = new World(t, ABC.slice(0, 1), {
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
  const world = new World(t, ["ws://ann:secret@a:1/x?token=secret"]);
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
  const world = new World(t, (options) => {
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC);
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
      () => new World(t, ABC, { balance: balance as never }),
      TypeError,
      `Cannot use option "balance"`,
    );
  }
  assertThrows(() => new World(t, ABC, { maxMembers: 0 }), RangeError);
  assertThrows(() => new World(t, ABC, { minDelay: -1 }), RangeError);
});

/** Clients of a gateway that forwards to the pool. */
function clientsOf(
  t: Harness,
  world: World,
  count = 1,
  handler: Handler = forward(world.pool),
): Peer[] {
  return Array.from({ length: count }, () => t.pair({}, { handler })[0]);
}

/** Answers calls of a selector at every server. */
function handleAll(world: World, selector: string, handler: Handler): void {
  for (const { peers } of world.servers.values()) {
    for (const peer of peers) peer.handle(selector, handler);
  }
}

test("forward(): calls go to the members of a pool by its own rule, and count as in flight", async (t) => {
  const world = new World(t, ABC);
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
  const world = new World(t, ABC, {
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
  const world = new World(t, ABC);
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
    const world = new World(t, ABC);
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
  const world = new World(t, ABC.slice(0, 2));
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
    const world = new World(t, ABC, { maxFailovers });
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
  const world = new World(t, ABC);
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
  const world = new World(t, ABC, {
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
  const world = new World(t, ABC.slice(0, 2));
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
  const world = new World(t, ABC.slice(0, 2), { maxWaitingCalls: 3 });
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

  const late = await assertRejects(
    () => client!.call("echo", 1, { timeout: 30 }),
    RpcError,
  );
  assertEquals(late.code, "timeout");
  await world.until("it waits no more", () => ended === 1);

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
  const world = new World(t, ABC.slice(0, 1));
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
  const world = new World(t, () => addresses);
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

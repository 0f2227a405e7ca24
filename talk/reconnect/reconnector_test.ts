import {
  dial,
  type Handler,
  handlerFrom,
  listen,
  memoryPair,
  MuxError,
  type Peer,
  type ReconnectingPeer,
  type ReconnectOptions,
  RpcError,
  TalkError,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { Reconnector } from "./reconnector.ts";

/** An environment in which the test makes the connections and lets time pass. */
class World {
  /** The other ends of the connections. */
  readonly servers: Peer[] = [];
  readonly states: string[] = [];
  readonly peer: ReconnectingPeer;
  readonly delays: number[] = [];
  /** The errors of the next attempts. */
  readonly failures: unknown[] = [];
  /** What was reported, and whether with a peer. */
  readonly reports: { error: unknown; withPeer: boolean }[] = [];
  time = 0;
  /** How many calls of `never` arrived, on all connections. */
  unanswered = 0;
  #pass: (() => void) | undefined;

  constructor(options: ReconnectOptions = {}, handler?: Handler) {
    this.peer = new Reconnector(
      {
        ...options,
        onState: (state) => {
          this.states.push(
            "attempt" in state ? `${state.name} ${state.attempt}` : state.name,
          );
          options.onState?.(state);
        },
      },
      handler,
      {
        connect: async (handler, signal) => {
          await turn();
          signal.throwIfAborted();
          if (this.failures.length > 0) throw this.failures.shift();
          const [near, far] = memoryPair({ handler });
          far.handle("/", handlerFrom({ echo: (value: unknown) => value }));
          far.handle("never", (call) => {
            this.unanswered++;
            return new Promise((resolve) => {
              call.signal.addEventListener("abort", () => resolve());
            });
          });
          this.servers.push(far);
          return near;
        },
        wait: (ms, signal) =>
          new Promise((resolve) => {
            this.delays.push(ms);
            this.#pass = resolve;
            signal.addEventListener("abort", () => resolve(), { once: true });
          }),
        now: () => this.time,
        random: () => 0,
        report: (error, peer) => {
          this.reports.push({ error, withPeer: peer !== undefined });
        },
      },
    );
  }

  /** The other end of the current connection. */
  get server(): Peer {
    return this.servers.at(-1)!;
  }

  /** Ends the current wait between two attempts. */
  pass(): void {
    this.#pass!();
  }

  /** Waits until the peer is in a state. */
  async reach(name: string): Promise<void> {
    await until(() => this.peer.state.name === name, name);
  }
}

/** The error of a failed attempt. */
function refused(): TalkError {
  return new TalkError("dial-failed", "Cannot dial: refused");
}

Deno.test("reconnecting peer: it connects again even after a clean end", async () => {
  const world = new World();
  await using peer = world.peer;
  assertEquals(await peer.call("echo", [1]), 1);
  await world.server.close();
  await world.reach("waiting");
  world.pass();
  assertEquals(await peer.call("echo", [2]), 2);
  assertEquals(world.servers.length, 2);
  assertEquals(world.states, [
    "connecting 1",
    "connected",
    "waiting 1",
    "connecting 1",
    "connected",
  ]);
});

Deno.test("reconnecting peer: a call that was sent rejects and is not sent again", async () => {
  const world = new World();
  await using peer = world.peer;
  const call = assertRejects(() => peer.call("never"), MuxError);
  const request = assertRejects(() => peer.request("never"), MuxError);
  await until(() => world.unanswered >= 2);
  await world.server.close();
  assertEquals((await call).code, "connection-lost");
  assertEquals((await request).code, "connection-lost");
  await world.reach("waiting");
  world.pass();
  await world.reach("connected");
  await peer.call("echo", [1]);
  assertEquals(world.unanswered, 2);
});

Deno.test("reconnecting peer: a call without a connection waits and is sent once", async () => {
  const world = new World();
  world.failures.push(refused());
  await using peer = world.peer;
  await world.reach("waiting");
  const call = watch(peer.call("echo", ["late"]));
  const request = peer.request("echo", ["too"]);
  await turn();
  assertEquals(call.state, "pending");
  world.pass();
  assertEquals((await request).value, "too");
  await until(() => call.state !== "pending");
  assertEquals(call.state, "resolved");
});

Deno.test("reconnecting peer: waiting counts towards a call's timeout and ends with its signal", async () => {
  const world = new World();
  world.failures.push(refused());
  await using peer = world.peer;
  await world.reach("waiting");
  {
    using time = new FakeTime();
    const call = watch(peer.call("echo", [1], { timeout: 500 }));
    time.tick(499);
    await turn();
    assertEquals(call.state, "pending");
    time.tick(1);
    await turn();
    assert(call.reason instanceof RpcError, String(call.reason));
    assertEquals(
      [call.reason.code, call.reason.message],
      [
        "timeout",
        'Cannot make call "echo": no connection within 500 ms (option "timeout")',
      ],
    );
  }
  for (const timeout of [undefined, 60_000]) {
    const controller = new AbortController();
    const { signal } = controller;
    const call = peer.call("echo", [1], { signal, timeout }).catch((r) => r);
    controller.abort("changed my mind");
    assertEquals(await call, "changed my mind");
    assertEquals(
      await peer.call("echo", [1], { signal, timeout }).catch((r) => r),
      "changed my mind",
    );
  }
  // The call has the remaining time.
  const call = assertRejects(
    () => peer.call("never", [], { timeout: 1_000 }),
    RpcError,
    "within 0 ms",
  );
  world.time += 1_000;
  world.pass();
  await call;
});

Deno.test("reconnecting peer: no more than maxWaitingCalls calls wait", async () => {
  const world = new World({ maxWaitingCalls: 2 });
  world.failures.push(refused());
  await using peer = world.peer;
  await world.reach("waiting");
  const calls = [peer.call("echo", [1]), peer.call("echo", [2])];
  const error = await assertRejects(
    () => peer.call("echo", [3]),
    MuxError,
    'Cannot make call "echo": 2 calls already wait for a connection',
  );
  assertEquals(error.code, "limit-exceeded");
  world.pass();
  assertEquals(await Promise.all(calls), [1, 2]);
});

Deno.test("reconnecting peer: delays grow until a connection lasts", async () => {
  const world = new World({ minDelay: 100, maxDelay: 500 });
  world.failures.push(refused(), refused(), refused());
  await using _ = world.peer;
  for (let i = 0; i < 3; i++) {
    await world.reach("waiting");
    const before = world.delays.length;
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
    assertEquals(world.delays.length, before);
  }
  await world.reach("connected");
  // As long as the delay before it is not long enough.
  world.time += 400;
  await world.server.close();
  await world.reach("waiting");
  world.pass();
  await world.reach("connected");
  world.time += 501;
  await world.server.close();
  await world.reach("waiting");
  assertEquals(world.delays, [100, 200, 400, 500, 100]);
});

Deno.test("reconnecting peer: onConnect finishes before other calls, on every connection", async () => {
  const log: string[] = [];
  let register = Promise.withResolvers<void>();
  const world = new World({
    async onConnect(peer) {
      log.push(`registers ${await peer.call("echo", ["Ann"])}`);
      await register.promise;
      log.push("registered");
    },
  });
  await using peer = world.peer;
  for (let i = 0; i < 2; i++) {
    const call = peer.call("echo", [i]).then((value) =>
      log.push(`call ${value}`)
    );
    await until(() => log.length >= 3 * i + 1);
    await turn();
    assertEquals(peer.state.name, "connecting");
    register.resolve();
    await call;
    register = Promise.withResolvers();
    await world.server.close();
    await world.reach("waiting");
    world.pass();
  }
  register.resolve();
  assertEquals(log.slice(0, 6), [
    "registers Ann",
    "registered",
    "call 0",
    "registers Ann",
    "registered",
    "call 1",
  ]);
});

Deno.test("reconnecting peer: an onConnect that throws is a failed attempt", async () => {
  const errors: unknown[] = [];
  let connections = 0;
  const world = new World({
    onConnect() {
      if (++connections < 3) throw new Error(`no, ${connections}`);
    },
    onState(state) {
      if (state.name === "waiting") errors.push((state.error as Error).message);
    },
  });
  await using _ = world.peer;
  for (let i = 0; i < 2; i++) {
    await world.reach("waiting");
    await world.server.closed;
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
  }
  await world.reach("connected");
  assertEquals(errors, ["no, 1", "no, 2"]);
  assertEquals(world.delays, [100, 200]);
});

Deno.test("reconnecting peer: what onConnect throws is reported with the peer, but not that the connection was lost", async () => {
  const mistakes = [
    new TypeError("of the program"),
    new RpcError("timeout", "no"),
    new Error("of a hook that has closed its peer"),
  ];
  const left = [...mistakes];
  const never = Promise.withResolvers<void>();
  const world = new World({
    async onConnect(peer) {
      await Promise.resolve();
      if (left.length === 1) void peer.close();
      if (left.length > 0) throw left.shift();
      return never.promise;
    },
  });
  await using _ = world.peer;
  for (let i = 0; i < mistakes.length; i++) {
    await world.reach("waiting");
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
  }
  await until(() => world.servers.length > mistakes.length);
  await world.server.close();
  await world.reach("waiting");
  const reports = mistakes.map((error) => ({ error, withPeer: true }));
  assertEquals(world.reports, reports);
});

Deno.test("reconnecting peer: what a function that gives the address throws is reported", async () => {
  const mistake = new TypeError("of the program");
  const world = new World();
  world.failures.push(refused(), mistake);
  await using _ = world.peer;
  for (let i = 0; i < 2; i++) {
    await world.reach("waiting");
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
  }
  await world.reach("connected");
  assertEquals(world.reports, [{ error: mistake, withPeer: false }]);
});

Deno.test("dial() with reconnect: what its functions throw goes to onError, and dial() rejects after maxAttempts", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  const mistake = new TypeError("of the program");
  const fail = () => {
    throw mistake;
  };
  const reconnect = { maxAttempts: 3, minDelay: 0, maxDelay: 0 };
  for (
    const [address, onConnect] of [
      [listener.addr, fail],
      [listener.addr, () => Promise.reject(mistake)],
      [fail, undefined],
    ] as const
  ) {
    const reports: unknown[] = [];
    const uncaught: unknown[] = [];
    const onUncaught = (event: ErrorEvent) => {
      event.preventDefault();
      uncaught.push(event.error);
    };
    addEventListener("error", onUncaught);
    try {
      const error = await assertRejects(() =>
        dial(address, {
          onError(error) {
            reports.push(error);
            throw error;
          },
          reconnect: { ...reconnect, onConnect },
        })
      );
      assertStrictEquals(error, mistake);
      assertEquals(reports, [mistake, mistake, mistake]);
      await until(() => uncaught.length === 3, "what onError has thrown");
    } finally {
      removeEventListener("error", onUncaught);
    }
  }
});

Deno.test("reconnecting peer: a pending onConnect ends with its connection", async () => {
  const never = Promise.withResolvers<void>();
  const world = new World({ onConnect: () => never.promise });
  await using _ = world.peer;
  await until(() => world.servers.length > 0);
  await world.server.close();
  await world.reach("waiting");
  assertEquals(world.states, ["connecting 1", "waiting 2"]);
  never.resolve();
});

Deno.test("reconnecting peer: handlers apply to every connection", async () => {
  const world = new World({}, (_call, respond) => respond.return("fallback"));
  await using peer = world.peer;
  const removal = peer.handle(
    "name",
    (_call, respond) => respond.return("Ann"),
  );
  for (let i = 0; i < 2; i++) {
    await peer.connected();
    assertEquals(await world.server.call("name"), "Ann");
    assertEquals(await world.server.call("other"), "fallback");
    await world.server.close();
    await world.reach("waiting");
    world.pass();
  }
  await peer.connected();
  removal[Symbol.dispose]();
  assertEquals(await world.server.call("name"), "fallback");
});

Deno.test("reconnecting peer: an option out of range throws an error that names it", () => {
  for (const maxAttempts of [-1, 0, NaN]) {
    assertThrows(() => new World({ maxAttempts }), RangeError, "maxAttempts");
  }
  for (const maxWaitingCalls of [-1, NaN]) {
    assertThrows(
      () => new World({ maxWaitingCalls }),
      RangeError,
      "maxWaitingCalls",
    );
  }
});

Deno.test("reconnecting peer: it gives up after maxAttempts with the last error", async () => {
  const world = new World({ maxAttempts: 3 });
  const last = refused();
  world.failures.push(refused(), refused(), last);
  const call = world.peer.call("echo", [1]).catch((error) => error);
  for (let i = 0; i < 2; i++) {
    await world.reach("waiting");
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
  }
  await world.reach("closed");
  assertStrictEquals(await call, last);
  assertStrictEquals(await world.peer.closed.catch((error) => error), last);
  assertStrictEquals(
    await world.peer.call("echo").catch((error) => error),
    last,
  );
  assertEquals(world.peer.state, { name: "closed", error: last });
  await world.peer.close();
});

Deno.test("reconnecting peer: a permanent error is not retried", async () => {
  for (
    const error of [
      new TalkError("bad-address", "Cannot dial"),
      new TalkError("unknown-scheme", "Cannot dial"),
      new TalkError("dial-failed", "Cannot dial", { permanent: true }),
      new RangeError("Cannot use option"),
    ]
  ) {
    const world = new World();
    world.failures.push(error);
    assertStrictEquals(await world.peer.closed.catch((e) => e), error);
    assertEquals(world.delays, []);
    assertEquals(world.peer.state, { name: "closed", error });
  }
});

Deno.test("reconnecting peer: onConnect can give up, by a permanent error", async () => {
  const error = new TalkError("dial-failed", "Cannot log in", {
    permanent: true,
  });
  const world = new World({
    onConnect() {
      throw error;
    },
  });
  const call = world.peer.call("echo", [1]).catch((error) => error);
  assertStrictEquals(await world.peer.closed.catch((e) => e), error);
  assertStrictEquals(await call, error);
  assertEquals(world.delays, []);
});

Deno.test("reconnecting peer: a permanent error ends it later, too, and its waiting calls", async () => {
  const world = new World();
  await world.reach("connected");
  await world.server.close();
  await world.reach("waiting");
  const call = world.peer.call("echo", [1]).catch((error) => error);
  const error = new TalkError("dial-failed", "401", { permanent: true });
  world.failures.push(error);
  world.pass();
  assertStrictEquals(await call, error);
  assertStrictEquals(await world.peer.closed.catch((e) => e), error);
  assertEquals(world.states.at(-1), "closed");
});

Deno.test("reconnecting peer: everything that is retried is reported to onState", async () => {
  const reported: unknown[] = [];
  const world = new World({
    onState: (state) => {
      if (state.name === "waiting") reported.push(state.error);
    },
  });
  const failures = [
    refused(),
    new TalkError("timeout", "Cannot dial"),
    new TalkError("dial-failed", "503", { permanent: false }),
    new Error("no token"),
    new TypeError("fetch failed"),
    "text",
    undefined,
  ];
  world.failures.push(...failures);
  await using _ = world.peer;
  for (const _ of failures) {
    await world.reach("waiting");
    world.pass();
    await until(() => world.peer.state.name !== "waiting");
  }
  await world.reach("connected");
  assertEquals(reported, failures);
});

Deno.test("reconnecting peer: close() works in every state", async () => {
  for (const name of ["connecting", "waiting", "connected"]) {
    const world = new World();
    if (name === "waiting") world.failures.push(refused());
    await world.reach(name);
    const call = name === "connected"
      ? undefined
      : assertRejects(() => world.peer.call("echo", [1]), MuxError);
    await within(world.peer.close(), "close()");
    if (call) assertEquals((await call).code, "session-closed");
    assertEquals(world.peer.state, { name: "closed" });
    await world.peer.closed;
    for (const server of world.servers) await server.closed;
    const error = await assertRejects(
      () => world.peer.call("echo", [1]),
      MuxError,
    );
    assertEquals(error.code, "session-closed");
    await world.peer.close();
  }
});

Deno.test("reconnecting peer: close() during onConnect closes the connection", async () => {
  const never = Promise.withResolvers<void>();
  const world = new World({ onConnect: () => never.promise });
  await until(() => world.servers.length > 0);
  await within(world.peer.close(), "close()");
  await world.server.closed;
  assertEquals(world.states, ["connecting 1", "closed"]);
  never.resolve();
});

Deno.test("reconnecting peer: connected() rejects when its signal aborts", async () => {
  const world = new World();
  world.failures.push(refused());
  await using peer = world.peer;
  await world.reach("waiting");
  const controller = new AbortController();
  const { signal } = controller;
  const connected = peer.connected({ signal }).catch((reason) => reason);
  controller.abort("enough");
  assertEquals(await connected, "enough");
  assertEquals(await peer.connected({ signal }).catch((r) => r), "enough");
  world.pass();
  const near = await peer.connected({ signal: undefined });
  assertEquals(await near.call("echo", [1]), 1);
});

Deno.test("reconnecting peer: close() drains, and its signal ends the wait", async () => {
  const world = new World();
  const { peer } = world;
  await peer.connected();
  const call = peer.call("never").catch((error) => error.code);
  await until(() => world.unanswered !== 0);
  await assertRejects(() => peer.close({ drainTimeout: NaN }), RangeError);
  assertEquals(peer.state.name, "connected");
  const controller = new AbortController();
  const { signal } = controller;
  const closing = watch(peer.close({ drainTimeout: Infinity, signal }));
  await turn();
  assertEquals(closing.state, "pending");
  controller.abort();
  assertEquals(await call, "session-closed");
  await until(() => closing.state !== "pending");
  assertEquals(closing.state, "resolved");
});

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
import { turn, watch, within } from "../../tests/support/within.ts";
import { Reconnector } from "./reconnector.ts";

/** A world in which a test makes the connections and lets time pass. */
class World {
  /** The far ends, one a connection. */
  readonly servers: Peer[] = [];
  readonly states: string[] = [];
  readonly peer: ReconnectingPeer;
  readonly delays: number[] = [];
  /** What the next attempts fail with. */
  readonly failures: unknown[] = [];
  time = 0;
  /** Calls of `never` that arrived, on all connections. */
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
      },
    );
  }

  /** The far end of the connection that is there. */
  get server(): Peer {
    return this.servers.at(-1)!;
  }

  /** Lets the wait that is under way be over. */
  pass(): void {
    this.#pass!();
  }

  /** Waits for a state. */
  async reach(name: string): Promise<void> {
    await within(
      (async () => {
        while (this.peer.state.name !== name) await turn();
      })(),
      name,
    );
  }
}

/** A failed attempt. */
function refused(): TalkError {
  return new TalkError("dial-failed", "Cannot dial: refused");
}

Deno.test("reconnecting peer: it connects again when the connection is lost, also by a clean end", async () => {
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

Deno.test("reconnecting peer: a call that was sent when the connection was lost fails, and is not sent again", async () => {
  const world = new World();
  await using peer = world.peer;
  const call = assertRejects(() => peer.call("never"), MuxError);
  const request = assertRejects(() => peer.request("never"), MuxError);
  while (world.unanswered < 2) await turn();
  await world.server.close();
  assertEquals((await call).code, "connection-lost");
  assertEquals((await request).code, "connection-lost");
  await world.reach("waiting");
  world.pass();
  await world.reach("connected");
  await peer.call("echo", [1]);
  assertEquals(world.unanswered, 2);
});

Deno.test("reconnecting peer: a call made without a connection waits for one, and is sent once", async () => {
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
  while (call.state === "pending") await turn();
  assertEquals(call.state, "resolved");
});

Deno.test("reconnecting peer: the wait counts towards a call's timeout, and obeys its signal", async () => {
  const world = new World();
  world.failures.push(refused());
  await using peer = world.peer;
  await world.reach("waiting");
  const error = await assertRejects(
    () => peer.call("echo", [1], { timeout: 1 }),
    RpcError,
    'Cannot make call "echo": no connection within 1 ms',
  );
  assertEquals(error.code, "timeout");
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
  // What is left of the time is the call's.
  const call = assertRejects(
    () => peer.call("never", [], { timeout: 1_000 }),
    RpcError,
    "within 0 ms",
  );
  world.time += 1_000;
  world.pass();
  await call;
});

Deno.test("reconnecting peer: only so many calls wait", async () => {
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

Deno.test("reconnecting peer: attempts are ever further apart, until a connection holds", async () => {
  const world = new World({ minDelay: 100, maxDelay: 500 });
  world.failures.push(refused(), refused(), refused());
  await using _ = world.peer;
  for (let i = 0; i < 3; i++) {
    await world.reach("waiting");
    const before = world.delays.length;
    world.pass();
    while (world.peer.state.name === "waiting") await turn();
    assertEquals(world.delays.length, before);
  }
  await world.reach("connected");
  // As long as was waited is not long enough.
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

Deno.test("reconnecting peer: onConnect is done before other calls, on every connection", async () => {
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
    while (log.length < 3 * i + 1) await turn();
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

Deno.test("reconnecting peer: an onConnect that throws costs its connection, and counts as a failed attempt", async () => {
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
    while (world.peer.state.name === "waiting") await turn();
  }
  await world.reach("connected");
  assertEquals(errors, ["no, 1", "no, 2"]);
  assertEquals(world.delays, [100, 200]);
});

Deno.test("reconnecting peer: an onConnect that waits for ever ends with its connection", async () => {
  const never = Promise.withResolvers<void>();
  const world = new World({ onConnect: () => never.promise });
  await using _ = world.peer;
  while (world.servers.length === 0) await turn();
  await world.server.close();
  await world.reach("waiting");
  never.resolve();
});

Deno.test("reconnecting peer: handlers stay, whatever connection a call comes by", async () => {
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

Deno.test("reconnecting peer: options out of range are an error that names them", () => {
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

Deno.test("reconnecting peer: after maxAttempts in a row it gives up, and says why", async () => {
  const world = new World({ maxAttempts: 3 });
  const last = refused();
  world.failures.push(refused(), refused(), last);
  const call = world.peer.call("echo", [1]).catch((error) => error);
  for (let i = 0; i < 2; i++) {
    await world.reach("waiting");
    world.pass();
    while (world.peer.state.name === "waiting") await turn();
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

Deno.test("reconnecting peer: what no further attempt could mend is not tried again", async () => {
  for (
    const error of [
      new TalkError("bad-address", "Cannot dial"),
      new TalkError("unknown-scheme", "Cannot dial"),
      new RangeError("Cannot use option"),
    ]
  ) {
    const world = new World();
    world.failures.push(error);
    assertStrictEquals(await world.peer.closed.catch((e) => e), error);
    assertEquals(world.delays, []);
  }
});

Deno.test("reconnecting peer: close() ends whatever it is doing", async () => {
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

Deno.test("reconnecting peer: close() while onConnect is under way ends that connection", async () => {
  const never = Promise.withResolvers<void>();
  const world = new World({ onConnect: () => never.promise });
  while (world.servers.length === 0) await turn();
  await within(world.peer.close(), "close()");
  await world.server.closed;
  never.resolve();
});

// --- dial() ------------------------------------------------------------------

Deno.test("dial() with reconnect resolves at the first connection, however many attempts it takes", async () => {
  // A port that nobody listens on yet.
  const probe = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const address = `tcp://127.0.0.1:${probe.addr.port}`;
  probe.close();
  const failed = Promise.withResolvers<void>();
  const dialing = dial(address, {
    reconnect: {
      minDelay: 1,
      maxDelay: 10,
      onState: (state) => state.name === "waiting" && failed.resolve(),
    },
    handler: handlerFrom({ name: () => "Ann" }),
  });
  await failed.promise;
  await using listener = await listen(address, {
    handler: async (call, respond) =>
      respond.return(await call.caller.call("name")),
  });
  await using peer = await within(dialing, "the connection");
  assert(peer instanceof Reconnector);
  assertEquals(await peer.call("who"), "Ann");
  assertEquals(listener.addr, address);
});

Deno.test("dial() with reconnect can be given up while it tries", async () => {
  const probe = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const address = `tcp://127.0.0.1:${probe.addr.port}`;
  probe.close();
  const controller = new AbortController();
  const dialing = dial(address, {
    signal: controller.signal,
    reconnect: {
      onState: ({ name }) => name === "waiting" && controller.abort("enough"),
    },
  });
  assertEquals(await dialing.catch((reason) => reason), "enough");
  assertEquals(
    await dial(address, { signal: controller.signal, reconnect: {} })
      .catch((reason) => reason),
    "enough",
  );
});

Deno.test("dial() with reconnect fails at once for what cannot be mended", async () => {
  const bad = await assertRejects(
    () => dial("tcp://nowhere", { reconnect: {} }),
    TalkError,
  );
  assertEquals(bad.code, "bad-address");
  await assertRejects(
    () => dial("tcp://127.0.0.1:1", { reconnect: { jitter: 2 } }),
    RangeError,
  );
});

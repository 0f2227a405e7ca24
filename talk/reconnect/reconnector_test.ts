import {
  dial,
  forward,
  type Handler,
  handlerFrom,
  type HandlerFunction,
  listen,
  memoryPair,
  MuxError,
  type Peer,
  type ReconnectingDialOptions,
  type ReconnectingPeer,
  type ReconnectOptions,
  RpcError,
  TalkError,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { rawCall, scriptedPeer } from "../../tests/support/raw_call.ts";
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
  ];
  const left = [...mistakes];
  const never = Promise.withResolvers<void>();
  const world = new World({
    async onConnect() {
      await Promise.resolve();
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

/** The address of a Unix socket that does not exist yet. */
async function socketPath() {
  const folder = await Deno.makeTempDir({ prefix: "qtalk" });
  return {
    address: `unix:${folder}/socket`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

testUnix(
  "dial() with reconnect: it resolves at the first connection",
  async () => {
    await using path = await socketPath();
    const failed = Promise.withResolvers<void>();
    const dialing = dial(path.address, {
      reconnect: {
        minDelay: 1,
        maxDelay: 10,
        onState: (state) => state.name === "waiting" && failed.resolve(),
      },
      handler: handlerFrom({ name: () => "Ann" }),
    });
    await failed.promise;
    await using listener = await listen(path.address, {
      handler: async (call, respond) =>
        respond.return(await call.caller.call("name")),
    });
    await using peer = await within(dialing, "the connection");
    assertEquals(peer.state.name, "connected");
    assertEquals(await peer.call("who"), "Ann");
    assertEquals(listener.addr, path.address);
  },
);

Deno.test("dial() with reconnect: an abort rejects with the signal's reason", async () => {
  await using path = await socketPath();
  const controller = new AbortController();
  const { signal } = controller;
  const dialing = dial(path.address, {
    signal,
    reconnect: {
      onState: ({ name }) => name === "waiting" && controller.abort("enough"),
    },
  });
  assertEquals(await dialing.catch((reason) => reason), "enough");
  assertEquals(
    await dial(path.address, { signal, reconnect: {} })
      .catch((reason) => reason),
    "enough",
  );
});

Deno.test("dial() with reconnect: a permanent error rejects at once", async () => {
  const bad = await assertRejects(
    () => dial("tcp://nowhere", { reconnect: {} }),
    TalkError,
  );
  assertEquals(bad.code, "bad-address");
  const wrong: Omit<ReconnectingDialOptions, "reconnect">[] = [
    { timeout: -1 },
    { maxCallbacks: -1 },
    { session: { backlog: -1 } },
  ];
  for (const options of wrong) {
    await assertRejects(
      () => dial("tcp://127.0.0.1:1", { ...options, reconnect: {} }),
      RangeError,
      "Cannot use option",
    );
  }
  await assertRejects(
    () => dial("tcp://127.0.0.1:1", { reconnect: { jitter: 2 } }),
    RangeError,
    '"jitter"',
  );
});

/** Answers each HTTP request with a status, until there are no more. */
function statusServer(statuses: number[]) {
  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => {
      requests++;
      return new Response(null, { status: statuses.shift()! });
    },
  );
  return {
    address: `ws://127.0.0.1:${server.addr.port}/?token=SECRET`,
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Reconnects without delay, and returns what was reported before it gave up. */
async function untilItGivesUp(
  address: string,
  options: Partial<ReconnectingDialOptions> = {},
): Promise<{ error: TalkError; reported: string[] }> {
  const reported: string[] = [];
  const error = await assertRejects(
    () =>
      within(
        dial(address, {
          ...options,
          reconnect: {
            minDelay: 0,
            maxDelay: 0,
            onState(state) {
              if (state.name === "waiting") {
                reported.push((state.error as Error).message);
              }
            },
          },
        }),
        "dial() to give up",
      ),
    TalkError,
  );
  return { error, reported };
}

Deno.test("dial() with reconnect: a server that refuses is not asked again", async () => {
  for (
    const status of [200, 301, 302, 400, 401, 403, 404, 405, 407, 410, 426, 501]
  ) {
    await using server = statusServer([status]);
    const { error, reported } = await untilItGivesUp(server.address);
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
    assert(
      error.message.includes(`the server answered ${status}`),
      error.message,
    );
    assert(!Deno.inspect(error).includes("SECRET"), Deno.inspect(error));
    assertEquals([reported, server.requests], [[], 1]);
  }
});

Deno.test("dial() with reconnect: a server that is busy or broken is asked again, and each time is reported", async () => {
  const temporary = [500, 502, 503, 504, 429, 408, 425];
  await using server = statusServer([...temporary, 401]);
  const { error, reported } = await untilItGivesUp(server.address);
  assert(error.message.includes("401"), error.message);
  assertEquals(server.requests, temporary.length + 1);
  assertEquals(
    reported.map((text) => Number(/answered (\d+)/.exec(text)![1])),
    temporary,
  );
});

Deno.test("dial() with reconnect: an address or a request that cannot work is not tried again", async () => {
  const addresses: [string, Partial<ReconnectingDialOptions>?][] = [
    ["nothing"],
    ["smtp://localhost:25"],
    ["tcp://localhost"],
    ["ws://user:SECRET@localhost/"],
    ["stdio:file"],
    ["ws://127.0.0.1:1/", { headers: { upgrade: "x" } }],
    ["ws://127.0.0.1:1/", { headers: { "a b": "SECRET" } }],
  ];
  if (Deno.build.os !== "windows") {
    addresses.push([`unix:/${"x".repeat(200)}`]);
  }
  await using listener = await listen("ws://127.0.0.1:0/");
  for (const [address, options] of addresses) {
    const { error, reported } = await untilItGivesUp(
      address.replace("ws://127.0.0.1:1/", listener.addr),
      options,
    );
    assertEquals([error.permanent, reported], [true, []], address);
  }
});

Deno.test("dial() with reconnect: a certificate that is not valid is not tried again", async () => {
  const file = (name: string) =>
    Deno.readTextFileSync(
      new URL(`../../tests/support/tls/${name}`, import.meta.url),
    );
  await using server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
    cert: file("cert.pem"),
    key: file("key.pem"),
  }, () => new Response());
  // An authority that is not known, and a name that the certificate has not.
  const { error, reported } = await untilItGivesUp(
    `wss://127.0.0.1:${server.addr.port}/?token=SECRET`,
  );
  assertEquals([error.code, error.permanent], ["dial-failed", true]);
  assert(error.message.includes("certificate"), error.message);
  assertEquals(reported, []);
});

Deno.test("dial() with reconnect: a missing permission is not waited for", async () => {
  const library = import.meta.resolve("../../mod.ts");
  const program = `
    import { dial } from ${JSON.stringify(library)};
    for (const address of ["tcp://127.0.0.1:1", "unix:none", "ws://127.0.0.1:1/?SECRET"]) {
      await dial(address, { reconnect: {} }).catch((error) => console.log(
        error.code, error.permanent, error.message.includes("Requires"),
        Deno.inspect(error).includes("SECRET"),
      ));
    }`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    // The program and the library may be read without a permission.
    const { stdout } = await within(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--quiet", file],
        stdin: "null",
        stdout: "piped",
      }).output(),
      "the child to give up",
    );
    assertEquals(
      new TextDecoder().decode(stdout),
      "dial-failed true true false\n".repeat(3),
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("dial() with reconnect: each attempt asks for address, headers and protocols", async () => {
  const asked: string[] = [];
  const listeners = [
    await listen("ws://127.0.0.1:0/first"),
    await listen("ws://127.0.0.1:0/second", {
      handler: handlerFrom({ echo: (value: unknown) => value }),
    }),
  ];
  let attempt = 0;
  const states: string[] = [];
  await using peer = await dial(
    async () => {
      asked.push(`address ${++attempt}`);
      await turn();
      if (attempt === 2) throw new Error("no address");
      return listeners[attempt === 1 ? 0 : 1]!.addr;
    },
    {
      headers: () => {
        asked.push(`headers ${attempt}`);
        return { authorization: `token ${attempt}` };
      },
      protocols() {
        asked.push(`protocols ${attempt}`);
        return Promise.resolve([]);
      },
      reconnect: {
        minDelay: 0,
        onState: (state) => {
          states.push(
            state.name === "waiting"
              ? (state.error as Error).message
              : state.name,
          );
        },
      },
    },
  );
  await listeners[0]!.close();
  assertEquals(await within(peer.call("echo", [1]), "the call"), 1);
  assertEquals(asked, [
    "address 1",
    "headers 1",
    "protocols 1",
    "address 2",
    "address 3",
    "headers 3",
    "protocols 3",
  ]);
  assertEquals(states.filter((name) => name !== "connecting"), [
    "connected",
    "Connection is lost: the peer closed the session",
    "no address",
    "connected",
  ]);
  await peer.close();
  await listeners[1]!.close();
});

Deno.test("dial() with reconnect: stdin and stdout are connected to once", async () => {
  const library = import.meta.resolve("../../mod.ts");
  const program = `
    import { dial } from ${JSON.stringify(library)};
    const peer = await dial("stdio:", { reconnect: { minDelay: 0 } });
    const error = await peer.closed.catch((error) => error);
    console.error(error.code, error.permanent);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdin.close();
  await child.stdout.cancel();
  assertEquals(
    await within(new Response(child.stderr).text(), "the child to give up"),
    "dial-failed true\n",
  );
  await child.status;
});

/** Servers that are no peers: what they send first, or after a request. */
const STRANGERS: Record<string, { first?: string; answer?: string }> = {
  "an HTTP server": { answer: "HTTP/1.1 400 Bad Request\r\n\r\n" },
  "an HTTP/2 server": { first: "\0\0\x12\x04\0\0\0\0\0" },
  "an SSH server": { first: "SSH-2.0-OpenSSH_9.6\r\n" },
  "a TLS server": { answer: "\x15\x03\x03\0\x02\x02\x0a" },
  "a mail server": { first: "220 mail.example ESMTP\r\n" },
  "a greeting that begins as a frame does": { first: "hello, who are you?\n" },
  "a frame of no channel": { first: "i\0\0\0\x07" },
};

for (const [what, { first, answer }] of Object.entries(STRANGERS)) {
  Deno.test(`dial() with reconnect: ${what} at the address is not dialed again`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    let connections = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        connections++;
        if (answer !== undefined) await conn.read(new Uint8Array(64));
        const text = first ?? answer!;
        await conn.write(Uint8Array.from(text, (c) => c.charCodeAt(0)));
        for (;;) {
          if (await conn.read(new Uint8Array(64)).catch(() => null) === null) {
            break;
          }
        }
        conn.close();
      }
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const states: string[] = [];
    const peer = await dial(`tcp://127.0.0.1:${port}`, {
      reconnect: { minDelay: 0, onState: ({ name }) => states.push(name) },
    });
    const call = peer.call("x").catch((error) => error);
    const error = await within(
      peer.closed.catch((error) => error),
      "the peer to give up",
    );
    assertInstanceOf(error, MuxError);
    assertEquals(error.code, "protocol-error");
    const failed = await call;
    assertInstanceOf(failed, MuxError);
    assertEquals(failed.code, "protocol-error");
    assertEquals(states, ["connecting", "connected", "closed"]);
    assertEquals(connections, 1);
    await peer.close();
    listener.close();
    await serving;
  });
}

Deno.test("dial() with reconnect: what is no peer is not dialed again when onConnect fails of it", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.read(new Uint8Array(64));
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 No\r\n\r\n"));
      conn.close();
    }
  })();
  const { port } = listener.addr as Deno.NetAddr;
  const error = await assertRejects(() =>
    dial(`tcp://127.0.0.1:${port}`, {
      reconnect: {
        minDelay: 0,
        async onConnect(peer) {
          await peer.call("join").catch(() => {
            throw new Error("cannot join");
          });
        },
      },
    }), MuxError);
  assertEquals(error.code, "protocol-error");
  listener.close();
  await serving;
});

Deno.test("dial() with reconnect: where a peer was before, what is no peer is dialed again", async () => {
  const handler = handlerFrom({ echo: (value: unknown) => value });
  let listener = await listen("tcp://127.0.0.1:0", { handler });
  const { addr } = listener;
  const waiting: unknown[] = [];
  await using peer = await dial(addr, {
    reconnect: {
      minDelay: 1,
      onState: (state) => {
        if (state.name === "waiting") waiting.push(state.error);
      },
    },
  });
  assertEquals(await peer.call("echo", [1]), 1);
  await listener.close();
  const port = Number(addr.slice(addr.lastIndexOf(":") + 1));
  const proxy = Deno.listen({ hostname: "127.0.0.1", port });
  const serving = (async () => {
    for await (const conn of proxy) {
      await conn.write(new TextEncoder().encode("HTTP/1.1 502 No\r\n\r\n"));
      conn.close();
    }
  })();
  const isStranger = (error: unknown) =>
    error instanceof MuxError && error.code === "protocol-error";
  await until(() => waiting.some(isStranger));
  proxy.close();
  await serving;
  const arrived = Promise.withResolvers<void>();
  listener = await listen(addr, { handler, onPeer: () => arrived.resolve() });
  // A call before that may be sent over one more connection to the proxy.
  await within(arrived.promise, "the peer to be connected again");
  assertEquals(await within(peer.call("echo", [2]), "the call"), 2);
  await peer.close();
  await listener.close();
});

/** Answers each connection to a TCP port; returns what ends that. */
function answerEach(answer: (conn: Deno.TcpConn) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Promise<void>[] = [];
  const serving = (async () => {
    for await (const conn of listener) {
      const done = answer(conn).catch(() => {}).then(() => {
        try {
          conn.close();
        } catch {
          // Its streams have closed it.
        }
      });
      conns.push(done);
    }
  })();
  return {
    address: `tcp://127.0.0.1:${listener.addr.port}`,
    get connections() {
      return conns.length;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      await Promise.all(conns);
    },
  };
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  await conn.readable.pipeTo(conn.writable);
}

async function readAll(conn: Deno.TcpConn): Promise<void> {
  while (await conn.read(new Uint8Array(1_024)) !== null);
}

/** Servers that are no peers, and after how many connections that is known. */
const MUTE_STRANGERS: [
  string,
  (conn: Deno.TcpConn) => Promise<void>,
  number,
][] = [
  ["sends back what it gets", echo, 1],
  ["sends back what it gets, and closes", async (conn) => {
    for (let i = 0; i < 4; i++) {
      const buffer = new Uint8Array(1_024);
      const size = await conn.read(buffer);
      if (size === null) return;
      await conn.write(buffer.subarray(0, size));
    }
  }, 1],
  ...[[1, 2], [104, 105], [100, 101], [0x66, 0x6f]].flatMap((bytes) => [
    [`sends ${bytes} and closes`, async (conn: Deno.TcpConn) => {
      await conn.write(Uint8Array.from(bytes));
      await conn.closeWrite();
      await readAll(conn);
    }, 1] as [string, (conn: Deno.TcpConn) => Promise<void>, number],
  ]),
  ["sends half of a DATA frame and waits", async (conn) => {
    await conn.write(new Uint8Array([104, 1, 0]));
    await readAll(conn);
  }, 1],
  ["begins with a letter that begins an OPEN, and closes", async (conn) => {
    await conn.write(new TextEncoder().encode("d"));
    await conn.closeWrite();
    await readAll(conn);
  }, 2],
  ["sends half of an OPEN and closes", async (conn) => {
    await conn.write(new Uint8Array([100, 0, 0, 0, 0, 0]));
    await conn.closeWrite();
    await readAll(conn);
  }, 2],
];

for (const [what, answer, most] of MUTE_STRANGERS) {
  Deno.test(`dial() with reconnect: a server that ${what} is not dialed for ever`, async () => {
    await using server = answerEach(answer);
    const peer = await dial(server.address, { reconnect: { minDelay: 0 } });
    const calling = peer.call("x").catch((error) => error);
    const error = await within(
      peer.closed.then(() => undefined, (error) => error),
      "giving up",
    );
    assertInstanceOf(error, MuxError);
    assertEquals(server.connections <= most, true, `${server.connections}`);
    if (most === 1) assertEquals(error.code, "protocol-error");
    const called = await within(calling, "the call");
    assertInstanceOf(called, MuxError);
    await peer.close();
  });
}

Deno.test("dial(): a server that sends back what it gets calls no handler twice", async () => {
  await using server = answerEach(echo);
  const seen: string[] = [];
  const peer = await dial(server.address, {
    handler(call, respond) {
      seen.push(call.selector);
      return respond.return();
    },
    onError() {},
  });
  const error = await within(
    peer.call("x").then(() => undefined, (error) => error),
    "the call",
  );
  assertInstanceOf(error, MuxError);
  assertEquals(error.code, "protocol-error");
  assertMatch(error.message, /returns what it gets, as an echo server does/);
  assertEquals(seen, []);
  await peer.close();
});

for (
  const [what, start] of [
    ["cannot be encoded", (peer: Peer) => peer.call("x", [Symbol()])],
    ["is given up before it is sent", (peer: Peer) => {
      const stop = new AbortController();
      const call = peer.call("x", [], { signal: stop.signal });
      stop.abort();
      return call;
    }],
  ] as const
) {
  Deno.test(`dial(): a server that sends back what it gets is noticed after a first call that ${what}`, async () => {
    await using server = answerEach(echo);
    const peer = await dial(server.address, { onError() {} });
    await start(peer).catch(() => {});
    const error = await within(peer.call("y").catch((e) => e), "the call");
    assertInstanceOf(error, MuxError);
    assertMatch(error.message, /returns what it gets, as an echo server does/);
    await peer.close();
  });
}

Deno.test("dial() with reconnect: a peer that was killed in its first frame is dialed again", async () => {
  let connections = 0;
  const handler = handlerFrom({ echo: (value: unknown) => value });
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  const port = Number(listener.addr.slice(listener.addr.lastIndexOf(":") + 1));
  await using server = answerEach(async (conn) => {
    if (++connections === 1) {
      await conn.write(new Uint8Array([101, 0, 0, 0]));
      return;
    }
    const other = await Deno.connect({ hostname: "127.0.0.1", port });
    const there = conn.readable.pipeTo(other.writable).catch(() => {});
    await other.readable.pipeTo(conn.writable).catch(() => {});
    await there;
  });
  const peer = await dial(server.address, { reconnect: { minDelay: 0 } });
  for (;;) {
    const answer = await within(
      peer.call("echo", [1]).catch((error) => error),
      "an answer",
    );
    if (answer === 1) break;
    assertInstanceOf(answer, MuxError);
  }
  await peer.close();
});

Deno.test("dial(): a call that is forwarded back to its caller is no echo", async () => {
  const peers: Peer[] = [];
  await using hub = await listen("tcp://127.0.0.1:0", {
    onPeer: (peer) => {
      peers.push(peer);
      peer.handle("", forward(peer));
    },
  });
  await using peer = await dial(hub.addr, {
    handler: handlerFrom({ self: () => "me" }),
  });
  assertEquals(await within(peer.call("self"), "the call"), "me");
});

for (const caller of ["is extended", "is not extended"]) {
  for (const answers of ["forwards", "has no handler"]) {
    Deno.test(`forward(): a gateway to a server that sends back what it gets gives up, if the caller ${caller} and its other direction ${answers}`, async () => {
      await using server = answerEach(echo);
      const [client, front] = memoryPair({}, {});
      let handler!: HandlerFunction;
      await using middle = await dial(server.address, {
        reconnect: {
          minDelay: 0,
          onConnect: (peer) => {
            handler = forward(peer);
          },
        },
        handler: answers === "forwards" ? forward(front) : undefined,
        onError() {},
      });
      front.handle("", (call, respond) => handler(call, respond));
      const { peer, raw } = scriptedPeer({
        handler: (call, respond) => handler(call, respond),
      });
      const called = caller === "is extended"
        ? client.call("x").catch((error) => error.text)
        : rawCall(raw, "x", null).then(async (channel) => {
          const [{ Error: text }] = await channel.read(1) as [
            { Error: string },
          ];
          return text;
        });
      const error = await within(
        middle.closed.then(() => undefined, (error) => error),
        "giving up",
      );
      assertInstanceOf(error, MuxError);
      assertEquals(error.code, "protocol-error");
      assertMatch(error.message, /returns what it gets, as an echo server/);
      assertEquals(server.connections, 1);
      assertMatch(
        String(await within(called, "the call")),
        /^Cannot forward call "\/x": .*returns what it gets/,
      );
      await client.close();
      await peer.close();
    });
  }
}

Deno.test("forward(): a call that comes back through two gateways which dial each other is no echo", async () => {
  const handled: string[] = [];
  await using far = await listen("tcp://127.0.0.1:0", {
    onPeer: (peer) => void peer.handle("", forward(peer)),
  });
  await using middle = await dial(far.addr, {
    handler(call, respond) {
      handled.push(call.selector);
      return respond.return("the gateway's own");
    },
  });
  const [client] = memoryPair({}, { handler: forward(middle) });
  await using _ = client;
  for (let i = 0; i < 2; i++) {
    assertEquals(
      await within(client.call("x"), "the call"),
      "the gateway's own",
    );
  }
  assertEquals(handled, ["/x", "/x"]);
});

for (const [code, isLasting] of [[3003, true], [3000, true], [4000, false]]) {
  const what = isLasting ? "not dialed again" : "dialed again";
  Deno.test(`dial() with reconnect: a server that closes new WebSockets with ${code} is ${what}`, async () => {
    let connections = 0;
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => {
        const { socket, response } = Deno.upgradeWebSocket(request);
        connections++;
        socket.onopen = () => socket.close(code as number);
        return response;
      },
    );
    const reported = Promise.withResolvers<void>();
    const peer = await dial(`ws://127.0.0.1:${server.addr.port}`, {
      reconnect: {
        minDelay: 0,
        onState: ({ name }) => name === "waiting" && reported.resolve(),
      },
    });
    const closed = peer.closed.catch((error) => error);
    if (isLasting) {
      assertInstanceOf(await within(closed, "giving up"), MuxError);
      assertEquals(connections, 1);
    } else await within(reported.promise, "the next attempt");
    await peer.close();
    await server.shutdown();
  });
}

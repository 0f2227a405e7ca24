import {
  CallError,
  forward,
  type Handler,
  handlerFrom,
  type Peer,
  RemoteError,
  Router,
  withMiddleware,
} from "@qtalk/qtalk";
import {
  type ReflectionOptions,
  type ServiceDescription,
  type ServiceStats,
  withReflection,
} from "@qtalk/qtalk/reflection";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { rawCall } from "../../tests/support/raw_call.ts";
import { until } from "../../tests/support/within.ts";
import { withReflectionAt } from "./with_reflection.ts";

const DESCRIBE = "/_qtalk/describe";
const HEALTH = "/_qtalk/health";
const STATS = "/_qtalk/stats";
const ALL = [DESCRIBE, HEALTH, STATS];

const service = {
  add: (a: number, b: number) => a + b,
  math: { pi: () => Math.PI, e: () => Math.E },
};

test("withReflection(): calls one after the other use one channel", async (t) => {
  const handler = withReflection(handlerFrom(service));
  const [client] = t.pair({}, { handler });
  for (let i = 0; i < 20; i++) {
    assertEquals(await client.call("add", [i, 1]), i + 1);
  }
  // The first call opens one, and a spare one.
  assertEquals(client.stats.channels.total, 2);
  assertEquals(handler.stats()?.calls.outcomes, { ok: 20 });
});

test("withReflection(): it describes the service, a group or a method", async (t) => {
  const options: ReflectionOptions = {
    name: "calculator",
    version: "1.2",
    doc: "Calculates.",
  };
  const handler = withReflection(handlerFrom(service), options);
  const [client] = t.pair({}, { handler });
  assertEquals(await client.call(DESCRIBE), {
    ...options,
    methods: [
      { selector: "add", params: 2 },
      { selector: "math.pi", params: 0 },
      { selector: "math.e", params: 0 },
    ],
  });
  assertEquals(await client.call(DESCRIBE), { ...handler.describe() });
  const group = await client.call(DESCRIBE, ["math"]) as ServiceDescription;
  assertEquals(group.methods.map(({ selector }) => selector), [
    "math.pi",
    "math.e",
  ]);
  const one = await client.call(DESCRIBE, ["/math/e"]) as ServiceDescription;
  assertEquals(one.methods, [{ selector: "math.e", params: 0 }]);
});

test("withReflection(): other calls go to the handler", async (t) => {
  const handler = withReflection(handlerFrom(service));
  const [client] = t.pair({}, { handler });
  assertEquals(await client.call("add", [1, 2]), 3);
  for (const selector of ["/_qtalk/other", "/_qtalk/describe/x", "none"]) {
    const error = await assertRejects(() => client.call(selector), RemoteError);
    assertEquals(error.code, "not-found");
  }
});

test("withReflection(): callers that are not extended reach the handler, as they did before", async (t) => {
  const echo: Handler = (call, respond) => respond.return(call.selector);
  /** What such a caller reads. */
  const answers = async (handler: Handler) => {
    const { raw } = t.scriptedPeer({ handler });
    const read: unknown[] = [];
    for (const selector of [...ALL, "add", "math.pi"]) {
      const call = await rawCall(raw, selector, [1, 2]);
      read.push(await call.read(2));
      await call.close();
    }
    return read;
  };
  const plain = handlerFrom(service);
  for (const handler of [plain, echo]) {
    const before = await answers(handler);
    assertEquals(await answers(withReflection(handler)), before);
  }
});

test("/_qtalk/health: it is the service's own check", async (t) => {
  let check = (): unknown => undefined;
  const handler = withReflection(handlerFrom(service), {
    health: () => check(),
  });
  const [client] = t.pair({}, { handler });
  assertEquals(await client.call(HEALTH), { status: "serving" });
  check = () => Promise.resolve({ queue: 3 });
  assertEquals(await client.call(HEALTH), {
    status: "serving",
    details: { queue: 3 },
  });
  check = () => {
    throw new Error("no database");
  };
  assertEquals(await client.call(HEALTH), {
    status: "not-serving",
    reason: "no database",
  });
});

test("/_qtalk/health: one check runs at a time, for all who ask", async () => {
  let checks = 0;
  const answer = Promise.withResolvers<string>();
  const health = () => {
    checks++;
    return answer.promise;
  };
  const handler = withReflection(handlerFrom(service), { health });
  const asked = [handler.health(), handler.health()];
  answer.resolve("fine");
  for (const one of asked) {
    assertEquals(await one, { status: "serving", details: "fine" });
  }
  assertEquals(checks, 1);
});

test("/_qtalk/health: a check that takes too long says that the service does not serve", async (t) => {
  const handler = withReflection(handlerFrom(service), {
    health: () => new Promise(() => {}),
    healthTimeout: 5,
  });
  const [client] = t.pair({}, { handler });
  assertEquals(await client.call(HEALTH), {
    status: "not-serving",
    reason: "the check took longer than 5 ms",
  });
});

test("withReflection(): its calls pass through the middleware of the peer", async (t) => {
  const [client, server] = t.pair({}, {
    handler: withReflection(handlerFrom(service)),
  });
  server.use(withToken);
  await assertGuarded(client);
});

test("withReflection(): its calls pass through the middleware of the handler", async (t) => {
  const router = new Router();
  router.handle("", handlerFrom(service));
  router.use(withToken);
  const outer = new Router();
  outer.handle("", withMiddleware(handlerFrom(service), withToken));
  const deep = new Router();
  deep.handle("", outer);
  const handlers: Handler[] = [
    withMiddleware(handlerFrom(service), withToken),
    router,
    outer,
    deep,
    withReflection(router, { stats: false }),
  ];
  for (const handler of handlers) {
    await assertGuarded(t.pair({}, { handler: withReflection(handler) })[0]);
  }
});

test("withReflection(): middleware for a pattern decides by the selector", async (t) => {
  const router = new Router();
  router.handle("", handlerFrom(service));
  router.use("/_qtalk/stats", () => {
    throw new CallError("not for you", { code: "permission-denied" });
  });
  const [client] = t.pair({}, { handler: withReflection(router) });
  await client.call(DESCRIBE);
  const error = await assertRejects(() => client.call(STATS), RemoteError);
  assertEquals(error.code, "permission-denied");
});

test("ReflectionOptions.authorize: what it throws is the answer", async (t) => {
  const handler = withReflection(handlerFrom(service), {
    async authorize(call) {
      await Promise.resolve();
      if (call.meta.token !== "secret") {
        throw new CallError("who are you?", { code: "unauthenticated" });
      }
    },
  });
  const [client] = t.pair({}, { handler });
  await assertGuarded(client);
  assertEquals(await client.call("add", [1, 2]), 3);
});

test("ReflectionOptions.authorize: false refuses, and so does what is neither a boolean nor undefined", async (t) => {
  const errors: unknown[] = [];
  const refused = async (result: unknown) => {
    const handler = withReflection(handlerFrom(service), {
      authorize: () => result as boolean,
    });
    const onError = (error: unknown) => errors.push(error);
    const [client] = t.pair({}, { handler, onError });
    for (const selector of ALL) {
      const error = await assertRejects(
        () => client.call(selector),
        RemoteError,
      );
      if (await result !== false) continue;
      assertEquals(error.code, "permission-denied");
      assertEquals(error.message, `remote: permission denied: ${selector}`);
    }
    assertEquals(await client.call("add", [1, 2]), 3);
  };
  await refused(false);
  await refused(Promise.resolve(false));
  assertEquals(errors, [], "a refusal is no mistake");
  // What programs without types return by mistake.
  for (const result of [null, 0, "Ann", { user: "Ann" }, Promise.resolve(1)]) {
    await refused(result);
    assertEquals(errors.length, ALL.length);
    for (const error of errors.splice(0)) assertInstanceOf(error, TypeError);
  }
});

test("ReflectionOptions.authorize: true permits, and so does a check that returns nothing", async (t) => {
  for (const result of [true, undefined]) {
    for (const returned of [result, Promise.resolve(result)]) {
      const handler = withReflection(handlerFrom(service), {
        authorize: () => returned as boolean,
      });
      const [client] = t.pair({}, { handler });
      assertEquals(await client.call(HEALTH), { status: "serving" });
    }
  }
});

/** Middleware that lets calls through that have a token. */
function withToken(
  { meta }: { readonly meta: Readonly<Record<string, unknown>> },
  next: () => Promise<unknown>,
): Promise<unknown> {
  if (meta.token === "secret") return next();
  throw new CallError("who are you?", { code: "unauthenticated" });
}

async function assertGuarded(client: Peer): Promise<void> {
  for (const selector of ALL) {
    const error = await assertRejects(() => client.call(selector), RemoteError);
    assertEquals(error.code, "unauthenticated", selector);
    const options = { meta: { token: "secret" } };
    assert(await client.call(selector, null, options) !== null, selector);
  }
}

test("/_qtalk/stats: calls are counted by method and outcome, with their latencies", async (t) => {
  let now = 0;
  const handler = withReflectionAt(
    handlerFrom({
      add(a: number, b: number) {
        now += 20;
        return a + b;
      },
      fail(how: string) {
        if (how === "returned") return new CallError("no", { code: "denied" });
        throw how === "plain"
          ? new CallError("no")
          : new CallError("no", { code: how });
      },
      async *count() {
        now += 5;
        yield 1;
        now += 1_000;
        yield 2;
      },
    }),
    {},
    () => now,
  );
  const [client] = t.pair({}, { handler });
  for (let n = 0; n < 3; n++) await client.call("add", [1, 2]);
  for (const how of ["returned", "plain", "denied"]) {
    await assertRejects(() => client.call("fail", [how]));
  }
  await Array.fromAsync(await client.request("count"));
  await assertRejects(() => client.call("nowhere"));
  await client.call(HEALTH);
  await until(() => handler.stats()!.calls.inFlight === 0);

  const stats = await client.call(STATS) as ServiceStats;
  const { methods, others, calls, sessions, bytes, uptime } = stats;
  const outcomes = methods.map(({ selector, ended, outcomes, inFlight }) => [
    selector,
    ended,
    outcomes,
    inFlight,
  ]);
  assertEquals(outcomes, [
    ["/add", 3, { ok: 3 }, 0],
    ["/fail", 3, { denied: 2, error: 1 }, 0],
    ["/count", 1, { ok: 1 }, 0],
  ]);
  assertEquals(others.outcomes, { "not-found": 1 });
  assertEquals(calls.ended, 8);
  const [add, , count] = methods;
  assert(Math.abs(add!.latency.p50 - 20) <= 1, `${add!.latency.p50}`);
  assertEquals(add!.latency.max, 20);
  assertEquals(count!.latency.max, 5); // until the first value
  assertEquals(sessions, 1);
  assertEquals(uptime, now);
  assert(bytes.received > 0 && bytes.sent > 0);
});

test("/_qtalk/stats: calls in flight and calls that were given up are counted", async (t) => {
  const handler = withReflection((call, respond) =>
    new Promise<void>((resolve) => {
      call.signal.addEventListener("abort", () => {
        void respond.return(null);
        resolve();
      });
    })
  );
  const [client] = t.pair({}, { handler });
  const abort = new AbortController();
  const calling = client.call("wait", null, { signal: abort.signal });
  await until(() => handler.stats()!.calls.inFlight === 1);
  assertEquals(handler.stats()!.calls.ended, 0);
  abort.abort();
  await assertRejects(() => calling);
  await until(() => handler.stats()!.calls.ended === 1);
  assertEquals(handler.stats()!.calls.inFlight, 0);
  assertEquals(handler.stats()!.methods[0]!.outcomes, { cancelled: 1 });
});

test("/_qtalk/stats: streams, bytes and middleware work as without it", async (t) => {
  const pair = new TransformStream<Uint8Array, Uint8Array>();
  const router = new Router();
  router.handle(
    "",
    handlerFrom({
      async *count() {
        yield* [1, 2];
        throw new CallError("enough", { code: "enough" });
      },
      pipe: () => pair,
    }),
  );
  router.handle("several", (_call, respond) => respond.return(1, 2));
  router.handle("plain", async (_call, respond) => {
    const channel = await respond.continue(1);
    await respond.send(2);
    await channel.close();
  });
  const handler = withReflection(router);
  const [client, server] = t.pair({}, { handler });
  for (let round = 0; round < 2; round++) {
    const response = await client.request("count");
    const seen: unknown[] = [];
    const error = await assertRejects(async () => {
      for await (const value of response) seen.push(value);
    }, RemoteError);
    assertEquals([seen, error.code], [[1, 2], "enough"]);
    assertEquals((await client.request("several")).values, [1, 2]);
    const plain = await client.request("plain");
    assertEquals([plain.value, ...await Array.fromAsync(plain)], [1, 2]);
    // The second time with middleware, which sees streams as streams.
    server.use((_call, next) => next());
  }
  const bytes = await client.request("pipe");
  const writer = bytes.channel!.writable.getWriter();
  await writer.write(new Uint8Array([7]));
  await writer.close();
  assertEquals(
    [
      ...new Uint8Array(
        await new Response(bytes.channel!.readable).arrayBuffer(),
      ),
    ],
    [7],
  );
  const { methods } = handler.stats()!;
  const count = methods.find(({ selector }) => selector === "/count")!;
  assertEquals(count.ended, 2);
  assertEquals(count.outcomes.enough, 1); // middleware sends the other stream
});

test("/_qtalk/stats: calls that are forwarded are counted, and arrive as they are", async (t) => {
  const target = t.pair({}, { handler: handlerFrom(service) })[0];
  const handler = withReflection(forward(target));
  const [client] = t.pair({}, { handler });
  assertEquals(await client.call("add", [1, 2]), 3);
  await assertRejects(() => client.call("none"), RemoteError);
  await until(() => handler.stats()!.calls.inFlight === 0);
  const { methods } = handler.stats()!;
  assertEquals(methods.map(({ selector }) => selector).toSorted(), [
    "/add",
    "/none", // what the target answers passes by unread
  ]);
});

test("/_qtalk/stats: selectors that callers make up take a bounded amount of memory", async (t) => {
  const echo: Handler = (call, respond) => respond.return(call.selector);
  const handler = withReflection(echo, { maxMethods: 3 });
  const [client] = t.pair({}, { handler });
  for (let n = 0; n < 10; n++) await client.call(`n${n}`);
  await client.call("x".repeat(200));
  const { methods, others, calls } = handler.stats()!;
  assertEquals(methods.length, 3);
  assertEquals([others.ended, calls.ended], [8, 11]);

  const quiet = withReflection(handlerFrom(service), { maxMethods: 0 });
  const [other] = t.pair({}, { handler: quiet });
  await other.call("add", [1, 2]);
  assertEquals(quiet.stats()!.methods, []);
  assertEquals(quiet.stats()!.others.outcomes, { ok: 1 });
});

test("/_qtalk/stats: codes without end are counted as errors", async (t) => {
  const handler = withReflection(handlerFrom({
    fail(code: string) {
      throw new CallError("no", { code });
    },
  }));
  const [client] = t.pair({}, { handler });
  for (let n = 0; n < 100; n++) {
    await assertRejects(() => client.call("fail", [`code-${n}`]));
  }
  const { outcomes } = handler.stats()!.methods[0]!;
  assertEquals(Object.keys(outcomes).length, 33);
  assertEquals([outcomes["code-0"], outcomes.error], [1, 68]);
});

test("/_qtalk/stats: the bytes of sessions that have ended still count", async (t) => {
  const handler = withReflection(handlerFrom(service));
  const [one] = t.pair({}, { handler });
  const [two] = t.pair({}, { handler });
  await one.call("add", [1, 2]);
  await two.call("add", [1, 2]);
  assertEquals(handler.stats()!.sessions, 2);
  const { received } = handler.stats()!.bytes;
  await one.close();
  await until(() => handler.stats()!.sessions === 1);
  assert(handler.stats()!.bytes.received >= received);
});

test("withReflection(): without stats, nothing is counted", async (t) => {
  const handler = withReflection(handlerFrom(service), { stats: false });
  const [client] = t.pair({}, { handler });
  assertEquals(handler.stats(), undefined);
  const error = await assertRejects(() => client.call(STATS), RemoteError);
  assertEquals(error.code, "not-found");
});

Deno.test("withReflection(): it takes handlers only, and options in their range", () => {
  assertThrows(() => withReflection(service as never), TypeError);
  const handler = handlerFrom(service);
  for (const options of [{ healthTimeout: -1 }, { maxMethods: 1.5 }]) {
    assertThrows(() => withReflection(handler, options), RangeError);
  }
});

test("/_qtalk/stats: a call ends whatever its handler throws", async (t) => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const handler = withReflection(handlerFrom({
    now() {
      throw proxy;
    },
    later: () => Promise.reject(proxy),
  }));
  const [client] = t.pair({}, { handler, onError: () => {} });
  for (const name of ["now", "later"]) {
    await assertRejects(() => client.call(name), RemoteError);
  }
  const { inFlight, outcomes } = handler.stats()!.calls;
  assertEquals([inFlight, outcomes], [0, { error: 2 }]);
});

/**
 * Deadlines of calls: what the caller sends of its time limit, and what becomes of
 * it in handlers, in the calls that they make, and at peers that forward.
 *
 * @module
 */
import {
  type Call,
  type Callback,
  dial,
  forward,
  handlerFrom,
  listen,
  memoryTransports,
  Peer,
  qmux,
  RemoteError,
  RpcError,
  withCall,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { proxy } from "@qtalk/qtalk/mux";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertRejects } from "@std/assert";

import { test } from "../tests/support/harness.ts";
import { rawAccept, rawOpen } from "../tests/support/raw_call.ts";
import { turn, until, within } from "../tests/support/within.ts";

interface Header {
  Q: { deadline?: number };
}

/** Milliseconds that a handler has left; null if there is no deadline. */
function left({ deadline }: Call): number | null {
  return deadline === undefined ? null : deadline - performance.now();
}

function assertLeft(ms: unknown, most: number): void {
  assert(typeof ms === "number", `${ms} is left`);
  assert(ms > most - 20_000 && ms <= most, `${ms} of ${most} are left`);
}

/** What `performance.now()` returns in a test that lets time pass. */
function clock(t: { defer(cleanup: () => void): void }): { ahead: number } {
  const { now } = performance;
  const it = { ahead: 0 };
  performance.now = () => now.call(performance) + it.ahead;
  t.defer(() => {
    performance.now = now;
  });
  return it;
}

test("Call.deadline: it is what the timeout of the caller leaves, with every codec", async (t) => {
  for (const codec of [undefined, cbor(), msgpack()]) {
    const options = codec === undefined ? {} : { codec };
    const service = { left: withCall(left) };
    const [client] = t.pair(options, {
      ...options,
      handler: handlerFrom(service),
    });
    const timed = client.remote<typeof service>({ timeout: 60_000 });
    // The third call finds its header in both caches.
    for (let i = 0; i < 3; i++) assertLeft(await timed.left(), 60_000);
    assertLeft(
      await client.call("left", null, { timeout: 90_000 }),
      90_000,
    );
    assertLeft(await timed.left(), 60_000);
  }
});

test("Call.deadline: without a time limit of the caller there is none", async (t) => {
  const deadlines: unknown[] = [];
  const [client] = t.pair({}, {
    handler: (call) => void deadlines.push(call.deadline),
  });
  for (const timeout of [undefined, Infinity, 2 ** 31]) {
    await client.call("x", null, { timeout });
  }
  assertEquals(deadlines, [undefined, undefined, undefined]);
});

test("Call.deadline: what is no time limit is ignored, and one that has passed is not", async (t) => {
  const { raw } = t.scriptedPeer({ handler: handlerFrom(withCall(left)) });
  const tries: [unknown, boolean][] = [
    ["5", true],
    [null, true],
    [{}, true],
    [2 ** 40, true],
    [60_000, true],
    [0, false],
    [-1, false],
  ];
  for (const [deadline, begins] of tries) {
    const call = await rawOpen(raw);
    await call.values({ Selector: "x", Q: { v: 1, deadline } }, null);
    const [{ Error: text, Q }] = await call.read(1) as [
      { Error: string | null; Q: { code?: string } },
    ];
    assertEquals(text === null, begins, String(deadline));
    assertEquals(Q.code, begins ? undefined : "deadline-exceeded");
    await call.close();
  }
});

test("deadlines: whole milliseconds are sent, and none for a call without a limit", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const sent = async (options?: { timeout?: number }, args: unknown = null) => {
    const call = peer.call("x", args, options);
    const there = await rawAccept(raw);
    const [{ Q }] = await there.read(2) as [Header, unknown];
    // Without null for the error, no spare channels are opened.
    await there.values({ Continue: false }, null);
    await there.eof();
    await there.close();
    await call;
    return Q.deadline;
  };
  assertEquals(await sent(), undefined);
  const timed = await sent({ timeout: 60_000.5 });
  assert(Number.isInteger(timed) && timed! <= 60_001, String(timed));
  assertEquals(await sent({ timeout: Infinity }), undefined);
  assertEquals(await sent({ timeout: 2 ** 31 }), undefined);
  assertEquals(await sent(), undefined);
});

test("deadlines: the time that a call waits for a channel is taken off", async (t) => {
  const time = clock(t);
  const { peer, raw } = t.scriptedPeer();
  const call = peer.call("x", ["argument"], { timeout: 60_000 });
  await turn();
  time.ahead = 20_000;
  const there = await rawAccept(raw);
  const [{ Q }, args] = await there.read(2) as [Header, unknown];
  assert(Q.deadline! > 30_000 && Q.deadline! <= 40_000, String(Q.deadline));
  assertEquals(args, ["argument"]);
  await there.answer(null);
  await call;
});

test("deadlines: a call that arrives too late is not begun", async (t) => {
  const begun: string[] = [];
  const hold = Promise.withResolvers<void>();
  const time = clock(t);
  const { raw } = t.scriptedPeer({
    maxConcurrentCalls: 1,
    handler: async (call, respond) => {
      begun.push(call.selector);
      if (call.selector === "/first") await hold.promise;
      await respond.return(null);
    },
  });
  const call = async (selector: string, number: number) => {
    const made = await rawOpen(raw, number);
    const header = { Selector: selector, Q: { v: 1, deadline: 60_000 } };
    await made.values(header, null);
    return made;
  };
  const first = await call("first", 5);
  const late = await call("late", 6);
  await until(() => begun.length >= 1);
  await turn();
  time.ahead = 60_001;
  hold.resolve();
  await first.read(2);
  const [{ Error: text, Q }] = await late.read(1) as [
    { Error: string; Q: { code: string } },
  ];
  assertEquals(Q.code, "deadline-exceeded");
  assert(text.includes('"/late": its deadline had passed before it could'));
  await call("next", 7);
  await until(() => begun.length >= 2);
  assertEquals(begun, ["/first", "/next"]);
  for (const made of [first, late]) await made.close();
});

test("Call.signal: it aborts when the deadline has passed, and is not reported", async (t) => {
  const time = t.time();
  const reasons: unknown[] = [];
  const { raw } = t.scriptedPeer({
    handler: handlerFrom(withCall((call: Call) =>
      new Promise((_, reject) => {
        call.signal.addEventListener("abort", () => {
          reasons.push(call.signal.reason);
          reject(call.signal.reason);
        });
      })
    )),
  });
  // It neither closes the call nor has a limit of its own.
  const call = await rawOpen(raw);
  await call.values({ Selector: "x", Q: { v: 1, deadline: 5_000 } }, null);
  await turn();
  time.tick(4_000);
  await turn();
  assertEquals(reasons, []);
  time.tick(1_001);
  const [{ Q }] = await call.read(1) as [{ Q: { code: string } }];
  assertEquals(Q.code, "deadline-exceeded");
  assert(reasons[0] instanceof RpcError);
  assertEquals(reasons[0].code, "deadline-exceeded");
  await call.close();
});

test("Call.signal: what a handler returns after the deadline is no answer", async (t) => {
  const time = t.time();
  const reported: unknown[] = [];
  const aborted = ({ signal }: Call) =>
    new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true })
    );
  const { peer, raw } = t.scriptedPeer({
    onError: (error) => reported.push(error),
  });
  peer.handle("returns", async (call, respond) => {
    await aborted(call);
    await respond.return("a part");
  });
  peer.handle("continues", async (call, respond) => {
    await aborted(call);
    await respond.continue("a part");
  });
  for (const selector of ["returns", "continues"]) {
    const call = await rawOpen(raw);
    await call.values(
      { Selector: selector, Q: { v: 1, deadline: 60_000 } },
      null,
    );
    await turn();
    time.tick(60_001);
    const [header, value] = await call.read(2) as [
      { Q: { code: string } },
      null,
    ];
    assertEquals([header.Q.code, value], ["deadline-exceeded", null], selector);
    await call.close();
  }
  assertEquals(reported, []);
});

test("deadlines: streams that are returned too late are ended, as those of another call", async (t) => {
  const time = t.time();
  const ended: string[] = [];
  const streams = (name: string) => ({
    readable: new ReadableStream<Uint8Array>({
      cancel: () => void ended.push(`${name} readable`),
    }),
    writable: new WritableStream<Uint8Array>({
      abort: () => void ended.push(`${name} writable`),
    }),
  });
  const [near] = t.pair({}, { handler: handlerFrom(() => streams("far")) });
  const socket = {
    ...streams("socket"),
    read: () => Promise.resolve(null),
    write: ({ length }: Uint8Array) => Promise.resolve(length),
    closeWrite: () => Promise.resolve(),
    close: () => void ended.push("socket"),
  };
  const results: Record<string, () => unknown> = {
    own: () => streams("own"),
    socket: () => socket,
    far: async () => (await near.request("")).channel,
    nested: () => ({ body: streams("nested").readable, more: [values] }),
  };
  const values = {
    [Symbol.asyncIterator]: () => values,
    next: () => Promise.resolve({ done: false, value: 1 }),
    return: () => Promise.resolve(void ended.push("nested values")),
  };
  const { raw } = t.scriptedPeer({
    handler: handlerFrom(withCall(async ({ selector, signal }: Call) => {
      assert(!signal.aborted);
      const result = await results[selector.slice(1)]!();
      // The caller has not closed the call yet.
      time.tick(5_001);
      return result;
    })),
  });
  const expected: [string, string[]][] = [
    ["own", ["own readable", "own writable"]],
    ["socket", ["socket"]],
    ["far", ["far readable", "far writable"]],
    ["nested", ["nested readable", "nested values"]],
  ];
  for (const [selector, ends] of expected) {
    ended.length = 0;
    const call = await rawOpen(raw);
    const header = { Selector: selector, Q: { v: 1, deadline: 5_000 } };
    await call.values(header, null);
    const [{ Q }] = await call.read(1) as [{ Q: { code: string } }];
    assertEquals(Q.code, "deadline-exceeded", selector);
    await until(() => ended.length >= ends.length, selector);
    assertEquals(ended.toSorted(), ends);
    await call.close();
  }
});

test("CallOptions.timeout: whichever side notices first, the code is timeout", async (t) => {
  const time = clock(t);
  const { peer, raw } = t.scriptedPeer();
  const call = peer.call("x", null, { timeout: 60_000 });
  const there = await rawAccept(raw);
  await there.read(2);
  const tooLate = {
    Error: "too late",
    Continue: false,
    Q: { v: 1, code: "deadline-exceeded" },
  };
  time.ahead += 60_000;
  await there.values(tooLate, null);
  const error = await assertRejects(() => call, RpcError);
  assertEquals(error.code, "timeout");
  await there.close();

  // A handler may also report that of a call of its own.
  const other = peer.call("x", null, { timeout: 60_000 });
  const next = await rawAccept(raw, 11);
  await next.read(2);
  await next.values(tooLate, null);
  await assertRejects(() => other, RemoteError, "too late");
  await next.close();
});

test("Call.signal: the deadline ends with the first answer, and leaves no timer", async (t) => {
  const time = t.time();
  const aborted: unknown[] = [];
  const later: unknown[] = [];
  const service = {
    plain: withCall((call: Call) => void call.signal),
    ticks: withCall(async function* (call: Call) {
      call.signal.addEventListener("abort", () => aborted.push(call));
      yield 1;
      later.push(call.deadline);
      yield 2;
    }),
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const api = client.remote<typeof service>({ timeout: 5_000 });
  await api.plain();
  const ticks = api.ticks()[Symbol.asyncIterator]();
  assertEquals((await ticks.next()).value, 1);
  time.tick(10_000);
  assertEquals((await ticks.next()).value, 2);
  assertEquals((await ticks.next()).done, true);
  assertEquals([aborted, later], [[], [undefined]]);
});

test("Call.caller: its calls have no more time than is left", async (t) => {
  const [client] = t.pair({ handler: handlerFrom({ left: withCall(left) }) }, {
    handler: handlerFrom({
      inner: withCall((call: Call, timeout?: number) =>
        call.caller.call("left", null, { timeout })
      ),
      typed: withCall((call: Call) =>
        call.caller.remote<{ left(): number | null }>().left()
      ),
    }),
  });
  const options = { timeout: 60_000 };
  assertEquals(await client.call("inner"), null);
  assertLeft(await client.call("inner", null, options), 60_000);
  assertLeft(await client.call("typed", null, options), 60_000);
  assertLeft(await client.call("inner", [40_000], options), 40_000);
  assertLeft(await client.call("inner", [90_000], options), 60_000);
});

test("Call.caller: under a deadline, it refuses what is no options, too", async (t) => {
  const [client] = t.pair({ handler: () => {} }, {
    handler: handlerFrom({
      errors: withCall(async ({ caller }: Call) => {
        const errors: string[] = [];
        for (const options of [5, null, "text", []] as never[]) {
          for (const verb of ["call", "request"] as const) {
            const error = await assertRejects(
              () => caller[verb]("x", null, options),
              TypeError,
            );
            errors.push(error.message);
          }
        }
        return errors;
      }),
    }),
  });
  const plain = await client.call("errors") as string[];
  assertEquals(
    await client.call("errors", null, { timeout: 60_000 }),
    plain,
  );
  assertEquals(plain.length, 8);
});

test("Call.caller: a call of it that takes too long fails with deadline-exceeded, and is not reported", async (t) => {
  const time = t.time();
  const inner = Promise.withResolvers<unknown>();
  const reached = Promise.withResolvers<void>();
  const { raw } = t.scriptedPeer({
    handler: async (call) => {
      const result = call.caller.call("inner");
      reached.resolve();
      result.catch(inner.resolve);
      await result;
    },
  });
  const call = await rawOpen(raw, 10);
  await call.values({ Selector: "x", Q: { v: 1, deadline: 5_000 } }, null);
  await reached.promise;
  const there = await rawAccept(raw, 11);
  await there.read(2);
  time.tick(5_001);
  const error = await within(inner.promise, "the failure") as RpcError;
  assertEquals(error.code, "deadline-exceeded");
  await raw.find("close");
  await there.close();
  await call.close();
});

test("callbacks: calls of them have no more time than is left of the call that they came with", async (t) => {
  let kept: Callback<() => number | null> | undefined;
  const service = {
    use: (fn: Callback<() => number | null>) => fn(),
    keep(fn: Callback<() => number | null>) {
      kept = fn.retain();
    },
    useKept: () => kept!(),
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const api = client.remote<typeof service>({ timeout: 60_000 });
  const report = withCall(left) as () => number | null;
  assertLeft(await api.use(report), 60_000);
  await api.keep(report);
  // The call that it came with is over.
  assertEquals(await api.useKept(), null);
  kept!.release();
  await until(() => client.callbackCount === 0);
});

test("CallOptions.parent: a call to another peer has no more time than is left", async (t) => {
  const [middle] = t.pair({}, {
    handler: handlerFrom({ left: withCall(left) }),
  });
  const [client] = t.pair({}, {
    handler: handlerFrom({
      ask: withCall((call: Call) =>
        middle.call("left", null, { parent: call })
      ),
      askTyped: withCall((call: Call) =>
        middle.remote<{ left(): number | null }>({ parent: call }).left()
      ),
    }),
  });
  for (const method of ["ask", "askTyped"]) {
    assertEquals(await client.call(method), null);
    assertLeft(
      await client.call(method, null, { timeout: 60_000 }),
      60_000,
    );
  }
});

test("CallOptions.parent: a call for one whose deadline has passed is not made", async (t) => {
  const time = clock(t);
  const begun: string[] = [];
  const [middle] = t.pair({}, {
    handler: (call) => void begun.push(call.selector),
  });
  let failure: unknown;
  const [client] = t.pair({}, {
    handler: async (call) => {
      time.ahead = 60_001;
      failure = await middle.call("x", null, { parent: call }).catch((e) => e);
    },
  });
  await client.call("ask", null, { timeout: 60_000 });
  assert(failure instanceof RpcError);
  assertEquals(failure.code, "deadline-exceeded");
  assertEquals(begun, []);
});

test("forward(): it takes the time that it held a call off the deadline", async (t) => {
  const time = clock(t);
  const outgoing = t.scriptedPeer();
  const incoming = t.scriptedPeer({ handler: forward(outgoing.peer) });
  const Q = { v: 1, deadline: 60_000, meta: { a: 1 } };
  for (const held of [0, 20_000]) {
    const call = await rawOpen(incoming.raw);
    await call.values({ Selector: "x", Q }, null);
    await turn();
    time.ahead += held;
    const there = await rawAccept(outgoing.raw);
    const [header] = await there.read(2) as [{ Q: { deadline: number } }];
    const { deadline, ...rest } = header.Q;
    assertEquals(rest, { v: 1, meta: { a: 1 } });
    assertLeft(deadline, 60_000 - held);
    await there.values({ Continue: false, Q: { v: 1 } }, null);
    await there.eof();
    await there.close();
    await call.read(2);
    await call.close();
  }
});

test("forward(): a call whose deadline has passed meanwhile is not forwarded", async (t) => {
  const time = clock(t);
  const outgoing = t.scriptedPeer();
  const incoming = t.scriptedPeer({ handler: forward(outgoing.peer) });
  const call = await rawOpen(incoming.raw);
  await call.values({ Selector: "x", Q: { v: 1, deadline: 60_000 } }, null);
  await turn();
  time.ahead = 60_001;
  const there = await rawAccept(outgoing.raw);
  const [{ Q }] = await call.read(1) as [{ Q: { code: string } }];
  assertEquals(Q.code, "deadline-exceeded");
  await call.close();
  // The next call has its channel.
  const next = await rawOpen(incoming.raw, 1);
  await next.values({ Selector: "y" }, null);
  assertEquals((await there.read(2))[0], { Selector: "/y", S: "/y" });
  await there.close();
  await next.close();
});

test("deadlines: they pass through forward(), call by call", async (t) => {
  const [middle] = t.pair({}, {
    handler: handlerFrom({ left: withCall(left) }),
  });
  const [client] = t.pair({}, { handler: forward(middle) });
  for (let i = 0; i < 3; i++) {
    assertLeft(
      await client.call("left", null, { timeout: 60_000 }),
      60_000,
    );
    assertEquals(await client.call("left"), null);
  }
});

test("deadlines: calls with many different limits do not take the places of cached headers", async (t) => {
  const [client, server] = t.pair({}, { handler: (_, r) => r.return(null) });
  await client.call("warm");
  const { headers } = server.session.usage.held;
  for (let i = 0; i < 200; i++) {
    await client.call("x", null, { timeout: 60_000 + i });
  }
  const added = server.session.usage.held.headers - headers;
  assert(added <= 16 * 512, `${added} bytes of headers are remembered`);
});

test("CallOptions.timeout: a call with no time is not sent", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const error = await assertRejects(
    () => peer.call("x", null, { timeout: 0 }),
    RpcError,
    "within 0 ms",
  );
  assertEquals(error.code, "timeout");
  await turn();
  assertEquals(raw.takePending(), []);
});

test("callbacks: a call that lends the same one for longer is not limited by others", async (t) => {
  for (const timeout of [90_000, undefined]) {
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const service = {
      use: (fn: Callback<() => number | null>) => fn(),
      async hold(_fn: Callback<() => number | null>) {
        begun.resolve();
        await end.promise;
      },
    };
    const [client] = t.pair({}, { handler: handlerFrom(service) });
    const report = withCall(left) as () => number | null;
    const held = client.remote<typeof service>({ timeout }).hold(report);
    await begun.promise;
    const answer = await client.remote<typeof service>({ timeout: 60_000 })
      .use(report);
    if (timeout === undefined) assertEquals(answer, null);
    else assert(answer! > 60_000 && answer! <= timeout, `${answer} are left`);
    end.resolve();
    await held;
  }
});

test("deadlines: they pass through proxies, as they are", async (t) => {
  const [left1, right1] = memoryTransports();
  const [left2, right2] = memoryTransports();
  const handler = handlerFrom({ left: withCall(left) });
  const server = t.watch(new Peer(qmux(right1), { handler }));
  const proxied = proxy(qmux(right2), qmux(left1));
  const client = t.watch(new Peer(qmux(left2)));
  assertLeft(await client.call("left", null, { timeout: 60_000 }), 60_000);
  await client.close();
  await server.close();
  await proxied.catch(() => {});
});

test("reconnecting peer: a call for another one waits no longer than that for a connection", async (t) => {
  const time = clock(t);
  const waits = Promise.withResolvers<void>();
  const listener = await listen("tcp://127.0.0.1:0");
  await using peer = await dial(listener.addr, {
    reconnect: {
      minDelay: 60_000,
      maxDelay: 60_000,
      onState: ({ name }) => name === "waiting" && waits.resolve(),
    },
  });
  await listener.close();
  await waits.promise;
  let failure: unknown;
  const [client] = t.pair({}, {
    handler: async (call) => {
      time.ahead = 60_001;
      failure = await peer.call("x", null, { parent: call }).catch((e) => e);
    },
  });
  await client.call("ask", null, { timeout: 60_000 });
  assertEquals((failure as RpcError).code, "deadline-exceeded");
  failure = undefined;
  const soon = { deadline: performance.now() + 5 } as Call;
  const waiting = await peer.call("x", null, { parent: soon }).catch((e) => e);
  assertEquals((waiting as RpcError).code, "deadline-exceeded");
});

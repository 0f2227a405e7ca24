import {
  type Call,
  type Callback,
  callback,
  CallError,
  handlerFrom,
  json,
  memoryPair,
  type Peer,
  type PeerOptions,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import {
  rawAccept,
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";

type Fn = Callback<(...args: unknown[]) => unknown>;

function pair(service: object, options: PeerOptions = {}) {
  const [client, server] = memoryPair(options, {
    ...options,
    handler: handlerFrom(service),
  });
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

/** Waits until a peer lends that many functions. */
async function held(peer: Peer, count: number): Promise<void> {
  await until(
    () => peer.callbackCount === count,
    `${count} callbacks to be held (${peer.callbackCount} are)`,
  );
}

Deno.test("callbacks: a function among the arguments can be called by the responder", async () => {
  const service = {
    each: async (names: string[], fn: Callback<(name: string) => number>) =>
      await Promise.all(names.map((name) => fn(name))),
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  const lengths = await api.each(["a", "bb"], (name) => name.length);
  assertEquals(lengths, [1, 2]);
  assertEquals(it.client.callbackCount, 0);
});

Deno.test("callbacks: functions at any depth of arguments and results are sent in every codec", async () => {
  for (const codec of [json(), cbor(), msgpack()]) {
    await using it = pair({
      async use(value: { deep: [{ fn: Fn }]; plain: unknown }) {
        return [await value.deep[0].fn("sent"), value.plain];
      },
      result: () => ({ list: [{ fn: (n: number) => n + 1 }, 2, null] }),
    }, { codec });
    const sent = { deep: [{ fn: (...args: unknown[]) => args }], plain: 1 };
    assertEquals(await it.client.call("use", [sent]), [["sent"], 1]);
    const { list: [first, ...others] } = await it.client.call("result") as {
      list: [{ fn: Fn }, ...unknown[]];
    };
    assertEquals(await first.fn(1), 2);
    assertEquals(others, [2, null]);
    first.fn.release();
    await held(it.server, 0);
    assertEquals(it.client.callbackCount, 0);
  }
});

Deno.test("callbacks: on the wire, a function is a map with the key $fnptr and an ID of 20 characters", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.call("x", [{ fn: () => "called" }, () => {}]);
  const channel = await rawAccept(raw);
  const [, args] = await channel.read(2) as [
    unknown,
    [{ fn: { $fnptr: string } }, { $fnptr: string }],
  ];
  const ids = [args[0].fn.$fnptr, args[1].$fnptr];
  assertEquals(args, [{ fn: { $fnptr: ids[0] } }, { $fnptr: ids[1] }]);
  for (const id of ids) assertMatch(id!, /^_[A-Za-z0-9~-]{19}$/);
  assert(ids[0] !== ids[1]);
  assertEquals(peer.callbackCount, 2);
  await channel.answer(null);
  await answer;
  assertEquals(peer.callbackCount, 0);
});

Deno.test("callbacks: a function of a peer like the reference is called by its ID, with an array of arguments", async () => {
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom(async (fn: Fn) => ["got", await fn(1, "two")]),
  });
  await using _ = peer;
  const id = "bp8r1ofqk6ik0jqd2bbg";
  const call = await rawCall(raw, "x", [{ $fnptr: id }]);
  const back = await rawAccept(raw, 1);
  const [header, args] = await back.read(2);
  assertEquals((header as { Selector: string }).Selector, id);
  assertEquals(args, [1, "two"]);
  await back.answer("three");
  assertEquals((await call.read(2))[1], ["got", "three"]);
});

Deno.test("callbacks: a call of a callback by a peer like the reference is answered", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.call("x", [(a: number, b: number) => a + b]);
  const channel = await rawAccept(raw);
  const [, [{ $fnptr: id }]] = await channel.read(2) as [
    unknown,
    [{ $fnptr: string }],
  ];
  const back = await rawCall(raw, id, [1, 2]);
  assertEquals((await back.read(2))[1], 3);
  await channel.answer("done");
  assertEquals(await answer, "done");
});

Deno.test("callbacks: only a map with no other key than $fnptr is a function", async () => {
  const values = [
    { $fnptr: 1 },
    { $fnptr: "" },
    { $fnptr: "id", more: true },
    { fnptr: "id" },
    ["$fnptr", "id"],
    { text: "a $fnptr in a text" },
  ];
  await using it = pair({ echo: (value: unknown) => value });
  for (const value of values) {
    assertEquals(await it.client.call("echo", [value]), value);
  }
});

Deno.test("callbacks: in JSON, the key $fnptr may have escapes", async () => {
  const keys = ["\\u0024fnptr", "$\\u0066n\\u0070tr", "\\u0024fnpt\\u0072"];
  for (const key of keys) {
    const { encodeInto: _encodeInto, ...plain } = json();
    const escaping = {
      ...plain,
      encode: (value: unknown) => {
        const text = new TextDecoder().decode(plain.encode(value));
        return new TextEncoder().encode(text.replaceAll("$fnptr", key));
      },
    };
    await using it = pair({
      twice: async (fn: Callback<(n: number) => number>) => {
        const result = await fn(await fn(3));
        return { result, again: () => result };
      },
    }, { codec: escaping });
    const answer = await it.client.call("twice", [(n: number) => n * 2]);
    const { result, again } = answer as { result: number; again: Fn };
    assertEquals(result, 12);
    assertEquals(await again(), 12, key);
    again.release();
  }
});

Deno.test("callbacks: a key __proto__ cannot change the prototype of a value", async () => {
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom((value: Record<string, unknown>) => [
      Object.getPrototypeOf(value) === Object.prototype,
      typeof Object.getOwnPropertyDescriptor(value, "__proto__")?.value,
    ]),
  });
  await using _ = peer;
  const value = JSON.parse('[{"__proto__": {"$fnptr": "some.selector"}}]');
  const call = await rawCall(raw, "x", value);
  assertEquals((await call.read(2))[1], [true, "function"]);
});

Deno.test("callbacks: a callback can take callbacks, can stream and can fail", async () => {
  const service = {
    async chain(fn: Callback<(g: Callback<() => string>) => string>) {
      return await fn((() => "inner") as unknown as Callback<() => string>);
    },
    async sum(numbers: Callback<() => AsyncIterable<number>>) {
      let sum = 0;
      for await (const n of numbers()) sum += n;
      return sum;
    },
    async tell(fn: Callback<() => void>) {
      try {
        await fn();
      } catch (error) {
        return (error as RemoteError).text;
      }
      return "no error";
    },
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  assertEquals(
    await api.chain(async (g) => `outer ${await g()}`),
    "outer inner",
  );
  assertEquals(
    await api.sum(async function* () {
      yield* [1, 2, 3];
    }),
    6,
  );
  const text = await api.tell(() => {
    throw new Error("not today");
  });
  assertEquals(text, "not today");
  await held(it.client, 0);
  await held(it.server, 0);
});

Deno.test("callbacks: a callback made by withStream() gets the values that its caller streams", async () => {
  const service = {
    async feed(fn: Callback<(values: AsyncIterable<number>) => string>) {
      return await fn((async function* () {
        yield* [1, 2];
      })());
    },
  };
  await using it = pair(service);
  const collect = withStream(async (values: AsyncIterable<number>) =>
    (await Array.fromAsync(values)).join()
  );
  assertEquals(await it.client.call("feed", [collect]), "1,2");
});

Deno.test("callbacks: a callback is released when its call is answered, and calling it later fails at once", async () => {
  let kept: Fn | undefined;
  await using it = pair({
    async use(fn: Fn) {
      kept = fn;
      return await fn();
    },
  });
  assertEquals(await it.client.call("use", [() => "alive"]), "alive");
  const error = await assertRejects(async () => await kept!(), RpcError);
  assertEquals(error.code, "released");
  assertMatch(
    error.message,
    /^Cannot call callback of "[^"]+": it was released, or not kept with retain\(\)/,
  );
  assertThrows(() => kept!.retain(), RpcError, "Cannot retain callback");
});

Deno.test("callbacks: a callback can be called as long as its continued call is open", async () => {
  const service = {
    async *ticks(fn: Callback<(n: number) => number>) {
      for (let n = 0;; n++) yield await fn(n);
    },
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  const seen: number[] = [];
  for await (const n of api.ticks((n) => 10 * n)) {
    seen.push(n);
    if (n === 20) break;
  }
  assertEquals(seen, [0, 10, 20]);
  await held(it.client, 0);
});

Deno.test("Callback.retain: a retained callback can be called until it is released", async () => {
  const listeners: Callback<(n: number) => number>[] = [];
  const service = {
    listen: (fn: Callback<(n: number) => number>) => {
      listeners.push(fn.retain());
    },
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  await api.listen((n) => 2 * n);
  await api.listen((n) => 3 * n);
  assertEquals(it.client.callbackCount, 2);
  assertEquals(await Promise.all(listeners.map((fn) => fn(7))), [14, 21]);
  listeners[0]!.release();
  listeners[0]!.release();
  await held(it.client, 1);
  await assertRejects(async () => await listeners[0]!(1), RpcError, "released");
  assertEquals(await listeners[1]!(1), 3);
  {
    using _last = listeners[1]!;
  }
  await held(it.client, 0);
});

Deno.test("Callback.retain: an error response and a late response retain a callback, too", async () => {
  const listeners: Fn[] = [];
  await using it = pair({
    async fail(fn: Fn) {
      listeners.push(fn.retain());
      await turn();
      throw new Error("and yet it stays");
    },
  });
  await assertRejects(() => it.client.call("fail", [() => 1]), RemoteError);
  assertEquals(await listeners[0]!(), 1);
  listeners[0]!.release();
  await held(it.client, 0);
});

Deno.test("Callback.retain: a callback that is released before the answer is not kept", async () => {
  await using it = pair({
    quick: (fn: Fn) => fn.retain().release(),
    using: (fn: Fn) => {
      using _held = fn.retain();
    },
  });
  await it.client.call("quick", [() => 1]);
  await it.client.call("using", [() => 1]);
  assertEquals(it.client.callbackCount, 0);
});

Deno.test("Callback.retain: a callback cannot be retained after a continued response", async () => {
  let kept: Fn | undefined;
  await using it = pair({
    async *later(fn: Fn) {
      kept = fn;
      yield "answered";
    },
  });
  const response = await it.client.request("later", [() => 1]);
  assertEquals(await response.receive(), "answered");
  assertThrows(() => kept!.retain(), RpcError, "it was released");
  await response.close();
});

Deno.test("callbacks: a call of a callback that is not awaited arrives, although the answer is sent first", async () => {
  const heard: unknown[] = [];
  await using it = pair({
    progress: (fn: Fn) => {
      for (let i = 0; i < 3; i++) void fn(i);
      return "done";
    },
  });
  assertEquals(
    await it.client.call("progress", [heard.push.bind(heard)]),
    "done",
  );
  await held(it.client, 0);
  assertEquals(heard.toSorted(), [0, 1, 2]);
});

Deno.test("Callback.release: a function in a result can be called until it is released", async () => {
  const service = {
    counter: () => {
      let n = 0;
      return { next: () => ++n };
    },
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  const counter = await api.counter();
  {
    using next = counter.next;
    assertEquals(await next(), 1);
    using again = next.retain();
    assertEquals(await again(), 2);
    assertEquals(it.server.callbackCount, 1);
  }
  await held(it.server, 0);
  await assertRejects(async () => await counter.next(), RpcError, "released");
});

Deno.test("Callback.release: calls that were made before the release are answered", async () => {
  const gate = Promise.withResolvers<string>();
  await using it = pair({ make: () => () => gate.promise });
  const fn = await it.client.call("make") as Fn;
  const answer = fn();
  fn.release();
  for (let i = 0; i < 3; i++) await turn();
  assertEquals(it.server.callbackCount, 1);
  gate.resolve("answered");
  assertEquals(await answer, "answered");
  await held(it.server, 0);
});

Deno.test("callbacks: the end of the session releases all callbacks", async () => {
  for (const end of ["client", "server"] as const) {
    const listeners: Fn[] = [];
    await using it = pair({
      listen: (fn: Fn) => void listeners.push(fn.retain()),
      make: () => () => 1,
    });
    await it.client.call("listen", [() => 1]);
    await it.client.call("make");
    assertEquals([it.client.callbackCount, it.server.callbackCount], [1, 1]);
    await it[end].close();
    await it.client.closed;
    await it.server.closed;
    await turn();
    assertEquals([it.client.callbackCount, it.server.callbackCount], [0, 0]);
    await assertRejects(async () => await listeners[0]!());
    listeners[0]!.release();
  }
});

Deno.test("callbacks: a call that fails, times out or is cancelled releases its callbacks", async () => {
  await using it = pair({
    fail: (_fn: Fn) => {
      throw new Error("no");
    },
    never: (_fn: Fn) => new Promise(() => {}),
  });
  const fn = () => 1;
  await assertRejects(() => it.client.call("fail", [fn]), RemoteError);
  assertEquals(it.client.callbackCount, 0);
  await assertRejects(() => it.client.call("never", [fn], { timeout: 1 }));
  assertEquals(it.client.callbackCount, 0);
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => it.client.call("never", [fn], { signal }));
  assertEquals(it.client.callbackCount, 0);
});

Deno.test("callbacks: a peer that drains still answers callbacks of running calls", async () => {
  const began = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using it = pair({
    async slow(fn: Fn) {
      began.resolve();
      await go.promise;
      return await fn("late");
    },
  });
  const answer = it.client.call("slow", [
    (text: string) => `${text}, but here`,
  ]);
  await within(began.promise, "the call to begin");
  const closing = it.client.close({ drainTimeout: 20_000 });
  go.resolve();
  assertEquals(await answer, "late, but here");
  await within(closing, "close()");
});

Deno.test("callbacks: functions in a value that cannot be encoded are not lent", async () => {
  await using it = pair({ bad: () => [() => 1, Symbol("s")] });
  const error = await assertRejects(
    () => it.client.call("x", [() => 1, new Map()]),
    CodecError,
  );
  assertEquals(
    error.message,
    'Cannot encode value as JSON: a Map is not supported, at value[1], in call "x"',
  );
  assertEquals(it.client.callbackCount, 0);
  await assertRejects(
    () => it.client.call("bad"),
    RemoteError,
    "a symbol is not supported, at value[1]",
  );
  assertEquals(it.server.callbackCount, 0);
});

Deno.test("callbacks: an instance of a class without data is refused, whose methods would not arrive", async () => {
  class Methods {
    next() {
      return 1;
    }
  }
  const service = {
    literal: () => ({
      next() {
        return 1;
      },
    }),
    instance: (): { next(): number } => new Methods(),
    nested: (): { list: { next(): number }[]; own(): Promise<number> } => ({
      list: [new Methods()],
      own: () => Promise.resolve(1),
    }),
  };
  const [client, server] = memoryPair({}, {
    handler: handlerFrom(service),
    onError: () => {},
  });
  await using _ = client;
  const api = client.remote<typeof service>();
  using next = (await api.literal()).next;
  assertEquals(await next(), 1);
  for (
    const [call, at] of [
      [api.instance(), ""],
      [api.nested(), ".list[0]"],
    ] as const
  ) {
    const error = await assertRejects(
      async () => await call,
      RemoteError,
      "an instance of Methods is not supported (it has no data of its own, and methods do not arrive; send an object literal)",
    );
    assertEquals(
      error.text.endsWith(`literal)${at && `, at value${at}`}`),
      true,
    );
    assertEquals(error.code, "unsupported-type");
  }
  assertEquals(server.callbackCount, 1);
});

Deno.test("callbacks: maxCallbacks limits the functions that a peer lends", async () => {
  const listeners: Fn[] = [];
  await using it = pair({
    listen: (fn: Fn) => void listeners.push(fn.retain()),
  }, { maxCallbacks: 2 });
  for (let i = 0; i < 2; i++) await it.client.call("listen", [() => i]);
  const error = await assertRejects(
    () => it.client.call("listen", [() => 2]),
    RpcError,
  );
  assertEquals(error.code, "limit-exceeded");
  assertEquals(it.client.callbackCount, 2);
  listeners[0]!.release();
  await held(it.client, 1);
  await it.client.call("listen", [() => 3]);
  const many = assertRejects(
    () => it.client.call("listen", [[() => 1, () => 2, () => 3]]),
    RpcError,
  );
  await many;
  assertEquals(it.client.callbackCount, 2);
});

Deno.test("callbacks: functions in streamed arguments, streamed replies and sent values are released with the call", async () => {
  await using it = pair({
    relay: withCall(async function* (call: Call) {
      for await (const fn of call) yield [await (fn as Fn)(), () => "item"];
    }),
  });
  const response = await it.client.request("relay", []);
  await response.send(() => "sent");
  const [sent, item] = await response.receive() as [string, Fn];
  assertEquals(sent, "sent");
  assertEquals(await item(), "item");
  assertEquals(it.client.callbackCount, 1);
  item.release();
  await response.close();
  await held(it.client, 0);
  await held(it.server, 0);
});

Deno.test("callbacks: a call of a released callback does not reach a handler", async () => {
  const { peer, raw } = scriptedPeer({
    handler: (call, respond) => respond.return(`handler ${call.selector}`),
  });
  await using _ = peer;
  const answer = peer.call("x", [() => 1]);
  const channel = await rawAccept(raw);
  const [, [{ $fnptr: id }]] = await channel.read(2) as [
    unknown,
    [{ $fnptr: string }],
  ];
  await channel.answer(null);
  await answer;
  const late = await rawCall(raw, id, []);
  const [{ Error: text }] = await late.read(1) as [{ Error: string }];
  assertEquals(text, `Cannot call callback "${id}": it was released`);
  // A selector that only looks like an ID reaches the handler.
  for (const other of ["_", "_other", `${id}x`, "_qtalk.release", "_qtalk"]) {
    const call = await rawCall(raw, other, []);
    const [, value] = await call.read(2);
    assertEquals(value, `handler /${other.replaceAll(".", "/")}`);
  }
});

Deno.test("callbacks: a release is sent to extended peers only", async () => {
  const id = "bp8r1ofqk6ik0jqd2bbg";
  for (const extended of [false, true]) {
    let kept: Fn | undefined;
    const { peer, raw } = scriptedPeer({
      handler: handlerFrom((fn: Fn) => void (kept = fn.retain())),
    });
    await using _ = peer;
    const extension = extended ? { Q: { v: 1 } } : {};
    const channel = await rawOpen(raw);
    await channel.values({ Selector: "x", ...extension }, [{ $fnptr: id }]);
    const [header] = await channel.read(2) as [{ Q?: unknown }];
    assertEquals(header.Q, extended ? { v: 1, keep: [id] } : undefined);
    kept!.release();
    if (extended) {
      const release = await rawAccept(raw, 7);
      const [{ Selector }] = await release.read(1) as [{ Selector: string }];
      assertEquals(Selector, `/_qtalk/release/${id}`);
    } else {
      await turn();
      assertEquals(raw.pending.filter(({ type }) => type === "open"), []);
    }
  }
});

Deno.test("callback(): the function can be called until this side releases it", async () => {
  let kept: Fn | undefined;
  await using it = pair({
    use: (fn: Fn) => {
      kept = fn.retain();
    },
  });
  const fn = callback((n: number) => n + 1);
  assertEquals(fn(1), 2);
  await it.client.call("use", [fn]);
  await it.client.call("use", [fn]);
  assertEquals(it.client.callbackCount, 1);
  assertEquals(await kept!(1), 2);
  // The peer has released it; this side has not.
  kept!.release();
  await it.client.call("use", [fn]);
  assertEquals(await kept!(2), 3);
  fn.release();
  assertEquals(it.client.callbackCount, 0);
  await assertRejects(async () => await kept!(1), RemoteError, "was released");
  const error = await assertRejects(
    () => it.client.call("use", [fn]),
    RpcError,
    "Cannot send callback: it was released",
  );
  assertEquals(error.code, "released");
});

Deno.test("callback(): one function serves several sessions, and outlives them", async () => {
  const calls: unknown[] = [];
  using fn = callback((name: string) => void calls.push(name));
  for (const name of ["a", "b"]) {
    await using it = pair({ use: async (fn: Fn) => void await fn(name) });
    await it.client.call("use", [fn]);
    assertEquals(it.client.callbackCount, 1);
  }
  assertEquals(calls, ["a", "b"]);
});

Deno.test("callbacks: a callback that is sent back to its owner calls through both sides", async () => {
  const service = {
    pass: async (fn: Callback<(back: Fn) => unknown>) =>
      await fn((() => "server") as unknown as Fn),
  };
  await using it = pair(service);
  const api = it.client.remote<typeof service>();
  const result = await api.pass(async (back) => `client ${await back()}`);
  assertEquals(result, "client server");
});

Deno.test("callbacks: none is left after 100,000 calls with a callback each", async () => {
  let sum = 0;
  await using it = pair({
    each: async (n: number, fn: Callback<(n: number) => void>) => await fn(n),
  });
  const api = it.client.remote<
    { each(n: number, fn: Callback<(n: number) => void>): Promise<void> }
  >();
  let left = 100_000;
  const work = async () => {
    while (left-- > 0) await api.each(1, (n) => void (sum += n));
  };
  await Promise.all(Array.from({ length: 500 }, work));
  assertEquals(sum, 100_000);
  assertEquals([it.client.callbackCount, it.server.callbackCount], [0, 0]);
});

test("callback(): a call can carry it in any number of values", async (t) => {
  const [client, server] = t.pair();
  server.handle(
    "count",
    handlerFrom(withStream(async (values: AsyncIterable<unknown>) => {
      let n = 0;
      for await (const _ of values) n++;
      return n;
    })),
  );
  using fn = callback(() => {});
  async function* values() {
    for (let i = 0; i < 20_000; i++) yield { fn };
  }
  assertEquals(await client.call("count", values()), 20_000);
});

test("Callback.retain: the answer names a callback once, however often it was sent", async (t) => {
  const [client, server] = t.pair();
  server.handle(
    "keep",
    handlerFrom((fns: Callback<() => number>[]) => {
      for (const fn of fns) fn.retain();
    }),
  );
  using fn = callback(() => 1);
  // Named each time, the answer's header would exceed 64 KiB.
  const fns = Array.from({ length: 5_000 }, () => fn);
  assertEquals(await client.call("keep", [fns]), null);
});

/** A pair whose server collects what it reports. */
function reporting(t: Harness, service: object) {
  const reports: [string, string | undefined][] = [];
  const [client, server] = t.pair({}, {
    handler: handlerFrom(service),
    onError: (error, { selector }) =>
      reports.push([(error as Error).message, selector]),
  });
  /** Waits until that many errors were reported. */
  const reported = (count: number) =>
    until(() => reports.length >= count, `${count} reports`);
  return { client, server, reports, reported };
}

function failing(): never {
  throw new CallError("no");
}

test("callbacks: a failure that nothing takes is reported with the selector of the call it came with", async (t) => {
  const kept: Callback<() => void>[] = [];
  const service = {
    deep: {
      tell: (fn: Callback<() => void>) => void fn(),
      keep: (fn: Callback<() => void>) => void kept.push(fn.retain()),
    },
  };
  const { client, reports, reported } = reporting(t, service);
  const api = client.remote<typeof service>();
  await api.deep.tell(failing);
  await reported(1);
  await api.deep.keep(failing);
  void kept[0]!();
  await reported(2);
  kept[0]!.release();
  // Too late: not even that is an unhandled rejection.
  void kept[0]!();
  await reported(3);
  assertEquals(reports.slice(0, 2), [
    ["remote: no", "/deep/tell"],
    ["remote: no", "/deep/keep"],
  ]);
  assertMatch(reports[2]![0], /: it was released, .*retain\(\)/);
  await held(client, 0);
});

test("callbacks: that of a function in a response is reported, too", async (t) => {
  const service = { maker: { make: () => failing } };
  const reports: unknown[] = [];
  const [client] = t.pair(
    { onError: (error, { selector }) => reports.push([error, selector]) },
    { handler: handlerFrom(service) },
  );
  using fn = await client.remote<typeof service>().maker.make();
  void fn();
  await client.call("maker.make", []).then((fn) => (fn as Fn).release());
  await until(() => reports.length > 0);
  const [[error, selector]] = reports as [[RemoteError, string]];
  assertEquals([error.text, selector], ["no", "/maker/make"]);
});

test("callbacks: a failure that is taken is not reported", async (t) => {
  const texts: string[] = [];
  const service = {
    async takes(fn: Callback<() => void>) {
      await fn().catch((error: RemoteError) => texts.push(error.text));
      const late = fn();
      const stream = fn() as unknown as AsyncIterable<never>;
      await Array.fromAsync(stream).catch((error) => texts.push(error.text));
      await late.catch((error: RemoteError) => texts.push(error.text));
      // Taken as a stream, though nothing of it is asked for.
      (fn() as unknown as AsyncIterable<never>)[Symbol.asyncIterator]();
    },
  };
  const { client, reports } = reporting(t, service);
  let calls = 0;
  await client.remote<typeof service>().takes(async () => {
    // The second call answers last.
    if (++calls === 2) { for (let i = 0; i < 10; i++) await turn(); }
    failing();
  });
  assertEquals(texts, ["no", "no", "no"]);
  await client.call("missing").catch(() => {});
  assertEquals(reports, []);
});

test("callbacks: those of a client that has gone are reported", async (t) => {
  const service = {
    hold: async (fn: Callback<() => void>) => {
      void fn();
      await new Promise<void>(() => {});
    },
  };
  const { client, reports, reported } = reporting(t, service);
  const answer = client.call("hold", [() => new Promise(() => {})]);
  answer.catch(() => {});
  await until(() => client.session.usage.channels >= 2);
  await client.close();
  await reported(1);
  assertEquals(reports[0]![1], "/hold");
});

test("callbacks: functions in a Map or a Set, and beside a Date, arrive with CBOR", async (t) => {
  const codec = cbor();
  const [client, server] = t.pair({ codec }, { codec });
  const at = new Date(5);
  server.handle(
    "",
    handlerFrom(async (
      map: Map<string, Callback<(n: number) => number>>,
      [fn]: Set<Callback<() => string>>,
      given: { at: Date; set: Set<bigint> },
    ) => [
      await map.get("double")!(21),
      await fn!(),
      given.at.getTime(),
      [...given.set],
    ]),
  );
  const answer = await client.call("", [
    new Map([["double", (n: number) => 2 * n]]),
    new Set([() => "called"]),
    { at, set: new Set([2n]) },
  ]);
  assertEquals(answer, [42, "called", 5, [2n]]);
  assertEquals(client.callbackCount, 0);
});

test("callbacks: what an answer lends is released once if its caller gives up while it is sent", async (t) => {
  const fn = () => 1;
  const { peer, raw } = t.scriptedPeer({
    handler: handlerFrom({ one: () => fn, large: () => [fn, "x".repeat(1e5)] }),
  });
  const Q = { v: 1 };
  const one = await rawOpen(raw);
  await one.values({ Selector: "one", Q }, []);
  const [, { $fnptr }] = await one.read(2) as [unknown, { $fnptr: string }];
  await one.eof();
  await one.close();
  // Only a part of this answer can leave.
  const large = await rawOpen(raw, 1, 1_000);
  await large.values({ Selector: "large", Q }, []);
  await raw.find("data");
  await large.close();
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(peer.callbackCount, 1);
  const release = await rawOpen(raw, 2);
  await release.values({ Selector: `/_qtalk/release/${$fnptr}`, Q }, 1);
  await release.read(2);
  await release.close();
  assertEquals(peer.callbackCount, 0);
});

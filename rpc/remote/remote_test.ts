import {
  type Callback,
  handlerFrom,
  json,
  memoryPair,
  type MuxError,
  type PeerOptions,
  type Remote,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { collectGarbage } from "../../tests/support/memory.ts";
import { rawAccept, scriptedPeer } from "../../tests/support/raw_call.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";
import type { ByteStream } from "./streams.ts";

const service = {
  Upper: (s: string) => s.toUpperCase(),
  none: () => {},
  find: (id: number) => id === 1 ? { id } : undefined,
  count: (...args: unknown[]) => args.length,
  fail: (text: string): never => {
    throw new Error(text);
  },
  math: {
    add: (a: number, b: number) => a + b,
    trig: { sin: (x: number) => Math.sin(x) },
  },
  async *to(end: number) {
    for (let n = 1; n <= end; n++) yield await Promise.resolve(n);
  },
  where: withCall((call) => call.selector),
  gzip: (): ByteStream => new CompressionStream("gzip"),
};

function connected(options: PeerOptions = {}) {
  const [client, server] = memoryPair({}, {
    handler: handlerFrom(service),
    ...options,
  });
  return {
    api: client.remote<typeof service>(),
    client,
    server,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

Deno.test("Remote: a method is called like a local one", async () => {
  await using it = connected();
  assertEquals(await it.api.Upper("hi"), "HI");
  assertEquals(await it.api.none(), null as unknown as void);
  assertEquals(await it.api.find(1), { id: 1 });
  assertEquals(await it.api.find(2), null);
});

Deno.test("Remote: methods of nested objects are called by nested selectors", async () => {
  await using it = connected();
  assertEquals(await it.api.math.add(1, 2), 3);
  assertEquals(await it.api.math.trig.sin(0), 0);
  const { sin } = it.api.math.trig;
  assertEquals(await sin(0), 0, "methods can be taken from their object");
});

Deno.test("Remote: a method sends its arguments as one array", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const api = peer.remote<{ a: { b(...args: unknown[]): unknown } }>();
  const answer = api.a.b(1, [2], { three: 3 });
  const channel = await rawAccept(raw);
  const [header, args] = await channel.read(2);
  assertEquals((header as { Selector: string }).Selector, "a/b");
  assertEquals(args, [1, [2], { three: 3 }]);
  await channel.answer("done");
  assertEquals(await answer, "done");
});

Deno.test("Remote: a function calls the peer's handler for the empty selector", async () => {
  const fn = (s: string) => s.length;
  const [client] = memoryPair({}, { handler: handlerFrom(fn) });
  await using _ = client;
  assertEquals(await client.remote<typeof fn>()("four"), 4);
});

Deno.test("Remote: call.caller offers a service, too", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const names = { owner: () => "Ann" };
  client.handle("", handlerFrom(names));
  server.handle(
    "greet",
    handlerFrom(withCall(async (call) => {
      return `Hello, ${await call.caller.remote<typeof names>().owner()}`;
    })),
  );
  assertEquals(await client.call("greet"), "Hello, Ann");
});

Deno.test("Caller.remote: its options apply to every call", async () => {
  const [client] = memoryPair({}, { handler: () => new Promise(() => {}) });
  await using _ = client;
  const api = client.remote<{ slow(): void }>({ timeout: 1 });
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => api.slow(), RpcError);
    assertEquals(error.code, "timeout");
  }
});

Deno.test("Remote: an object can be awaited, logged and returned from async functions", async () => {
  await using it = connected({
    handler: (call) => {
      throw new Error(`called ${call.selector}`);
    },
  });
  const get = async (): Promise<Remote<typeof service>> => {
    await turn();
    return it.api;
  };
  const api = await get();
  assertEquals(api, await api);
  assertEquals(`${api.math}`, 'remote "math"');
  assertEquals(String(api), 'remote ""');
  assertEquals(JSON.stringify({ api }), "{}");
  assert(Deno.inspect(api).length < 200);
  assert(Deno.inspect({ deep: [api.math.trig] }).length < 200);
  assertEquals("then" in api, false);
  assertEquals((api as { then?: unknown }).then, undefined);
  assertEquals(Object.prototype.toString.call(api), "[object Function]");
  assertEquals(typeof api.Upper, "function");
  assertEquals([...Object.keys(api)], []);
  assertThrows(() => Object.assign(api, { Upper: 1 }), TypeError);
  assertThrows(
    () => new (api as unknown as { new (): unknown })(),
    TypeError,
  );
  const names = ["then", "toJSON", "inspect", "constructor", "prototype"];
  for (const name of names) {
    const member = (api as unknown as Record<string, unknown>)[name];
    assertEquals(member, undefined, name);
  }
  await turn();
});

Deno.test("Remote: all other names can be methods", async () => {
  const [client] = memoryPair({}, {
    handler: (call, respond) => respond.return(call.selector),
  });
  await using _ = client;
  const api = client.remote<Record<string, () => string>>();
  for (const name of ["catch", "finally", "next", "size", "_x", "a$$"]) {
    assertEquals(await api[name]!(), `/${name}`);
  }
});

Deno.test("Remote: what every function has works locally, and calls the method", async () => {
  await using it = connected();
  const { add } = it.api.math;
  assertEquals(await add.call(null, 1, 2), 3);
  assertEquals(await add.apply(null, [1, 2]), 3);
  assertEquals(await add.bind(null, 1)(2), 3);
  assertEquals(await Reflect.apply(add, undefined, [1, 2]), 3);
  assertEquals(await Function.prototype.call.call(add, null, 1, 2), 3);
  const bound = it.api.math.add.bind(it.api.math);
  assertEquals([bound.name, bound.length], ["bound add", 0]);
  assertEquals([add.name, add.length], ["add", 0]);
  const numbers = await Promise.all([1, 2].map(add.bind(null, 1)));
  assertEquals(numbers, [2, 3]);
});

Deno.test("Remote: names that JavaScript and tools look up are never calls", async () => {
  const called: string[] = [];
  const [client] = memoryPair({}, {
    handler: (call) => void called.push(call.selector),
  });
  await using _ = client;
  const api = client.remote<{ a: Record<string, () => void> }>();
  const { a } = api;
  assertEquals(Object.hasOwn(a, "x"), false);
  // deno-lint-ignore no-prototype-builtins -- that is what is tested
  assertEquals(a.hasOwnProperty("x"), false);
  // deno-lint-ignore no-prototype-builtins -- that is what is tested
  assertEquals(a.propertyIsEnumerable("x"), false);
  assertEquals(Object.prototype.isPrototypeOf.call(a, {}), false);
  assert(a.valueOf() === a);
  assertEquals(a.toLocaleString(), 'remote "a"');
  assertEquals(a + "", 'remote "a"');
  const names = [
    ...["then", "toJSON", "constructor", "prototype", "arguments", "caller"],
    ...["__proto__", "__defineGetter__", "__esModule", "__v_isRef"],
    ...["$$typeof", "@@observable", "@@__IMMUTABLE_ITERABLE__@@"],
    ...["inspect", "asymmetricMatch", "nodeType", "tagName", "_isMockFunction"],
  ];
  for (const name of names) {
    assertEquals((a as Record<string, unknown>)[name], undefined, name);
  }
  const symbols = [
    ...Reflect.ownKeys(Symbol).map((key) => Reflect.get(Symbol, key)),
    ...[
      "nodejs.util.inspect.custom",
      "Deno.customInspect",
      "Deno.privateCustomInspect",
    ]
      .map((name) => Symbol.for(name)),
    Symbol("of a tool"),
  ].filter((key): key is symbol => typeof key === "symbol");
  for (const symbol of symbols) {
    if (symbol === Symbol.toPrimitive) continue;
    const value = (a as unknown as Record<symbol, unknown>)[symbol];
    assertEquals(value, undefined, String(symbol));
  }
  assertEquals(structuredCloneFails(a), true);
  assertEquals(await Promise.resolve(a) === a, true);
  assertEquals({ ...a }, {});
  await turn();
  assertEquals(called, []);
});

Deno.test("Remote: a method whose name is never sent can be called by its selector", async () => {
  const odd = {
    name: () => "its name",
    then: () => "then",
    deep: { call: (n: number) => n + 1, toJSON: () => ({ a: 1 }) },
  };
  const [client] = memoryPair({}, { handler: handlerFrom(odd) });
  await using _ = client;
  assertEquals(await client.call("name"), "its name");
  assertEquals(await client.call("then"), "then");
  assertEquals(await client.call("deep.call", [1]), 2);
  assertEquals(await client.call("deep.toJSON"), { a: 1 });
});

function structuredCloneFails(value: unknown): boolean {
  try {
    structuredClone(value);
    return false;
  } catch {
    return true;
  }
}

Deno.test("Remote: a call starts at once, even if it is not awaited", async () => {
  const called = Promise.withResolvers<string>();
  const [client] = memoryPair({}, {
    handler: (call) => called.resolve(call.selector),
  });
  await using _ = client;
  const call = client.remote<{ now(): void }>().now();
  assertEquals(await within(called.promise, "the call"), "/now");
  await call;
});

Deno.test("RemoteCall: it has then, catch and finally, and works with Promise.all", async () => {
  await using it = connected();
  assertEquals(await it.api.Upper("a").then((s) => s + "!"), "A!");
  assertEquals(await it.api.Upper("a").finally(() => {}), "A");
  const failed = it.api.fail("no");
  assertEquals(await failed.catch((error) => error.text), "no");
  const call = it.api.Upper("again");
  assertEquals(await Promise.all([call, call]), ["AGAIN", "AGAIN"]);
  const error = await assertRejects(() => it.api.fail("text"), RemoteError);
  assertEquals(error.message, "remote: text");
});

Deno.test("RemoteCall: a call that streams can be iterated", async () => {
  await using it = connected();
  assertEquals(await Array.fromAsync(it.api.to(3)), [1, 2, 3]);
});

Deno.test("RemoteCall: a call that streams resolves to the response as a whole", async () => {
  await using it = connected();
  await using whole = await it.api.to(3);
  assertEquals(whole.value, null);
  assertEquals(await whole.receive(), 1);
  assertEquals(await Array.fromAsync(whole), [2, 3]);
});

Deno.test("RemoteCall: a call can become a stream of bytes", async () => {
  await using it = connected();
  const { readable, writable } = await it.api.gzip();
  const unzipped = new Response(
    readable.pipeThrough(new DecompressionStream("gzip")),
  ).text();
  await new Blob(["small ".repeat(1_000)]).stream().pipeTo(writable);
  assertEquals(await unzipped, "small ".repeat(1_000));
});

Deno.test("RemoteCall: the first use decides, and the other throws", async () => {
  await using it = connected();
  const awaited = it.api.to(1);
  await using _ = await awaited;
  const error = assertThrows(
    () => awaited[Symbol.asyncIterator](),
    RpcError,
    'Cannot use call "to" twice: it is used as a promise',
  );
  assertEquals(error.code, "invalid-state");
  const iterated = it.api.to(1);
  assertEquals(await Array.fromAsync(iterated), [1]);
  await assertRejects(
    async () => await iterated,
    RpcError,
    "it is used as an iterable",
  );
  assertThrows(() => iterated[Symbol.asyncIterator](), RpcError);
});

Deno.test("RemoteCall: iterating a complete response rejects", async () => {
  await using it = connected();
  const call = it.api.Upper("a") as unknown as AsyncIterable<string>;
  const error = await assertRejects(() => Array.fromAsync(call), RpcError);
  assertEquals(
    error.message,
    'Cannot iterate call "Upper": its response is complete',
  );
});

/** Runs `body`; returns the rejections that nothing handled meanwhile. */
async function unhandled(body: () => void | Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", onRejection);
  try {
    await body();
    // One is reported at the end of the turn in which it happened.
    for (let i = 0; i < 3; i++) await turn();
  } finally {
    removeEventListener("unhandledrejection", onRejection);
  }
  return reasons;
}

Deno.test("RemoteCall: a failure that nothing takes is an unhandled rejection", async () => {
  await using it = connected();
  const answered = () => it.client.call("none");
  const reasons = await unhandled(async () => {
    void it.api.fail("not taken");
    await answered();
  });
  assertEquals(reasons.map((e) => (e as RemoteError).text), ["not taken"]);
  const derived = await unhandled(async () => {
    void it.api.fail("derived").then(() => {});
    await answered();
  });
  assertEquals(derived.map((e) => (e as RemoteError).text), ["derived"]);
  const aborted = await unhandled(() => {
    const signal = AbortSignal.abort("gone");
    void it.client.remote<typeof service>({ signal }).none();
  });
  assertEquals(aborted, ["gone"]);
  const lost = await unhandled(async () => {
    void it.client.remote<{ none(): void }>().none();
    await it.client.close();
  });
  assertEquals(lost.map((e) => (e as MuxError).code), ["session-closed"]);
});

Deno.test("RemoteCall: a failure that is taken is no unhandled rejection", async () => {
  await using it = connected();
  const failing = () => it.api.fail("no") as unknown as AsyncIterable<never>;
  const reasons = await unhandled(async () => {
    await it.api.fail("caught").catch(() => {});
    await it.api.fail("then").then(undefined, () => {});
    await Promise.allSettled([it.api.fail("a"), it.api.fail("b")]);
    await assertRejects(() => Array.fromAsync(failing()), RemoteError, "no");
    // Taken as a stream, though nothing of it is asked for.
    failing()[Symbol.asyncIterator]();
    const left = failing()[Symbol.asyncIterator]();
    await left.return?.();
    await it.client.call("none");
    void it.api.to(3);
    void it.api.none();
    // In the turn in which it fails, a handler is in time.
    const late = it.api.fail("late");
    const stream = failing();
    await it.client.call("fail", ["late"]).catch(() => {});
    late.catch(() => {});
    stream[Symbol.asyncIterator]();
  });
  assertEquals(reasons, []);
});

Deno.test("Remote: what the types of parameters allow works", async () => {
  const got: unknown[][] = [];
  const optional = {
    greet: (name: string, word?: string) => [name, word ?? "none"],
    word: (name: string, word = "Hello") => `${word}, ${name}`,
    first: (a = 1, b = 2, c = 3) => [a, b, c],
    all: (...args: unknown[]) => args.length,
    maybe: (value: string | undefined) => typeof value,
    from: withCall((call, n = 7) => `${n} of ${call.selector}`),
    sum: withStream(async (numbers: AsyncIterable<number>) => {
      return (await Array.fromAsync(numbers)).length;
    }),
    back: async (fn: Callback<(a?: number, b?: number) => unknown>) => [
      await fn(),
      await fn(undefined),
      await fn(1),
      await fn(1, undefined),
      // @ts-expect-error the function would get null, which its type does not say
      await fn(undefined, 2),
    ],
  };
  for (const codec of [json(), cbor(), msgpack()]) {
    const handler = handlerFrom(optional);
    const [client] = memoryPair({ codec }, { codec, handler });
    await using _ = client;
    const api = client.remote<typeof optional>();
    assertEquals(await api.greet("Ann"), ["Ann", "none"]);
    assertEquals(await api.greet("Ann", undefined), ["Ann", "none"]);
    assertEquals(await api.greet("Ann", "Hi"), ["Ann", "Hi"]);
    assertEquals(await api.word("Ann"), "Hello, Ann");
    assertEquals(await api.word("Ann", undefined), "Hello, Ann");
    assertEquals(await api.first(), [1, 2, 3]);
    assertEquals(await api.first(5, undefined, undefined), [5, 2, 3]);
    assertEquals(await api.first(undefined, undefined), [1, 2, 3]);
    assertEquals(await api.all(1, undefined, 3, undefined), 3);
    assertEquals(await api.maybe(undefined), "undefined");
    assertEquals(await api.from(), "7 of /from");
    const numbers = new ReadableStream<number>({
      start(controller) {
        controller.enqueue(1);
        controller.close();
      },
    });
    const sum = api.sum as (...args: unknown[]) => Promise<number>;
    assertEquals(await sum(numbers, undefined), 1);
    got.length = 0;
    await api.back((...args) => void got.push(args));
    // An inner one is null.
    assertEquals(got, [[], [], [1], [1], [null, 2]]);
    assertEquals(await api.back((a = 5, b = 6) => [a, b]), [
      [5, 6],
      [5, 6],
      [1, 6],
      [1, 6],
      [null, 2],
    ]);
  }
});

Deno.test("RemoteCall: leaving the loop closes the call and ends its producer", async () => {
  const ended = Promise.withResolvers<void>();
  const endless = {
    async *run() {
      try {
        for (let n = 0;; n++) yield await Promise.resolve(n);
      } finally {
        ended.resolve();
      }
    },
  };
  const [client] = memoryPair({}, { handler: handlerFrom(endless) });
  await using _ = client;
  const seen: number[] = [];
  for await (const n of client.remote<typeof endless>().run()) {
    seen.push(n);
    if (n === 2) break;
  }
  await within(ended.promise, "the producer to end");
  assertEquals(seen, [0, 1, 2]);
});

Deno.test("RemoteCall: the loop can be left before the response has arrived", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const call = peer.remote<{ run(): AsyncIterable<number> }>().run();
  const iterator = call[Symbol.asyncIterator]();
  const next = iterator.next();
  const channel = await rawAccept(raw);
  assertEquals(await iterator.return!(), { done: true, value: undefined });
  await channel.values({ Error: null, Continue: true }, null);
  await within(channel.raw.find("close"), "CLOSE");
  assertEquals(await next, { done: true, value: undefined });
});

Deno.test("RemoteCall: a call that was not used is closed when it becomes unreachable", async () => {
  let reason: unknown;
  const endless = {
    run: withCall((call) => {
      call.signal.addEventListener("abort", () => {
        reason = call.signal.reason;
      });
      return new ReadableStream<number>();
    }),
  };
  const [client] = memoryPair({}, { handler: handlerFrom(endless) });
  await using _ = client;
  const api = client.remote<typeof endless>();
  (() => void api.run())();
  await until(() => reason !== undefined, "the call to be closed", () => {
    collectGarbage();
    return turn();
  });
  assertEquals((reason as RpcError).code, "cancelled");
});

test("RemoteCall: it cannot be used as a value, which says that it is a promise", async (t) => {
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    onError: (error) => errors.push(error),
    handler: handlerFrom({
      one: () => 1,
      // It compiles, but the function returns a promise here.
      plusOne: (f: (n: number) => number) => f(1) + 1,
      text: (f: (n: number) => number) => `${f(1)}`,
      less: (f: (n: number) => number) => f(1) < 2,
    }),
  });
  const call: unknown = client.remote<{ one(): number }>().one();
  const message =
    'Cannot use call "one" as a value: it is a promise, so await it';
  assertThrows(() => `${call}`, TypeError, message);
  assertThrows(() => call as number + 1, TypeError, message);
  assertEquals(await call, 1);
  for (const name of ["plusOne", "text", "less"]) {
    await assertRejects(
      () => client.call(name, [(n: number) => n]),
      RemoteError,
      "as a value: it is a promise, so await it",
    );
  }
  assertEquals(errors.length, 3, "bugs of the functions");
});

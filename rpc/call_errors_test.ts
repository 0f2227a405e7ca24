// What the errors of calls say: the selector, the option whose limit was met, and
// the codecs of two ends that differ.

import {
  type Callback,
  callback,
  CallError,
  type Codec,
  dial,
  forward,
  type Handler,
  handlerFrom,
  json,
  listen,
  type PeerOptions,
  RemoteError,
  RpcError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
} from "@std/assert";
import { test } from "../tests/support/harness.ts";
import { invoke } from "./handler/invoke.ts";
import { rawAccept, rawCall } from "../tests/support/raw_call.ts";
import { framed, utf8 } from "../tests/support/wire.ts";
import { turn, within } from "../tests/support/within.ts";

/** Fails unless an error says all of this. */
function says(error: unknown, ...texts: string[]): void {
  assertInstanceOf(error, Error);
  for (const text of texts) {
    assert(error.message.includes(text), `${error.message} lacks ${text}`);
  }
}

async function failure(promise: PromiseLike<unknown>): Promise<unknown> {
  return await promise.then(() => undefined, (error) => error);
}

const big = "x".repeat(2_000);
const service = handlerFrom({
  big: () => big,
  take: (_text: string) => {},
  async *stream() {
    yield 1;
    yield big;
  },
});

/** Options, a call, and what its error says besides the selector `big` or `take`. */
const LIMITS: [
  what: string,
  client: PeerOptions,
  server: PeerOptions,
  args: [string, unknown[]],
  texts: string[],
][] = [
  ["a reply", { maxValueSize: 1_000 }, {}, ["big", []], [
    "maxValueSize",
    "2002",
  ]],
  ["arguments", {}, { maxValueSize: 1_000 }, ["take", [big]], ["maxValueSize"]],
  [
    "items of a reply",
    { codec: json({ maxItems: 2 }) },
    {},
    ["list", []],
    ["maxItems"],
  ],
  [
    "items of arguments",
    {},
    { codec: json({ maxItems: 200 }) },
    ["take", [Array.from({ length: 1_000 }, (_, i) => i)]],
    ["maxItems"],
  ],
  [
    "levels of arguments",
    {},
    { codec: json({ maxDepth: 3 }) },
    ["take", [[[[[1]]]]]],
    ["maxDepth"],
  ],
];

for (const [what, client, server, [selector, args], texts] of LIMITS) {
  for (const method of ["call", "request"] as const) {
    test(`errors of ${method}(): ${what} above a limit names the selector and the option`, async (t) => {
      const [peer, other] = t.pair(client, { ...server, handler: service });
      other.handle("list", handlerFrom(() => [1, 2, 3, 4, 5]));
      const error = await failure(peer[method](selector, args));
      says(error, `${selector}"`, ...texts);
    });
  }
}

test("errors of receive(): a value above a limit names the selector and the option", async (t) => {
  const [peer] = t.pair({ maxValueSize: 1_000 }, { handler: service });
  await using response = await peer.request("stream");
  assertEquals(await response.receive(), 1);
  says(await failure(response.receive()), '"stream"', "maxValueSize");
});

test("errors of send(): a value that cannot be encoded names the selector", async (t) => {
  const [peer, other] = t.pair();
  other.handle("open", async (_call, respond) => {
    await respond.continue();
  });
  await using response = await peer.request("open");
  says(await failure(response.send(new Map())), '"open"', "a Map");
});

test("errors of call(): arguments that cannot be encoded name the selector", async (t) => {
  const [peer] = t.pair();
  for (const value of [new Map(), Symbol("s"), [() => 1, new Set()]]) {
    says(await failure(peer.call("a.b", value)), '"a.b"', "not supported");
  }
});

test("errors of call(): functions above maxCallbacks name the selector and the option", async (t) => {
  const [peer] = t.pair({ maxCallbacks: 1 });
  const error = await failure(peer.call("a.b", [() => 1, () => 2]));
  says(error, '"a.b"', "maxCallbacks");
});

test("errors of call(): a late response names the selector and the option", async (t) => {
  const clock = t.time();
  const [peer, other] = t.pair();
  other.handle(
    "slow",
    ({ signal }) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => resolve())
      ),
  );
  const error = failure(peer.call("slow", null, { timeout: 50 }));
  await turn();
  clock.tick(50);
  says(await error, '"slow"', '"timeout"', "50 ms");
});

test("errors of call(): too many calls name the selector and the option", async (t) => {
  const release = Promise.withResolvers<void>();
  const [peer, other] = t.pair({
    session: { maxChannels: 2 },
    maxQueuedCalls: 0,
  }, { maxConcurrentCalls: 1, maxQueuedCalls: 0 });
  other.handle("wait", () => release.promise);
  const first = peer.call("wait");
  await turn();
  const busy = await failure(peer.call("wait"));
  says(busy, "busy: 1 calls are running", "/wait", "maxConcurrentCalls");
  const calls = Array.from({ length: 4 }, () => failure(peer.call("wait")));
  const errors = await Promise.all(calls);
  const full = errors.find((error) => error instanceof RpcError);
  says(full, '"wait"', "maxQueuedCalls");
  release.resolve();
  await first;
});

test("errors of call(): the end of the session names the selector", async (t) => {
  const [peer, other] = t.pair();
  other.handle(
    "wait",
    ({ signal }) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => resolve())
      ),
  );
  const waiting = failure(peer.call("wait"));
  await turn();
  await peer.close();
  says(await waiting, '"wait"');
  says(await failure(peer.call("late")), '"late"');
});

test("errors of callbacks: a callback that was not kept says what keeps it, and names the selector", async (t) => {
  const [peer, other] = t.pair();
  let kept: Callback<() => void> | undefined;
  other.handle(
    "use",
    handlerFrom((fn: Callback<() => void>) => void (kept = fn)),
  );
  await peer.call("use", [() => {}]);
  says(await failure(kept!()), "it was released", "retain()", '"/use"');
});

test("RemoteError.selector: it is what was called, for responses, streams and cuts", async (t) => {
  const [peer, other] = t.pair({}, { onError: () => {} });
  other.handle("fail", () => Promise.reject(new TypeError("no")));
  other.handle(
    "stream",
    handlerFrom(async function* () {
      yield 1;
      throw new TypeError("no");
    }),
  );
  const error = await failure(peer.call("fail")) as RemoteError;
  assertEquals([error.message, error.selector], ["remote: no", "fail"]);
  const cut = await failure(
    Array.fromAsync(await peer.request("stream")),
  ) as RemoteError;
  assertEquals([cut.message, cut.selector], ["remote: no", "stream"]);
});

const CODECS: Codec[] = [json(), cbor(), msgpack()];

for (const client of CODECS) {
  for (const server of CODECS) {
    if (client.name === server.name) continue;
    test(`codecs: a call in ${client.name} to a peer with ${server.name} says at both ends what differs`, async (t) => {
      const heard = Promise.withResolvers<unknown>();
      const [peer] = t.pair({ codec: client }, {
        codec: server,
        handler: service,
        onError: (error, { selector }) => {
          assertEquals(selector, undefined);
          heard.resolve(error);
        },
      });
      for (const method of ["call", "request"] as const) {
        const error = await failure(peer[method]("take", ["x"]));
        says(error, client.name, server.name, '"codec"');
        if (error instanceof RemoteError) {
          assertEquals([error.code, error.selector], [
            "codec-mismatch",
            "take",
          ]);
        } else {
          assertInstanceOf(error, RpcError);
          assertEquals(error.code, "codec-mismatch");
          says(error, '"take"');
        }
      }
      const reported = await within(heard.promise, "onError");
      assertInstanceOf(reported, RpcError);
      assertEquals(reported.code, "codec-mismatch");
      // A program that prints the error does not print the parts of a server.
      assert(!("request" in { ...reported }));
      says(reported, client.name, server.name, '"codec"');
    });
  }
}

test("codecs: a peer with several codecs names all of them", async (t) => {
  const heard = Promise.withResolvers<unknown>();
  const [peer] = t.pair({ codec: msgpack() }, {
    codecs: [cbor(), json()],
    handler: service,
    onError: heard.resolve,
  });
  says(await failure(peer.call("x")), "MessagePack", "CBOR", '"codec"');
  says(await within(heard.promise, "onError"), "MessagePack", "CBOR and JSON");
});

test("codecs: streamed arguments in a codec that is not accepted end with its error", async (t) => {
  const [peer] = t.pair({ codec: cbor() }, {
    handler: service,
    onError: () => {},
  });
  let stopped = false;
  async function* values() {
    try {
      for (;;) yield await Promise.resolve(1);
    } finally {
      stopped = true;
    }
  }
  says(await failure(peer.call("x", values())), "CBOR", "JSON");
  await turn();
  assert(stopped);
});

Deno.test("codecs: a peer on TCP says what differs", async () => {
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler: service,
  });
  await using peer = await dial(listener.addr, { codec: cbor() });
  says(await failure(peer.call("x")), "CBOR", "JSON", '"codec"');
});

test("codecs: a call that is closed without a response asks about the codec, once", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const silent = failure(peer.call("x"));
  const channel = await rawAccept(raw);
  await channel.close();
  says(await silent, '"x"', "codec", "JSON");
  const known = failure(peer.call("y"));
  const other = await rawAccept(raw);
  await other.data(framed(utf8('{"Q":{"v":1}}')));
  await other.data(framed(utf8("1")));
  assertEquals(await known, undefined);
  await other.close();
  const closed = failure(peer.call("z"));
  const last = await rawAccept(raw);
  await last.close();
  const error = await closed as Error;
  assert(!error.message.includes("codec"), error.message);
});

type Hear = (error: unknown) => void;

/** Handlers of "a.b" that pass on an error that they get when their caller leaves. */
const LEFT: Record<string, (hear: Hear) => Handler> = {
  "call.signal": (hear) =>
    handlerFrom(
      withCall(({ signal }) =>
        new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => {
            hear(signal.reason);
            resolve();
          })
        )
      ),
    ),
  "the iterator of a call": (hear) => async (call) => {
    await failure(Array.fromAsync(call)).then(hear);
  },
  "withStream()": (hear) =>
    handlerFrom(withStream(async (values: AsyncIterable<unknown>) => {
      await failure(Array.fromAsync(values)).then(hear);
    })),
  "a streamed argument": (hear) =>
    handlerFrom(async (values: AsyncIterable<unknown>) => {
      await failure(Array.fromAsync(values)).then(hear);
    }),
  "a stream of values among the arguments": (hear) =>
    handlerFrom(async (_: unknown, values: AsyncIterable<unknown>) => {
      await failure(Array.fromAsync(values)).then(hear);
    }),
  "a stream of bytes among the arguments": (hear) =>
    handlerFrom(async (...[, , bytes]: AsyncIterable<unknown>[]) => {
      await failure(Array.fromAsync(bytes!)).then(hear);
    }),
  "the source of a stream of values": (hear) =>
    handlerFrom(() =>
      new ReadableStream({
        pull: () => new Promise(() => {}),
        cancel: hear,
      })
    ),
  "the source of a stream of bytes": (hear) =>
    handlerFrom(() => ({
      readable: new ReadableStream<Uint8Array>({ cancel: hear }),
      writable: new WritableStream<Uint8Array>(),
    })),
  "the sink of a stream of bytes": (hear) =>
    handlerFrom(() => ({
      readable: new ReadableStream<Uint8Array>(),
      writable: new WritableStream<Uint8Array>({ abort: hear }),
    })),
  "the readable of a channel": (hear) => async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    await failure(channel.readable.getReader().read()).then(hear);
  },
  "the writable of a channel": (hear) => async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    await failure(channel.writable.getWriter().closed).then(hear);
  },
  "respond.send()": (hear) => async (call, respond) => {
    const channel = await respond.continue();
    const { signal } = call;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await failure(respond.send(1)).then(hear);
    await channel.close();
  },
};

for (const [what, handlerOf] of Object.entries(LEFT)) {
  for (const how of ["its caller gives it up", "the session ends"]) {
    test(`errors of handlers: what ${what} fails with when ${how} names the selector`, async (t) => {
      const heard = Promise.withResolvers<unknown>();
      const called = Promise.withResolvers<void>();
      const [client, server] = t.pair();
      const handler = handlerOf(heard.resolve);
      server.handle("a.b", (call, respond) => {
        called.resolve();
        return invoke(handler, call, respond);
      });
      const end = Promise.withResolvers<void>();
      async function* values() {
        yield 1;
        await end.promise;
      }
      const whole = what.startsWith("withStream") ||
        what.startsWith("a streamed") || what.startsWith("the iterator");
      const bytes = new ReadableStream({ type: "bytes" });
      const stop = new AbortController();
      const { signal } = stop;
      const response = client.request(
        "a.b",
        whole ? values() : ["x", values(), bytes],
        { signal },
      );
      response.catch(() => {});
      await within(called.promise, "the call");
      for (let i = 0; i < 10; i++) await turn();
      if (how === "the session ends") await client.close();
      else stop.abort(new Error("enough"));
      const error = await within(heard.promise, "the error");
      assertInstanceOf(error, Error);
      assertMatch(error.message, /call "(\/a\/b|a\.b)"/);
      end.resolve();
      await (await response.catch(() => undefined))?.close();
    });
  }
}

type Fn = Callback<(what: unknown) => unknown>;

/** Fails unless an error names a callback of `/a/b`, and no ID. */
function namesCallback(error: unknown): void {
  assertInstanceOf(error, Error);
  const name = error instanceof RemoteError
    ? `"${error.selector}"`
    : error.message;
  assert(name.includes('"callback of /a/b"'), name);
  assert(!/_[0-9A-Za-z~-]{19}/.test(error.message), error.message);
}

/** What the call of a callback fails with. */
const CALLBACK_FAILURES: [string, (fn: Fn) => PromiseLike<unknown>][] = [
  ["its function throws", (fn) => fn("throw")],
  ["its arguments cannot be encoded", (fn) => fn(Symbol("no"))],
  ["its answer is too large", (fn) => fn("large")],
  ["it is used as a value", async (fn) => `${await fn("plain")}${fn("plain")}`],
  ["it is iterated and is no stream", async (fn) => {
    await Array.fromAsync(fn("plain") as unknown as AsyncIterable<unknown>);
  }],
  ["it is used twice", async (fn) => {
    const call = fn("plain");
    await call;
    await Array.fromAsync(call as unknown as AsyncIterable<unknown>);
  }],
  ["its stream has a value that is too large", async (fn) => {
    await Array.fromAsync(fn("stream") as unknown as AsyncIterable<unknown>);
  }],
  ["it comes from a callback", async (fn) => {
    const inner = await fn("function") as Fn;
    try {
      await inner("throw");
    } finally {
      inner.release();
    }
  }],
  ["it was sent to a callback", async (fn) => {
    await fn((what: string) => {
      throw new CallError(what);
    });
  }],
  ["its deadline has passed", (fn) => fn("wait")],
];

for (const where of ["an argument", "a result"]) {
  for (const [what, use] of CALLBACK_FAILURES) {
    if (where === "a result" && what === "its deadline has passed") continue;
    test(`errors of callbacks: that of one in ${where} names the call that it came with when ${what}`, async (t) => {
      const ended = Promise.withResolvers<void>();
      const owner = async (what: unknown): Promise<unknown> => {
        if (what === "throw") throw new CallError("no");
        if (what === "large") return big;
        if (what === "function") return owner;
        if (what === "wait") await ended.promise;
        if (what === "stream") return [big].values();
        if (typeof what === "function") namesCallback(await failure(what("x")));
        if (typeof what === "function") throw new CallError("no");
        return what;
      };
      const limits = { maxValueSize: 1_000 };
      const heard = Promise.withResolvers<unknown>();
      const [client, server] = t.pair({ ...limits, onError() {} }, {
        ...limits,
        onError() {},
      });
      const { a } = client.remote<{ a: { b: (fn?: unknown) => unknown } }>(
        what === "its deadline has passed" ? { timeout: 50 } : {},
      );
      if (where === "a result") {
        server.handle("a.b", handlerFrom(() => owner));
        const fn = await a.b() as Fn;
        heard.resolve(await failure(use(fn)));
        fn.release();
      } else {
        server.handle(
          "a.b",
          handlerFrom(async (fn: Fn) => heard.resolve(await failure(use(fn)))),
        );
        await failure(a.b(owner) as Promise<unknown>);
      }
      namesCallback(await within(heard.promise, "the failure"));
      ended.resolve();
    });
  }
}

test("errors of callbacks: the end of the session names the call that they came with", async (t) => {
  const [client, server] = t.pair({}, { onError() {} });
  const called = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<unknown>();
  server.handle(
    "a.b",
    handlerFrom(async (fn: Fn) => heard.resolve(await failure(fn(1)))),
  );
  const end = Promise.withResolvers<void>();
  const call = failure(client.call("a.b", [async () => {
    called.resolve();
    await end.promise;
  }]));
  await within(called.promise, "the call of the callback");
  await client.close();
  namesCallback(await within(heard.promise, "the failure"));
  end.resolve();
  await call;
});

test("errors of callbacks: a bug is reported with the name of the call that it was sent with", async (t) => {
  const reported: unknown[] = [];
  const onError = (_error: unknown, { selector }: { selector?: unknown }) => {
    reported.push(selector);
  };
  const [client, server] = t.pair({ onError }, { onError });
  const bug = () => {
    throw new TypeError("a bug");
  };
  server.handle(
    "a.b",
    handlerFrom(async (fn: Fn) => {
      await failure(fn(1));
      return bug;
    }),
  );
  const fn = await client.call("a.b", [bug]) as Fn;
  await failure(fn(1));
  fn.release();
  assertEquals(reported, ["callback of /a/b", "callback of /a/b"]);
});

/** Fails unless the text of a remote error names a callback of `/a/b`. */
function namesCallbackInText(error: unknown): void {
  assertInstanceOf(error, RemoteError);
  namesCallback(error);
  says(error, "callback of /a/b");
  for (let { cause } = error; cause instanceof Error; { cause } = cause) {
    assert(!/_[0-9A-Za-z~-]{19}/.test(cause.message), cause.message);
  }
}

test("errors of callbacks: that of one which its owner has released names the call that it came with", async (t) => {
  const [client, server] = t.pair();
  const kept = Promise.withResolvers<Fn>();
  server.handle("a.b", handlerFrom((fn: Fn) => kept.resolve(fn.retain())));
  const owned = callback(() => 1);
  await client.call("a.b", [owned]);
  owned.release();
  const fn = await kept.promise;
  const error = await failure(fn(1));
  fn.release();
  namesCallbackInText(error);
  says(error, 'Cannot call "callback of /a/b": it was released, or not kept');
});

test("errors of callbacks: that of one whose call its owner refuses names the call that it came with", async (t) => {
  const busy = { maxConcurrentCalls: 1, callQueueTimeout: 1 };
  const [client, server] = t.pair(busy, {});
  const called = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<unknown>();
  server.handle(
    "a.b",
    handlerFrom(async (fn: Fn) => {
      const first = fn("first");
      await called.promise;
      heard.resolve(await failure(fn("second")));
      end.resolve();
      await first;
    }),
  );
  await client.call("a.b", [async () => {
    called.resolve();
    await end.promise;
  }]);
  const error = await heard.promise;
  namesCallbackInText(error);
  says(error, "busy: ", "maxConcurrentCalls");
});

for (const how of ["has left", "leaves meanwhile", "does not answer"]) {
  test(`errors of callbacks: that of one whose owner ${how} beyond a forwarding peer names the call that it came with`, async (t) => {
    const kept = Promise.withResolvers<Fn>();
    const reported: unknown[] = [];
    const onError: PeerOptions["onError"] = (_error, { selector }) =>
      reported.push(selector);
    const [middle] = t.pair({ onError }, {
      handler: handlerFrom({
        a: { b: (fn: Fn) => kept.resolve(fn.retain()) },
      }),
    });
    const [client, front] = t.pair({}, { onError });
    front.handle("a/", forward(middle));
    const called = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    await client.call("a.b", [async () => {
      called.resolve();
      await end.promise;
    }]);
    const fn = await kept.promise;
    if (how === "has left") {
      await client.close();
      await front.closed;
    }
    const failed = failure(fn(1));
    if (how !== "has left") {
      await called.promise;
      if (how === "leaves meanwhile") await client.close();
      else await front.close();
    }
    namesCallbackInText(await within(failed, "the failure"));
    end.resolve();
    fn.release();
    assertEquals(reported, []);
  });
}

/** What an owner of another or an older extended implementation may answer. */
const TEXTS: [sent: (id: string) => string, got: string][] = [
  [(id) => `not found: /${id}`, "not found: callback of /a/b"],
  [(id) => `no function "${id}"`, 'no function "callback of /a/b"'],
  [
    (id) => `Cannot call callback "${id}": no, in call "/${id}"`,
    'Cannot call "callback of /a/b": no, in call "callback of /a/b"',
  ],
  [() => "no such function", "no such function"],
];

for (const [sent, got] of TEXTS) {
  test(`errors of callbacks: for the ID in what its owner says, a caller gets the name: ${got}`, async (t) => {
    const heard = Promise.withResolvers<unknown>();
    const { raw } = t.scriptedPeer({
      handler: handlerFrom({
        a: { b: async (fn: Fn) => heard.resolve(await failure(fn(1))) },
      }),
    });
    const id = "_0123456789abcdefghi";
    await rawCall(raw, "a.b", [{ $fnptr: id }]);
    const channel = await rawAccept(raw, 1);
    await channel.read(2);
    const text = sent(id);
    const Q = { v: 1, causes: [text] };
    await channel.values({ Error: text, Continue: false, Q }, null);
    const error = await within(heard.promise, "the failure");
    assertInstanceOf(error, RemoteError);
    assertInstanceOf(error.cause, RemoteError);
    assertEquals([error.text, error.cause.text], [got, got]);
    assertEquals(error.selector, "callback of /a/b");
  });
}

test("errors of callbacks: what a stream of a result fails with names the selector", async (t) => {
  const [client, server] = t.pair();
  const result: (fails: boolean) => { values: AsyncIterable<number> } = (
    fails,
  ) => ({
    values: (async function* () {
      yield await Promise.resolve(1);
      if (fails) throw new CallError("no");
      await new Promise(() => {});
    })(),
  });
  server.handle("a.b", handlerFrom(result));
  const { a } = client.remote<{ a: { b: typeof result } }>();
  const { values } = await a.b(true);
  const error = await failure(Array.fromAsync(values));
  assertInstanceOf(error, RemoteError);
  assertEquals([error.message, error.selector], ["remote: no", "/a/b"]);
  const reader = (await a.b(false)).values.getReader();
  await reader.read();
  const cut = failure(reader.read());
  await server.close();
  says(await cut, 'in a stream of call "/a/b"');
});

test("errors of byte streams: what a caller's streams fail with names the selector", async (t) => {
  const [client, server] = t.pair({}, { onError: () => {} });
  const fail = Promise.withResolvers<void>();
  server.handle("a.b", async (_call, respond) => {
    await respond.continue();
    await fail.promise;
    throw new Error("a bug");
  });
  const { readable, writable } = await client.request("a.b");
  const read = failure(readable.getReader().read());
  const written = failure(writable.getWriter().closed);
  fail.resolve();
  says(await read, 'before it was complete, in call "a.b"');
  says(await written, 'the peer closed it, in call "a.b"');
});

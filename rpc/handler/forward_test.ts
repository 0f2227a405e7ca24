import {
  type Callback,
  forward,
  type Handler,
  handlerFrom,
  memoryPair,
  type Peer,
  type PeerOptions,
  Router,
  type RpcResponse,
  withStream,
} from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { toText } from "@std/streams";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import {
  rawAccept,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import {
  concat,
  confirm,
  framed,
  utf8,
  values,
} from "../../tests/support/wire.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { type ForwardTargets, forwardTargets } from "../client/channel_pool.ts";
import { isNotBegun, RemoteError, type RpcError } from "../errors.ts";
import { Reconnector } from "../../talk/reconnect/reconnector.ts";
import type { Caller } from "../types.ts";

/** client – front | middle – backend: the front forwards to the backend. */
function chain(handler: Handler) {
  const [middle, backend] = memoryPair({}, { handler });
  const [client, front] = memoryPair({}, { handler: forward(middle) });
  return {
    client,
    front,
    middle,
    backend,
    async [Symbol.asyncDispose]() {
      for (const peer of [client, front, middle, backend]) await peer.close();
    },
  };
}

/** The same, with scripts as client and backend. */
function scripted() {
  const outgoing = scriptedPeer();
  const incoming = scriptedPeer({ handler: forward(outgoing.peer) });
  return {
    client: incoming.raw,
    backend: outgoing.raw,
    async [Symbol.asyncDispose]() {
      await incoming.peer.close();
      await outgoing.peer.close();
    },
  };
}

/** The same, watched by the harness. */
function scriptsOf(t: Harness, onError?: PeerOptions["onError"]) {
  const outgoing = t.scriptedPeer();
  const handler = forward(outgoing.peer);
  const incoming = t.scriptedPeer(
    onError === undefined ? { handler } : { handler, onError },
  );
  return { client: incoming.raw, backend: outgoing.raw };
}

const service = {
  upper: (s: string) => s.toUpperCase(),
  fail: (text: string) => {
    throw new Error(text);
  },
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n;
    if (to === 13) throw new Error("unlucky");
  },
  sum: withStream(async (numbers: AsyncIterable<number>) => {
    let sum = 0;
    for await (const n of numbers) sum += n;
    return sum;
  }),
  echo: () => new TransformStream<Uint8Array, Uint8Array>(),
};

Deno.test("forward(): calls of all kinds are forwarded", async () => {
  await using it = chain(handlerFrom(service));
  const api = it.client.remote<typeof service>();
  assertEquals(await api.upper("hi"), "HI");
  await assertRejects(() => api.fail("no"), RemoteError, "remote: no");
  assertEquals(await Array.fromAsync(api.count(3)), [1, 2, 3]);
  assertEquals(await api.sum(ReadableStream.from([1, 2, 3])), 6);
  const { readable, writable } = await api.echo();
  await new Blob(["bytes"]).stream().pipeTo(writable);
  assertEquals(await toText(readable), "bytes");
  await assertRejects(
    () => it.client.call("other"),
    RemoteError,
    "not found: /other",
  );
});

Deno.test("forward(): several reply values are forwarded", async () => {
  await using it = chain((_call, respond) => respond.return(1, "two", [3]));
  assertEquals((await it.client.request("x")).values, [1, "two", [3]]);
});

Deno.test("forward(): an error in mid-stream is forwarded", async () => {
  await using it = chain(handlerFrom(service));
  await assertRejects(
    () => Array.fromAsync(it.client.remote<typeof service>().count(13)),
    RemoteError,
    "remote: unlucky",
  );
});

test("forward(): the header is encoded again, with the canonical selector and all members of Q", async (t) => {
  const { client, backend } = scriptsOf(t);
  const Q = { v: 1, trace: "t", meta: { a: [1] }, unknown: { x: null } };
  const cases: [unknown, unknown][] = [
    [{ Selector: "a.b" }, { Selector: "/a/b", S: "/a/b" }],
    [{ S: "a/b", other: [1] }, { Selector: "/a/b", S: "/a/b" }],
    [{}, { Selector: "/", S: "/" }],
    [{ Selector: "x", Q }, { Selector: "/x", S: "/x", Q }],
    [{ Selector: "x", Q: { v: 0, a: 1 } }, { Selector: "/x", S: "/x" }],
    [
      { Selector: "x".repeat(500), Q },
      { Selector: `/${"x".repeat(500)}`, S: `/${"x".repeat(500)}`, Q },
    ],
  ];
  for (const [sent, forwarded] of cases) {
    // The second time, the header is in the cache.
    for (let i = 0; i < 2; i++) {
      const call = await rawOpen(client);
      await call.values(sent, null);
      const there = await rawAccept(backend);
      assertEquals((await there.read(2))[0], forwarded);
      // Without null for the error, it opens no spare channels.
      await there.values({ Continue: false }, null);
      await there.eof();
      await there.close();
      await call.read(2);
      await call.close();
    }
  }
});

test("forward(): a call whose header gets too long is not forwarded, and leaves its channel to the next one", async (t) => {
  const { client, backend } = scriptsOf(t);
  const long = await rawOpen(client);
  // In the header that is forwarded, it is said twice.
  await long.values({ S: "/" + "x".repeat(40_000), Q: { v: 1 } }, null);
  const there = await rawAccept(backend);
  const [header] = await long.read(1) as { Q: { code: string } }[];
  assertEquals(header!.Q.code, "too-large");
  await long.close();
  const next = await rawOpen(client, 1);
  await next.values({ Selector: "x" }, null);
  await there.read(2);
  const others = backend.takePending().map(({ type }) => type);
  assertEquals(others.filter((type) => type !== "eof"), []);
});

test("forward(): calls that are not forwarded do not use up the idle frames of the session to the target", async (t) => {
  const [middle] = t.pair({}, {
    handler: handlerFrom(service),
    session: { maxIdleFrames: 20 },
  });
  const { raw } = t.scriptedPeer({ handler: forward(middle) });
  for (let id = 0; id < 40; id++) {
    const call = await rawOpen(raw, id);
    await call.values({ S: "/" + "x".repeat(40_000), Q: { v: 1 } }, null);
    await call.read(1);
    await call.close();
  }
  assertEquals(await middle.call("upper", ["still"]), "STILL");
});

test("forward(): a selector with an empty segment is not forwarded", async (t) => {
  const { client, backend } = scriptsOf(t);
  const call = await rawOpen(client);
  await call.values({ Selector: "admin..stop" }, null);
  const [{ Error: text }] = await call.read(1) as [{ Error: string }];
  assertEquals(text, "not found: /admin//stop");
  assertEquals(backend.takePending(), []);
});

test("forward(): a header that means different things to different peers is not forwarded", async (t) => {
  const errors: unknown[] = [];
  const { client, backend } = scriptsOf(t, (error) => errors.push(error));
  const headers = [
    '{"Selector":"public","selector":"admin"}',
    '{"Selector":"public","Selector":"admin"}',
    '{"Selector":"public","S":"admin"}',
    '{"Selector":"public","Context":{}}',
  ];
  for (const header of headers) {
    const call = await rawOpen(client);
    await call.data(framed(utf8(header)));
    await client.expect("close");
    await call.close();
  }
  assertEquals(
    errors.map((error) => (error as RpcError).code),
    headers.map(() => "malformed-header"),
  );
  assertEquals(backend.takePending(), []);
});

Deno.test("forward(): arguments and response are forwarded byte for byte", async () => {
  await using it = scripted();
  const call = await rawOpen(it.client);
  const header = framed(utf8('{ "Selector" : "a.b" , "other": [1e0]}'));
  const args = concat(framed(utf8("[ 1 ]")), utf8("not a value"));
  await call.data(concat(header, args));
  const there = await rawAccept(it.backend);
  const again = framed(utf8('{"Selector":"/a/b","S":"/a/b"}'));
  let received = new Uint8Array(0);
  while (received.length < again.length + args.length) {
    received = concat(received, (await it.backend.find("data")).payload);
  }
  assertEquals(received, concat(again, args));
  await there.data("\0neither is this");
  const { payload } = await it.client.find("data");
  assertEquals(payload, utf8("\0neither is this"));
});

Deno.test("forward(): half-close is forwarded in both directions, and then CLOSE", async () => {
  await using it = scripted();
  const call = await rawOpen(it.client);
  await call.values({ Selector: "x" }, 1);
  const there = await rawAccept(it.backend);
  await there.read(2);
  await call.eof();
  await it.backend.expect("eof");
  await there.values({ Error: null, Continue: true }, "open");
  assertEquals((await call.read(2))[1], "open");
  await there.eof();
  await it.client.expect("eof");
  await there.close();
  await it.client.expect("close");
});

Deno.test("forward(): cancelling a call is forwarded before and after the response", async () => {
  for (const answered of [false, true]) {
    await using it = scripted();
    const call = await rawOpen(it.client);
    await call.values({ Selector: "x" }, null);
    const there = await rawAccept(it.backend);
    await there.read(2);
    if (answered) {
      await there.values({ Error: null, Continue: true }, null);
      await call.read(2);
    }
    await call.close();
    const { recipient } = await within(it.backend.find("close"), "CLOSE");
    assertEquals(recipient, 0);
  }
});

Deno.test("forward(): a slow reader holds the producer back through the forwarding peer", async () => {
  const window = 1_000;
  const session = { initialWindowSize: window, maxWindowSize: window };
  let made = 0;
  const [middle, backend] = memoryPair({ session }, {
    session,
    handler: handlerFrom(async function* () {
      for (;;) {
        made++;
        yield "x".repeat(96);
      }
    }),
  });
  const [client, front] = memoryPair({ session }, {
    session,
    handler: forward(middle),
  });
  await using _ = client, __ = front, ___ = middle, ____ = backend;
  const response = await client.request("x");
  let before = -1;
  while (made !== before) {
    before = made;
    for (let i = 0; i < 10; i++) await turn();
  }
  // Two windows, and a chunk that waits between them.
  assertEquals(made <= 4 * window / 100, true, `${made} values were made`);
  await response.close();
});

Deno.test("forward(): a call that cannot be forwarded is an error response", async () => {
  await using it = chain(handlerFrom(service));
  await it.backend.close();
  await it.middle.closed;
  await assertRejects(() => it.client.call("upper", ["x"]), RemoteError);
});

Deno.test("forward(): a call without a response from the target is an error response", async () => {
  for (const end of ["close", "session"] as const) {
    await using it = scripted();
    const call = await rawOpen(it.client);
    await call.values({ Selector: "x" }, null);
    const there = await rawAccept(it.backend);
    await there.read(2);
    if (end === "close") await there.close();
    else await it.backend.close();
    const [{ Error: text }] = await call.read(1) as [{ Error: string }];
    assertEquals(
      text,
      end === "close"
        ? 'Cannot forward call "/x": the target closed it without a response'
        : 'Cannot forward call "/x": Connection is lost: the peer ended it',
    );
  }
});

Deno.test("forward(): a call that is cut off after its response is closed without EOF", async () => {
  await using it = scripted();
  const call = await rawOpen(it.client);
  await call.values({ Selector: "x" }, null);
  const there = await rawAccept(it.backend);
  await there.values({ Error: null, Continue: true }, null);
  await call.read(2);
  await it.backend.close();
  // EOF before it would make expect() throw.
  const { recipient } = await it.client.expect("close");
  assertEquals(recipient, 0);
});

Deno.test("forward(): spare channels are opened as for calls", async () => {
  const headers = [{ Error: null, Continue: false }, { Continue: false }];
  for (const header of headers) {
    await using it = scripted();
    const call = await rawOpen(it.client);
    await call.values({ Selector: "x" }, null);
    const there = await rawAccept(it.backend);
    await there.values(header, "answer");
    assertEquals((await call.read(2))[1], "answer");
    for (let i = 0; i < 5; i++) await turn();
    const opened = it.backend.takePending().filter(({ type }) =>
      type === "open"
    );
    // Only a peer that says null for its error can cope with spare channels.
    assertEquals(opened.length, "Error" in header ? 1 : 0);
  }
});

Deno.test("forward(): a pattern forwards the whole selector", async () => {
  const [middle, backend] = memoryPair({}, {
    handler: (call, respond) => respond.return(call.selector),
  });
  const [client, front] = memoryPair();
  await using _ = client, __ = front, ___ = middle, ____ = backend;
  const router = new Router();
  front.handle("db", router);
  router.handle("/", forward(middle));
  front.handle("local", handlerFrom(() => "here"));
  assertEquals(await client.call("db.tables.list"), "/db/tables/list");
  assertEquals(await client.call("local"), "here");
});

Deno.test("forward(): call.caller can be the target", async () => {
  const workers: Caller[] = [];
  const [worker, coordinator] = memoryPair({
    handler: handlerFrom({ work: (n: number) => n * n }),
  });
  coordinator.handle("join", (call) => void workers.push(call.caller));
  await worker.call("join");
  const [client, front] = memoryPair({}, {
    handler: (call, respond) => forward(workers[0]!)(call, respond),
  });
  await using _ = client, __ = front, ___ = worker, ____ = coordinator;
  assertEquals(await client.call("work", [7]), 49);
});

Deno.test("forward(): callbacks work through peers that forward in both directions", async () => {
  let kept: Callback<(n: number) => number> | undefined;
  const [middle, backend] = memoryPair({}, {
    handler: handlerFrom({
      listen: async (fn: Callback<(n: number) => number>) => {
        kept = fn.retain();
        return await fn(1);
      },
    }),
  });
  const [client, front] = memoryPair({}, { handler: forward(middle) });
  await using _ = client, __ = front, ___ = middle, ____ = backend;
  middle.handle("/", forward(front));
  assertEquals(await client.call("listen", [(n: number) => n + 1]), 2);
  assertEquals(await kept!(2), 3);
  assertEquals(client.callbackCount, 1);
  kept!.release();
  await callbacksReleased(client);
});

Deno.test("forward(): a target that is neither peer nor caller is refused", () => {
  for (const target of [{}, { call() {}, request() {} }]) {
    assertThrows(
      () => forward(target as unknown as Caller),
      TypeError,
      "target is neither peer nor pool nor caller",
    );
  }
});

Deno.test("forward(): a thousand calls at the same time leave no channel open", async () => {
  using time = new FakeTime();
  await using it = chain(handlerFrom(service));
  const calls = Array.from(
    { length: 1_000 },
    (_, i) => it.client.call("upper", [`a${i}`]),
  );
  const answers = await Promise.all(calls);
  assertEquals(answers, answers.map((_, i) => `A${i}`));
  const peers = [it.client, it.front, it.middle, it.backend];
  const open = () => peers.map(({ session }) => session.usage.channels);
  // Each second without calls closes half of the spare channels, and five the last.
  for (let second = 0; second < 20; second++) {
    time.tick(1_000);
    for (let i = 0; i < 5; i++) await turn();
  }
  assertEquals(open(), [0, 0, 0, 0]);
});

Deno.test("forward(): a call that was cancelled while its channel was opened is closed", async () => {
  await using it = scripted();
  const call = await rawOpen(it.client);
  await call.values({ Selector: "x" }, null);
  const { sender } = await it.backend.find("open");
  await call.close();
  await it.client.expect("close");
  await it.backend.send(confirm(sender, 7));
  const { recipient } = await within(it.backend.find("close"), "CLOSE");
  assertEquals(recipient, 7);
});

async function callbacksReleased(client: Peer): Promise<void> {
  const released = async () => {
    await until(() => client.callbackCount === 0);
  };
  await within(released(), "the callbacks to be released");
}

/** client – front | middle – backend: only the front forwards, for one pattern. */
function oneWay(t: Harness, handler: Handler) {
  const [middle, backend] = t.pair({}, { handler });
  const [client, front] = t.pair();
  front.handle("db/", forward(middle));
  return { client, front, middle, backend };
}

const lending = {
  db: {
    each: async (list: number[], fn: Callback<(n: number) => number>) =>
      await Promise.all(list.map((n) => fn(n))),
    upload: async (name: string, body: ReadableStream<Uint8Array>) =>
      `${name}: ${await toText(body)}`,
    only: async (body: ReadableStream<Uint8Array>) => await toText(body),
    streamed: withStream(async (fns: AsyncIterable<Callback<() => number>>) => {
      let sum = 0;
      for await (const fn of fns) sum += await fn();
      return sum;
    }),
    through: async (fn: Callback<(own: Callback<() => string>) => string>) =>
      await fn(() => "the backend's"),
  },
};

test("forward(): functions and streams work where only one direction is forwarded", async (t) => {
  const { client } = oneWay(t, handlerFrom(lending));
  const api = client.remote<typeof lending>();
  const body = () => new Blob(["bytes"]).stream();
  async function* functions() {
    yield* [() => 1, () => 2];
  }
  // The second time, the header is in the cache.
  for (let i = 0; i < 2; i++) {
    assertEquals(await api.db.each([1, 2], (n) => 10 * n), [10, 20]);
    assertEquals(await api.db.upload("a", body()), "a: bytes");
    assertEquals(await api.db.only(body()), "bytes");
    assertEquals(await client.call("db.streamed", functions()), 3);
    assertEquals(client.callbackCount, 0);
  }
});

test("forward(): functions of the target can be called back by those that it calls", async (t) => {
  const { client, backend } = oneWay(t, handlerFrom(lending));
  const through = async (own: () => Promise<string>) => `${await own()} own`;
  assertEquals(
    await client.call("db.through", [through]),
    "the backend's own",
  );
  assertEquals([client.callbackCount, backend.callbackCount], [0, 0]);
});

test("forward(): a retained function is called and released where only one direction is forwarded", async (t) => {
  let kept: Callback<(n: number) => number> | undefined;
  const { client } = oneWay(
    t,
    handlerFrom({
      db: {
        listen: (fn: Callback<(n: number) => number>) => {
          kept = fn.retain();
        },
      },
    }),
  );
  await client.call("db.listen", [(n: number) => n + 1]);
  assertEquals(await kept!(1), 2);
  assertEquals(client.callbackCount, 1);
  kept!.release();
  await callbacksReleased(client);
});

test("forward(): calls of functions find their way through several forwarding peers, to the right client", async (t) => {
  const [last, backend] = t.pair({}, {
    handler: handlerFrom(async (fn: Callback<(n: number) => number>) =>
      await fn(1)
    ),
  });
  const [second, third] = t.pair({}, { handler: forward(last) });
  const clients = [1, 2, 3].map(() => t.pair({}, { handler: forward(second) }));
  const answers = clients.map(([client], i) =>
    client.call("x", [(n: number) => 10 * n + i])
  );
  assertEquals(await Promise.all(answers), [10, 11, 12]);
  // Only what begins with such a prefix goes another way.
  await assertRejects(() => backend.call("_other"), RemoteError, "not found");
  await assertRejects(() => third.call("_other"), RemoteError, "not found");
});

test("forward(): the way back ends with the session of the client", async (t) => {
  let kept: Callback<() => number> | undefined;
  const { client, front } = oneWay(
    t,
    handlerFrom({
      db: { listen: (fn: Callback<() => number>) => void (kept = fn.retain()) },
    }),
  );
  await client.call("db.listen", [() => 1]);
  await client.close();
  await front.closed;
  await assertRejects(
    async () => await kept!(),
    RemoteError,
    "remote: not found: callback of /db/listen",
  );
});

test("forward(): the first to name a prefix has it, and what is none is ignored", async (t) => {
  const outgoing = t.scriptedPeer();
  const handler = forward(outgoing.peer);
  const prefix = "_012345";
  const scripts = [t.scriptedPeer({ handler }), t.scriptedPeer({ handler })];
  for (const [i, { raw }] of scripts.entries()) {
    for (const lends of [prefix, "", "_", "x".repeat(12), 5]) {
      const call = await rawOpen(raw);
      await call.values({ Selector: "x", Q: { v: 1, lends } }, null);
      const there = await rawAccept(outgoing.raw, i);
      const [header] = await there.read(2) as [{ Q: unknown }];
      assertEquals(header.Q, { v: 1, lends });
      await there.values({ Continue: false }, null);
      await there.eof();
      await there.close();
      await call.read(2);
      await call.close();
    }
  }
  const back = await rawOpen(outgoing.raw);
  await back.values({ Selector: `${prefix}0000000000001`, Q: { v: 1 } }, []);
  const there = await rawAccept(scripts[0]!.raw);
  const [{ Selector }] = await there.read(2) as [{ Selector: string }];
  assertEquals(Selector, `/${prefix}0000000000001`);
  await there.values({ Continue: false }, "called");
  await there.eof();
  await there.close();
  assertEquals((await back.read(2))[1], "called");
  await back.close();
});

test("forward(): functions and streams of results work where one pattern is forwarded", async (t) => {
  const results = {
    db: {
      counter() {
        let n = 0;
        return { next: () => ++n };
      },
      load: () => ({ body: new Blob(["bytes"]).stream() }),
    },
  };
  const { client, backend } = oneWay(t, handlerFrom(results));
  for (let i = 0; i < 2; i++) {
    const { next } = await client.call("db.counter") as {
      next: Callback<() => number>;
    };
    assertEquals([await next(), await next()], [1, 2]);
    next.release();
    const { body } = await client.call("db.load") as {
      body: ReadableStream<Uint8Array>;
    };
    assertEquals(await toText(body), "bytes");
  }
  await until(
    () => backend.callbackCount === 0,
    "the functions to be released",
  );
});

for (const timeout of [undefined, 60_000]) {
  const how = timeout === undefined ? "" : ", with a time limit";
  test(`forward(): functions and streams that the caller sends after a continued response work where one pattern is forwarded${how}`, async (t) => {
    type Fn = Callback<() => string>;
    type Sent = { fn?: Fn; body?: ReadableStream<Uint8Array> };
    const { client: first, backend: second } = oneWay(t, () => {});
    const [middle, backend] = t.pair();
    second.handle("db/", forward(middle));
    backend.handle("db/chat", async (call, respond) => {
      await call.receive();
      const channel = await respond.continue("begin");
      for (;;) {
        const value = await call.receive() as Sent | undefined;
        if (value === undefined) break;
        const { fn, body } = value;
        await respond.send(fn ? await fn() : await toText(body!));
      }
      await channel.close();
    });
    // The second header of a selector comes from a cache.
    for (let i = 0; i < 3; i++) {
      await using response = await first.request("db/chat", [], { timeout });
      assertEquals(response.value, "begin");
      await response.send({ fn: () => `called ${i}` });
      assertEquals(await within(response.receive(), "the text"), `called ${i}`);
      await response.send({ body: new Blob(["bytes"]).stream() });
      assertEquals(await within(response.receive(), "the bytes"), "bytes");
    }
  });
}

test("forward(): functions and streams in the values of a continued response work where one pattern is forwarded", async (t) => {
  type Fn = Callback<() => string>;
  const continued = {
    db: {
      async *functions() {
        yield { fn: await Promise.resolve(() => "first") };
        yield { fn: () => "second" };
      },
      async *streams() {
        yield { body: await Promise.resolve(new Blob(["bytes"]).stream()) };
      },
      readable: () =>
        new ReadableStream({
          start(controller) {
            controller.enqueue({ fn: () => "readable" });
            controller.close();
          },
        }),
      nested: () => ({
        values: (async function* () {
          yield { fn: await Promise.resolve(() => "nested") };
        })(),
      }),
      given: async (fn: Fn) => {
        const own = fn.retain();
        await Promise.resolve();
        return (async function* () {
          yield {
            async fn() {
              using once = own;
              return `given ${await once()}`;
            },
          };
        })();
      },
    },
  };
  const { client, middle, backend } = oneWay(t, handlerFrom(continued));
  backend.handle("db/opened", async (_call, respond) => {
    const channel = await respond.continue({ fn: () => "at once" });
    await respond.send({ fn: () => "sent" });
    await channel.close();
  });
  const heard: string[] = [];
  const hear = async (values: AsyncIterable<unknown>) => {
    for await (const value of values) {
      using fn = (value as { fn: Fn }).fn;
      heard.push(await fn());
    }
  };
  for (let i = 0; i < 2; i++) {
    await hear(await client.request("db.functions", []));
    await hear(await client.request("db.readable", []));
    const { values } = await client.call("db.nested", []) as {
      values: AsyncIterable<unknown>;
    };
    await hear(values);
    await hear(await client.request("db.given", [() => "me"]));
    const opened = await client.request("db.opened");
    await hear((async function* () {
      yield await Promise.resolve(opened.value);
    })());
    await hear(opened);
    for await (const value of await client.request("db.streams", [])) {
      const { body } = value as { body: ReadableStream<Uint8Array> };
      heard.push(await toText(body));
    }
    assertEquals(heard.splice(0), [
      "first",
      "second",
      "readable",
      "nested",
      "given me",
      "at once",
      "sent",
      "bytes",
    ]);
  }
  assertEquals(middle.callbackCount, 0);
  await callbacksReleased(backend);
});

/** Waits until the target holds that many functions and streams. */
async function untilHeld(backend: Peer, count: number): Promise<void> {
  await until(
    () => backend.callbackCount === count,
    `${count} functions and streams at the target`,
  );
}

const shared = () => 5;

/** A service that lends functions and streams in its results. */
const results = {
  db: {
    counter: () => () => 1,
    /** Twice the same, among others. */
    twice: () => [shared, () => 2, shared],
    shared: () => shared,
    load: () => ({ body: new Blob(["bytes"]).stream() }),
    /** So large that it arrives in pieces. */
    large: () => ["x".repeat(300_000), () => 1, "y".repeat(300_000), () => 2],
    sum: withStream(async (values: AsyncIterable<unknown>) => {
      for await (const _ of values);
      return () => 3;
    }),
  },
};

test("forward(): what the target lent to a client is released when the client leaves", async (t) => {
  const { client, backend } = oneWay(t, handlerFrom(results));
  // Kept: what becomes unreachable is released.
  const held = [
    await client.call("db.counter"),
    await client.call("db.twice"),
    await client.call("db.load"),
    await client.call("db.large"),
    await client.call("db.sum", ReadableStream.from([1, 2])),
  ];
  assertEquals(backend.callbackCount, 7);
  await client.close();
  await untilHeld(backend, 0);
  assertEquals(held.length, 5);
});

test("forward(): what one client leaves behind does not end what another one holds", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const [ann] = t.pair({}, { handler: forward(middle) });
  const [bob] = t.pair({}, { handler: forward(middle) });
  for (let i = 0; i < 3; i++) {
    // Given back by itself, once by hand and once by giving the call up.
    using _ = await ann.call("db.shared") as Callback<() => number>;
    const controller = new AbortController();
    const { signal } = controller;
    const call = ann.call("db.shared", [], { signal }).catch(() => {});
    for (let turns = 0; turns < i; turns++) await turn();
    controller.abort();
    await call;
  }
  const anns = await ann.call("db.shared");
  const held = await bob.call("db.shared") as Callback<() => number>;
  await ann.close();
  await ann.closed;
  const bobs = await bob.call("db.load");
  await untilHeld(backend, 2);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(await held(), 5);
  await bob.close();
  await untilHeld(backend, 0);
  assertEquals([typeof anns, typeof bobs], ["function", "object"]);
});

test("forward(): what a client has read or released is forgotten", async (t) => {
  const { client, backend } = oneWay(t, handlerFrom(results));
  for (let i = 0; i < 3; i++) {
    using _ = await client.call("db.counter") as Callback<() => number>;
    const { body } = await client.call("db.load") as {
      body: ReadableStream<Uint8Array>;
    };
    assertEquals(await toText(body), "bytes");
  }
  await untilHeld(backend, 0);
});

test("forward(): an upload that its caller gives up is no bug of the handler", async (t) => {
  const { client } = oneWay(
    t,
    handlerFrom({
      db: {
        upload: async (body: ReadableStream<Uint8Array>) => {
          for await (const _ of body);
        },
      },
    }),
  );
  for (let turns = 0; turns < 30; turns++) {
    const controller = new AbortController();
    const { signal } = controller;
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (stream) => stream.enqueue(new Uint8Array(10_000)),
    });
    const upload = client.call("db.upload", [endless], { signal });
    const ended = assertRejects(() => upload, Error, "enough");
    for (let i = 0; i < turns % 10; i++) await turn();
    controller.abort(new Error("enough"));
    await ended;
  }
});

test("forward(): no client can call what the target lent to another one", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const clients = [1, 2].map(() =>
    t.scriptedPeer({ handler: forward(middle) })
  );
  const ids: string[] = [];
  for (const { raw } of clients) {
    const call = await rawOpen(raw);
    await call.values({ Selector: "db.counter", Q: { v: 1 } }, []);
    const [, { $fnptr }] = await call.read(2) as [unknown, { $fnptr: string }];
    ids.push($fnptr);
    await call.eof();
    await call.close();
  }
  // What one client was sent says of the other's only what is the same for all.
  const [a, b] = ids.map((id) => id.slice(8));
  assertEquals(ids[0]!.slice(0, 8), ids[1]!.slice(0, 8));
  assertEquals(a!.length, 12);
  const same = [...a!].filter((digit, i) => digit === b![i]).length;
  assertEquals(same < 6, true, `${a} ${b}`);
  for (const { raw } of clients) await raw.end();
  await untilHeld(backend, 0);
});

test("forward(): what came in a stream of values is released when the client leaves, however the call ended", async (t) => {
  const endings: Record<
    string,
    (stop: AbortController, response: RpcResponse) => unknown
  > = {
    "to its end": async (_, response) => {
      for await (const _ of response);
    },
    "left": (_, response) => response.close(),
    "given up": (stop) => stop.abort(new Error("enough")),
    "not at all": () => {},
  };
  for (const [how, end] of Object.entries(endings)) {
    const { client, backend } = oneWay(
      t,
      handlerFrom({
        db: {
          async *functions() {
            yield await Promise.resolve(() => 1);
            yield () => 2;
          },
        },
      }),
    );
    const stop = new AbortController();
    const { signal } = stop;
    const response = await client.request("db.functions", [], { signal });
    const first = await response.receive() as Callback<() => number>;
    assertEquals(await first(), 1, how);
    await untilHeld(backend, 2);
    await end(stop, response);
    for (let i = 0; i < 10; i++) await turn();
    assertEquals(await first(), 1, how);
    await client.close();
    await untilHeld(backend, 0);
    await response.close();
  }
});

/** A pool whose members, one after the other, get a call until one does not refuse it. */
function poolOf(...peers: Caller[]): Caller {
  const targets: ForwardTargets = {
    failsOver: true,
    capacity: (max) => max,
    onConnected: () => () => {},
    async forward({ send }) {
      let latest: unknown;
      for (const peer of peers) {
        try {
          return await send(peer);
        } catch (error) {
          if (!isNotBegun(error)) throw error;
          latest = error;
        }
      }
      throw latest;
    },
  };
  return { [forwardTargets]: targets } as unknown as Caller;
}

const REFUSAL = { Error: "later", Continue: false, Q: { v: 1, code: "busy" } };

test("forward(): a call that a member of a pool refuses is sent to the next one byte for byte", async (t) => {
  for (const extended of [true, false]) {
    const members = [1, 2].map(() => t.scriptedPeer());
    const [first, second] = members;
    const { raw: client } = t.scriptedPeer({
      handler: forward(poolOf(...members.map(({ peer }) => peer))),
    });
    // The header of the refusal arrives whole, or in pieces.
    for (const [i, pieces] of [1, 2, 5].entries()) {
      const call = await rawOpen(client);
      const Q = { v: 1, unknown: [i] };
      const args = concat(framed(utf8("[ 1 ]")), utf8("not a value"));
      const header = { Selector: "a.b", ...extended && { Q } };
      await call.data(concat(values(header), args));
      const refusing = await rawAccept(first!.raw, i);
      await refusing.read(2);
      const refusal = values(REFUSAL);
      const size = Math.ceil(refusal.length / pieces);
      for (let at = 0; at < refusal.length; at += size) {
        await refusing.data(refusal.slice(at, at + size));
        for (let turns = 0; turns < 3; turns++) await turn();
      }
      await refusing.eof();
      await refusing.close();
      const doing = await rawAccept(second!.raw, i);
      // The rest goes where the call is now.
      await call.data("more");
      const again = framed(utf8(JSON.stringify({
        Selector: "/a/b",
        S: "/a/b",
        ...extended && { Q },
      })));
      const whole = concat(again, args, utf8("more"));
      let received = new Uint8Array(0);
      while (received.length < whole.length) {
        received = concat(
          received,
          (await second!.raw.find("data")).payload,
        );
      }
      assertEquals(received, whole);
      await call.eof();
      await second!.raw.find("eof");
      // Without null for the error, it opens no spare channels.
      await doing.values({ Continue: false }, "done");
      await doing.eof();
      await doing.close();
      assertEquals((await call.read(2))[1], "done");
      await call.close();
      await within(first!.raw.find("close"), "CLOSE");
    }
  }
});

test("forward(): a refusal that arrives in pieces is passed on byte for byte if no other member of a pool takes the call", async (t) => {
  const member = t.scriptedPeer();
  const { raw: client } = t.scriptedPeer({
    handler: forward(poolOf(member.peer)),
  });
  for (const [i, pieces] of [1, 3].entries()) {
    const call = await rawOpen(client);
    await call.values({ Selector: "x", Q: { v: 1 } }, null);
    const there = await rawAccept(member.raw, i);
    await there.read(2);
    const refusal = concat(values(REFUSAL), utf8("and more"));
    const size = Math.ceil(refusal.length / pieces);
    for (let at = 0; at < refusal.length; at += size) {
      await there.data(refusal.slice(at, at + size));
      for (let turns = 0; turns < 3; turns++) await turn();
    }
    await there.eof();
    let received = new Uint8Array(0);
    while (received.length < refusal.length) {
      received = concat(received, (await client.find("data")).payload);
    }
    assertEquals(received, refusal);
    await there.close();
    await within(client.find("close"), "CLOSE");
    await call.close();
    await within(member.raw.find("close"), "CLOSE");
  }
});

test("forward(): a caller that leaves while a refusal arrives, or a member is asked, ends the call at once", async (t) => {
  const members = [1, 2].map(() => t.scriptedPeer());
  const [first, second] = members;
  const { raw: client } = t.scriptedPeer({
    handler: forward(poolOf(...members.map(({ peer }) => peer))),
  });
  for (const [i, when] of (["pieces", "next"] as const).entries()) {
    const call = await rawOpen(client);
    await call.values({ Selector: "x", Q: { v: 1 } }, null);
    const there = await rawAccept(first!.raw, i);
    await there.read(2);
    const refusal = values(REFUSAL);
    if (when === "pieces") await there.data(refusal.slice(0, 10));
    else {
      await there.data(refusal);
      await (await rawAccept(second!.raw)).read(2);
    }
    await call.close();
    const asked = when === "pieces" ? first! : second!;
    const { recipient } = await within(asked.raw.find("close"), "CLOSE");
    assertEquals(recipient, 0, when);
  }
});

test("forward(): calls to a reconnecting peer go to its connection, or wait for one", async (t) => {
  const servers: Peer[] = [];
  const connections: PromiseWithResolvers<Peer>[] = [];
  const next = () => {
    const connection = Promise.withResolvers<Peer>();
    connections.push(connection);
    return connection.promise;
  };
  const reconnecting = new Reconnector(
    { minDelay: 0, maxDelay: 0 },
    undefined,
    {
      connect: next,
      wait: () => turn(),
      now: () => performance.now(),
      random: () => 0,
      report() {},
    },
  );
  t.defer(() => reconnecting.close());
  const connect = () => {
    const [near, far] = t.pair({}, { handler: handlerFrom(service) });
    servers.push(far);
    connections.at(-1)!.resolve(near);
  };
  const [client] = t.pair({}, { handler: forward(reconnecting) });
  const api = client.remote<typeof service>();
  const first = api.upper("waited");
  for (let i = 0; i < 5; i++) await turn();
  connect();
  assertEquals(await first, "WAITED");
  assertEquals(await Array.fromAsync(api.count(3)), [1, 2, 3]);
  await servers[0]!.close();
  await until(() => connections.length >= 2);
  const stop = new AbortController();
  const given = assertRejects(
    () => client.call("upper", ["x"], { signal: stop.signal }),
    Error,
    "enough",
  );
  const second = api.upper("again");
  for (let i = 0; i < 5; i++) await turn();
  stop.abort(new Error("enough"));
  await given;
  connect();
  assertEquals(await second, "AGAIN");
});

import {
  forward,
  type Handler,
  handlerFrom,
  memoryPair,
  type Peer,
  type PeerOptions,
  Router,
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
import { concat, confirm, framed, utf8 } from "../../tests/support/wire.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, type RpcError } from "../errors.ts";
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

test("forward(): again from a target that was not asked is ignored", async (t) => {
  for (
    const [Continue, others] of [
      [false, { other: 1 }],
      [true, {}],
      [false, { lends: "_012345" }],
    ] as const
  ) {
    const { client, backend } = scriptsOf(t);
    const call = await rawOpen(client);
    await call.values({ S: "x", Q: { v: 1, again: true } }, null);
    const there = await rawAccept(backend);
    await there.read(2);
    const Q = { v: 1, again: true, ...others };
    await there.values({ Continue, Q }, "done");
    await there.eof();
    assertEquals(await call.read(2), [
      { Continue, Q: { v: 1, ...others } },
      "done",
    ]);
    await call.eof();
    await call.close();
    await there.close();
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

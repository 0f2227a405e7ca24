import {
  CallError,
  DEFAULT_PEER_LIMITS,
  type ErrorContext,
  handlerFrom,
  memoryPair,
  MuxError,
  Peer,
  type PeerOptions,
  qmux,
  RemoteError,
  Router,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { rawSession } from "../mux/session.ts";
import { memoryTransports } from "../mux/transport/memory.ts";
import { FakeTime } from "../tests/support/fake_time.ts";
import { rawCall, rawOpen, scriptedPeer } from "../tests/support/raw_call.ts";
import { confirm } from "../tests/support/wire.ts";
import { turn, until, watch, within } from "../tests/support/within.ts";

Deno.test("memoryPair(): the peers call each other", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  a.handle("who", (_call, respond) => respond.return("a"));
  b.handle("who", (_call, respond) => respond.return("b"));
  assertEquals(await a.call("who"), "b");
  assertEquals(await b.call("who"), "a");
});

Deno.test("memoryPair(): each peer has its own options", async () => {
  const [a, b] = memoryPair(
    { handler: handlerFrom(() => "a"), maxValueSize: 100 },
    { handler: handlerFrom(() => "b".repeat(200)) },
  );
  await using _ = a;
  assertEquals(await b.call(""), "a");
  await assertRejects(() => a.call(""), Error, "exceed the limit of 100 bytes");
});

Deno.test("peer: calls are answered as soon as it is made", async () => {
  const [left, right] = memoryTransports();
  await using b = new Peer(qmux(right), {
    handler: (_call, respond) => respond.return("at once"),
  });
  const early = b.call("early");
  early.catch(() => {});
  await using a = new Peer(qmux(left));
  assertEquals(await a.call("x"), "at once");
  const error = await assertRejects(() => early, RemoteError);
  assertEquals(error.text, "not found: /early");
});

Deno.test("peer: without a handler every call is not found", async () => {
  const [a] = memoryPair();
  await using _ = a;
  for (const [selector, clean] of [["a.b", "/a/b"], ["", "/"]]) {
    const error = await assertRejects(() => a.call(selector!), RemoteError);
    assertEquals(error.text, `not found: ${clean}`);
  }
});

Deno.test("handler option: it answers calls that match no pattern", async () => {
  const [a, b] = memoryPair({}, {
    handler: (call, respond) => respond.return(`fallback ${call.selector}`),
  });
  await using _ = a;
  b.handle("known", (_call, respond) => respond.return("known"));
  assertEquals(await a.call("known"), "known");
  assertEquals(await a.call("un.known"), "fallback /un/known");
});

Deno.test("handler option: a router gets the whole selector", async () => {
  const router = new Router();
  router.handle("a.b", (_call, respond) => respond.return("routed"));
  const [a] = memoryPair({}, { handler: router });
  await using _ = a;
  assertEquals(await a.call("a.b"), "routed");
});

Deno.test("handler option: it does not get what a router of handle() does not find", async () => {
  const [a, b] = memoryPair({}, { handler: handlerFrom(() => "fallback") });
  await using _ = a;
  b.handle("sub", handlerFrom({ known: () => "known" }));
  assertEquals(await a.call("sub.known"), "known");
  const error = await assertRejects(() => a.call("sub.unknown"), RemoteError);
  assertEquals(error.text, "not found: /sub/unknown");
  assertEquals(await a.call("sub"), "fallback");
});

Deno.test("peer.handle(): the returned disposable removes the handler", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  {
    using _handling = b.handle("x", handlerFrom(() => "here"));
    assertEquals(await a.call("x"), "here");
    assertThrows(() => b.handle("x", () => {}), TypeError, "already");
  }
  await assertRejects(() => a.call("x"), RemoteError, "not found: /x");
  b.handle("x", handlerFrom(() => "again"));
  assertEquals(await a.call("x"), "again");
});

Deno.test("peer.handle(): a running call survives the removal of its handler", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  const running = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const handling = b.handle("x", async (_call, respond) => {
    running.resolve();
    await release.promise;
    await respond.return("finished");
  });
  const answer = a.call("x");
  await running.promise;
  handling[Symbol.dispose]();
  release.resolve();
  assertEquals(await answer, "finished");
});

Deno.test("peer.handle(): patterns belong to one peer", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  a.handle("only.a", () => {});
  await assertRejects(() => a.call("only.a"), RemoteError, "not found");
  assertEquals(await b.call("only.a"), null);
});

Deno.test("peer.session: its incoming channels cannot be accepted", async () => {
  const [a] = memoryPair();
  await using _ = a;
  for (
    const attempt of [
      () => a.session[Symbol.asyncIterator](),
      () => a.session.accept(() => {}),
      () => new Peer(a.session),
    ]
  ) {
    const error = assertThrows(attempt, MuxError);
    assertEquals(error.code, "invalid-state");
  }
});

Deno.test("peer.session: it opens channels beside the calls", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const opening = peer.session.open();
  const { sender } = await raw.find("open");
  await raw.send(confirm(sender, 5));
  const channel = await opening;
  const writer = channel.writable.getWriter();
  await writer.write(new Uint8Array([1, 2, 3]));
  assertEquals(
    (await raw.find("data")).payload,
    new Uint8Array([1, 2, 3]),
  );
});

Deno.test("peer.close(): it is idempotent and ends both peers cleanly", async () => {
  const [a, b] = memoryPair();
  await Promise.all([a.close(), a.close()]);
  await within(a.closed, "a to close");
  await within(b.closed, "b to close");
  await a.close();
  await b.close();
  await a[Symbol.asyncDispose]();
  for (const peer of [a, b]) {
    await assertRejects(() => peer.call("x"), MuxError);
  }
});

Deno.test("peer.close(): both sides may close at the same time", async () => {
  const [a, b] = memoryPair();
  await within(Promise.all([a.close(), b.close()]), "both");
  for (const peer of [a, b]) {
    await peer.closed;
    const error = await assertRejects(() => peer.call("x"), MuxError);
    assertEquals(error.code, "session-closed");
  }
});

Deno.test("peer.close(): a response sent before it arrives", async () => {
  const large = "x".repeat(50_000);
  const [a, b] = memoryPair({}, {
    handler: (_call, respond) => {
      void respond.return(large);
      void b.close();
    },
  });
  assertEquals(await a.call("x"), large);
  await a.close();
});

Deno.test("peer.close(): it waits at most a second for queued data", async () => {
  using time = new FakeTime();
  const { peer, raw } = scriptedPeer({
    handler: (_call, respond) => respond.return("x".repeat(1_000_000)),
  }, {});
  const channel = await rawOpen(raw, 0, 10);
  await channel.values({ Selector: "x" }, null);
  const closing = watch(peer.close());
  await turn();
  time.tick(999);
  await turn();
  assertEquals(closing.state, "pending");
  time.tick(1);
  await turn();
  assertEquals(closing.state, "resolved");
});

Deno.test("peer.closed: it rejects when the session breaks, and onError is called once", async () => {
  const errors: [unknown, ErrorContext][] = [];
  const { peer, raw } = scriptedPeer({
    onError: (error, context) => errors.push([error, context]),
  });
  await raw.send(new Uint8Array([0xff]));
  const error = await assertRejects(() => peer.closed, MuxError);
  assertEquals(error.code, "protocol-error");
  await turn();
  assertEquals(errors.length, 1);
  const [[reported, context]] = errors as [[unknown, ErrorContext]];
  assert(reported === error);
  assert(context.peer === peer);
  assertEquals(context.selector, undefined);
  await peer.close();
});

Deno.test("peer.closed: its rejection is never unhandled", async () => {
  const unhandled: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    unhandled.push(event.reason);
    event.preventDefault();
  };
  addEventListener("unhandledrejection", onRejection);
  try {
    const { peer, raw } = scriptedPeer();
    const { closed } = peer;
    await raw.send(new Uint8Array([0xff]));
    await until(() => rawSession(peer.session).ended);
    await turn();
    assertEquals(unhandled, []);
    await assertRejects(() => closed, MuxError);
    await peer.close();
  } finally {
    removeEventListener("unhandledrejection", onRejection);
  }
});

Deno.test("onError: the context names the peer and the call", async () => {
  const errors = Promise.withResolvers<[unknown, ErrorContext]>();
  const { peer, raw } = scriptedPeer({
    handler: async (_call, respond) => {
      await respond.return();
      throw new Error("afterwards");
    },
    onError: (error, context) => errors.resolve([error, context]),
  });
  await using _ = peer;
  await rawCall(raw, "some.call", null);
  const [error, context] = await within(errors.promise, "onError");
  assertEquals((error as Error).message, "afterwards");
  assert(context.peer === peer);
  assertEquals(context.selector, "/some/call");
});

Deno.test("onError: it does not get errors for the caller, nor what the caller is the cause of", async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const [a, b] = memoryPair({ onError }, { onError });
  b.handle("fails", () => {
    throw new CallError("sent to the caller");
  });
  b.handle("returned", (_call, respond) => respond.return(new Error("no")));
  b.handle("add", handlerFrom((x: number, y: number) => x + y));
  await assertRejects(() => a.call("fails"));
  await assertRejects(() => a.call("returned"));
  await assertRejects(() => a.call("add", 1));
  await assertRejects(() => a.call("missing"));
  await assertRejects(() => a.call("x", [new Map()]));
  await a.close();
  await b.closed;
  assertEquals(errors, []);
});

Deno.test("memoryPair(): a session option out of range is refused", () => {
  assertThrows(
    () => memoryPair({ session: { backlog: -1 } }),
    RangeError,
    "backlog",
  );
});

Deno.test("peer: an option out of range throws an error that names option and range", () => {
  const wrong: [PeerOptions, string][] = [
    [
      { maxValueSize: 0 },
      '"maxValueSize": 0 is not an integer from 1 to 4294967295',
    ],
    [{ maxValueSize: Infinity }, '"maxValueSize": Infinity is not'],
    [
      { maxConcurrentCalls: 0 },
      '"maxConcurrentCalls": 0 is not an integer of at least 1',
    ],
    [{ maxConcurrentCalls: NaN }, '"maxConcurrentCalls": NaN is not'],
    [
      { maxCallbacks: 1.5 },
      '"maxCallbacks": 1.5 is not an integer of at least 0',
    ],
  ];
  for (const [options, text] of wrong) {
    for (
      const make of [
        () => memoryPair(options),
        () => memoryPair({}, options),
      ]
    ) {
      assertThrows(make, RangeError, `Cannot use option ${text}`);
    }
  }
});

Deno.test("peer: an option that is undefined has its default", async () => {
  const none: PeerOptions = {
    codec: undefined,
    codecs: undefined,
    handler: undefined,
    onError: undefined,
    maxValueSize: undefined,
    maxConcurrentCalls: undefined,
    maxCallbacks: undefined,
  };
  const [a, b] = memoryPair({ ...none, session: undefined }, none);
  await using _ = a;
  b.handle("echo", handlerFrom((value: unknown) => value));
  assertEquals(
    await a.call("echo", ["x".repeat(100_000)]),
    "x".repeat(100_000),
  );
  assertEquals(DEFAULT_PEER_LIMITS, {
    maxValueSize: 1024 * 1024,
    maxConcurrentCalls: 1_024,
    maxQueuedCalls: 16_384,
    maxQueuedCallSize: 16 * 1024 * 1024,
    callQueueTimeout: 10_000,
    maxCallbacks: 4_096,
    maxMetaSize: 8_192,
  });
});

Deno.test("memoryPair(): a bad option of one peer leaves no session behind", () => {
  using time = new FakeTime();
  assertThrows(() => memoryPair({}, { session: { backlog: -1 } }), RangeError);
  assertEquals(time.waiting, 0);
});

import {
  type ErrorContext,
  handlerFrom,
  memoryPair,
  MuxError,
  Peer,
  qmux,
  RemoteError,
  Router,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { memoryTransports } from "../mux/transport/memory.ts";
import { FakeTime } from "../tests/support/fake_time.ts";
import { rawCall, rawOpen, scriptedPeer } from "../tests/support/raw_call.ts";
import { confirm } from "../tests/support/wire.ts";
import { turn, watch, within } from "../tests/support/within.ts";

Deno.test("two peers in one process call each other", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  a.handle("who", (_call, respond) => respond.return("a"));
  b.handle("who", (_call, respond) => respond.return("b"));
  assertEquals(await a.call("who"), "b");
  assertEquals(await b.call("who"), "a");
});

Deno.test("each of two peers has options of its own", async () => {
  const [a, b] = memoryPair(
    { handler: handlerFrom(() => "a"), maxValueSize: 100 },
    { handler: handlerFrom(() => "b".repeat(200)) },
  );
  await using _ = a;
  assertEquals(await b.call(""), "a");
  await assertRejects(() => a.call(""), Error, "exceed the limit of 100 bytes");
});

Deno.test("a peer answers calls from the moment it exists", async () => {
  const [left, right] = memoryTransports();
  await using b = new Peer(qmux(right), {
    handler: (_call, respond) => respond.return("at once"),
  });
  const early = b.call("early");
  await using a = new Peer(qmux(left));
  assertEquals(await a.call("x"), "at once");
  const error = await assertRejects(() => early, RemoteError);
  assertEquals(error.text, "not found: /early");
});

Deno.test("a peer without a handler finds nothing", async () => {
  const [a] = memoryPair();
  await using _ = a;
  for (const [selector, clean] of [["a.b", "/a/b"], ["", "/"]]) {
    const error = await assertRejects(() => a.call(selector!), RemoteError);
    assertEquals(error.text, `not found: ${clean}`);
  }
});

Deno.test("the handler option answers what no pattern matches", async () => {
  const [a, b] = memoryPair({}, {
    handler: (call, respond) => respond.return(`fallback ${call.selector}`),
  });
  await using _ = a;
  b.handle("known", (_call, respond) => respond.return("known"));
  assertEquals(await a.call("known"), "known");
  assertEquals(await a.call("un.known"), "fallback /un/known");
});

Deno.test("the handler option may be a router, which sees the whole selector", async () => {
  const router = new Router();
  router.handle("a.b", (_call, respond) => respond.return("routed"));
  const [a] = memoryPair({}, { handler: router });
  await using _ = a;
  assertEquals(await a.call("a.b"), "routed");
});

Deno.test("a miss in a router of handle() does not come to the handler option", async () => {
  const [a, b] = memoryPair({}, { handler: handlerFrom(() => "fallback") });
  await using _ = a;
  b.handle("sub", handlerFrom({ known: () => "known" }));
  assertEquals(await a.call("sub.known"), "known");
  const error = await assertRejects(() => a.call("sub.unknown"), RemoteError);
  assertEquals(error.text, "not found: /sub/unknown");
  assertEquals(await a.call("sub"), "fallback");
});

Deno.test("what handle() returns removes the handler", async () => {
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

Deno.test("a call under way is not disturbed by the removal of its handler", async () => {
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

Deno.test("the patterns of one peer are not another's", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  a.handle("only.a", () => {});
  await assertRejects(() => a.call("only.a"), RemoteError, "not found");
  assertEquals(await b.call("only.a"), null);
});

Deno.test("a peer's incoming channels belong to RPC: its session cannot be iterated", async () => {
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

Deno.test("a peer's session opens channels of its own beside its calls", async () => {
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

Deno.test("close() is idempotent, never rejects, and ends both peers cleanly", async () => {
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

Deno.test("both ends may close at the same time", async () => {
  const [a, b] = memoryPair();
  await within(Promise.all([a.close(), b.close()]), "both");
  await a.closed;
  await b.closed;
});

Deno.test("close() lets what was answered before it arrive", async () => {
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

Deno.test("close() waits a second at most for what cannot leave", async () => {
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

Deno.test("closed rejects when the session breaks, and onError hears it once", async () => {
  const heard: [unknown, ErrorContext][] = [];
  const { peer, raw } = scriptedPeer({
    onError: (error, context) => heard.push([error, context]),
  });
  await raw.send(new Uint8Array([0xff]));
  const error = await assertRejects(() => peer.closed, MuxError);
  assertEquals(error.code, "protocol-error");
  await turn();
  assertEquals(heard.length, 1);
  const [[reported, context]] = heard as [[unknown, ErrorContext]];
  assert(reported === error);
  assert(context.peer === peer);
  assertEquals(context.selector, undefined);
  await peer.close();
});

Deno.test("closed that rejects is no unhandled rejection", async () => {
  const { peer, raw } = scriptedPeer();
  await raw.send(new Uint8Array([0xff]));
  await turn();
  await peer.close();
});

Deno.test("onError is told which peer and which call", async () => {
  const heard = Promise.withResolvers<[unknown, ErrorContext]>();
  const { peer, raw } = scriptedPeer({
    handler: async (_call, respond) => {
      await respond.return();
      throw new Error("afterwards");
    },
    onError: (error, context) => heard.resolve([error, context]),
  });
  await using _ = peer;
  await rawCall(raw, "some.call", null);
  const [error, context] = await within(heard.promise, "onError");
  assertEquals((error as Error).message, "afterwards");
  assert(context.peer === peer);
  assertEquals(context.selector, "/some/call");
});

Deno.test("onError does not hear what somebody awaits", async () => {
  const heard: unknown[] = [];
  const onError = (error: unknown) => void heard.push(error);
  const [a, b] = memoryPair({ onError }, { onError });
  b.handle("fails", () => {
    throw new Error("told to the caller");
  });
  await assertRejects(() => a.call("fails"));
  await assertRejects(() => a.call("missing"));
  await assertRejects(() => a.call("x", [new Map()]));
  await a.close();
  await b.closed;
  assertEquals(heard, []);
});

Deno.test("session options out of range are refused", () => {
  assertThrows(
    () => memoryPair({ session: { backlog: -1 } }),
    RangeError,
    "backlog",
  );
});

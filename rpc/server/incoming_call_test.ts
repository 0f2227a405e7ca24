import { type Call, memoryPair, MuxError, type Peer } from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { toText } from "@std/streams";
import { CodecError } from "../../codec/errors.ts";
import { CountingController } from "../../tests/support/counting_controller.ts";
import {
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { concat, data, utf8, values } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { RpcError } from "../errors.ts";
import type { Responder } from "../types.ts";

/** A handler that passes its call to the test. */
function handedOut() {
  const call = Promise.withResolvers<{ call: Call; respond: Responder }>();
  const release = Promise.withResolvers<void>();
  return {
    call: call.promise,
    release: release.resolve,
    handler: async (incoming: Call, respond: Responder) => {
      call.resolve({ call: incoming, respond });
      await release.promise;
    },
  };
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return within(
    new Promise((resolve) => {
      const done = () => resolve(signal.reason);
      if (signal.aborted) done();
      else signal.addEventListener("abort", done, { once: true });
    }),
    "the signal to abort",
  );
}

Deno.test("Call.signal: it aborts when the caller closes before the response", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  const { call: { signal } } = await out.call;
  assertEquals(signal.aborted, false);
  await channel.close();
  const reason = await aborted(signal);
  assert(reason instanceof RpcError);
  assertEquals(reason.code, "cancelled");
  out.release();
});

Deno.test("Call.signal: it has aborted already if it is first used after the CLOSE", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  const { call } = await out.call;
  await channel.close();
  assert(call.signal.aborted);
  assertEquals((call.signal.reason as RpcError).code, "cancelled");
  assert(call.signal === call.signal);
  out.release();
});

Deno.test("Call.signal: it aborts when the caller's signal cancels the call", async () => {
  const out = handedOut();
  const [client] = memoryPair({}, { handler: out.handler });
  await using _ = client;
  const giveUp = new AbortController();
  const answer = client.call("x", null, { signal: giveUp.signal });
  const { call: { signal } } = await out.call;
  giveUp.abort(new Error("mine"));
  await assertRejects(() => answer, Error, "mine");
  await aborted(signal);
  out.release();
});

Deno.test("Call.signal: it does not abort when the caller ends its arguments with EOF", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", 1, 2);
  const { call, respond } = await out.call;
  const { signal } = call;
  await channel.eof();
  assertEquals(await Array.fromAsync(call), [1, 2]);
  await turn();
  assertEquals(signal.aborted, false);
  await respond.return("answered");
  out.release();
  assertEquals((await channel.read(2))[1], "answered");
});

Deno.test("Call.signal: it does not abort after the call was answered", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  const { call: { signal, channel: incoming }, respond } = await out.call;
  await respond.return("answered");
  await channel.close();
  await within(incoming.closed, "the channel to close");
  assertEquals(signal.aborted, false);
  out.release();
});

Deno.test("Call.signal: for a continued call it aborts on CLOSE and not on EOF", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  const { call, respond } = await out.call;
  const { signal } = call;
  await respond.continue();
  out.release();
  await channel.eof();
  assertEquals(await Array.fromAsync(call), [null]);
  assertEquals(signal.aborted, false);
  await channel.close();
  assertEquals((await aborted(signal) as RpcError).code, "cancelled");
});

Deno.test("Call.signal: it aborts when the session is lost after the caller's EOF", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  const { call: { signal } } = await out.call;
  await channel.eof();
  await raw.close();
  const reason = await aborted(signal);
  // The channel had ended by EOF, so it does not know of the loss.
  assert(reason instanceof RpcError);
  assertEquals(reason.code, "cancelled");
  out.release();
});

for (const continued of [false, true]) {
  const which = continued ? "a continued" : "an unanswered";
  Deno.test(`Call.signal: it aborts when the session of ${which} call is lost`, async () => {
    const out = handedOut();
    const { peer, raw } = scriptedPeer({ handler: out.handler });
    await using _ = peer;
    await rawCall(raw, "x", null);
    const { call: { signal }, respond } = await out.call;
    if (continued) await respond.continue();
    await raw.close();
    const reason = await aborted(signal);
    assert(reason instanceof MuxError, String(reason));
    assertEquals(reason.code, "connection-lost");
    out.release();
  });
}

Deno.test("Call.receive: it resolves to the caller's values as they arrive", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x");
  const { call } = await out.call;
  const first = call.receive();
  await channel.values("a");
  assertEquals(await first, "a");
  await channel.values(null, { b: 1 });
  assertEquals(await call.receive(), null);
  assertEquals(await call.receive(), { b: 1 });
  await channel.eof();
  assertEquals(await call.receive(), undefined);
  assertEquals(await call.receive(), undefined);
  out.release();
});

Deno.test("Call.receive: a value that cannot be decoded rejects, and the next can be received", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x");
  const { call } = await out.call;
  await channel.data(concat(new Uint8Array([0, 0, 0, 1]), utf8("{")));
  await channel.values(2);
  await assertRejects(() => call.receive(), CodecError, "as JSON");
  assertEquals(await call.receive(), 2);
  out.release();
});

Deno.test("Call.receive: it rejects when the session is lost", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x", 1);
  const { call } = await out.call;
  await channel.data(new Uint8Array([0, 0]));
  assertEquals(await call.receive(), 1);
  await raw.close();
  const error = await assertRejects(() => call.receive(), MuxError);
  assertEquals(error.code, "connection-lost");
  out.release();
});

Deno.test("Call.channel: it has the bytes directly after the values", async () => {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      assertEquals(await call.receive(), "header");
      await respond.return(await toText(call.channel.readable));
    },
  });
  await using _peer = peer;
  const channel = await rawOpen(raw);
  await raw.send(data(
    channel.remote,
    concat(values({ Selector: "x" }, "header"), utf8("raw ")),
  ));
  await channel.data("bytes");
  await channel.eof();
  assertEquals((await channel.read(2))[1], "raw bytes");
});

Deno.test("Call.selector: it is in canonical form", async () => {
  const { peer, raw } = scriptedPeer({
    handler: (call, respond) => respond.return(call.selector),
  });
  await using _ = peer;
  for (const [written, clean] of [["a.b", "/a/b"], ["", "/"], ["a/", "/a/"]]) {
    const channel = await rawCall(raw, written!, null);
    assertEquals((await channel.read(2))[1], clean);
  }
});

Deno.test("Call.caller: a handler can call its caller back before it answers", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  client.handle("name", (_call, respond) => respond.return("Ann"));
  server.handle("greet", async (call, respond) => {
    await respond.return(`hello ${await call.caller.call("name")}`);
  });
  assertEquals(await client.call("greet"), "hello Ann");
});

Deno.test("Call.caller: calls can nest through both sides", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const count = (peer: Peer) =>
    peer.handle("count", async (call, respond) => {
      const n = await call.receive() as number;
      if (n === 0) return await respond.return([]);
      const rest = await call.caller.call("count", n - 1) as number[];
      await respond.return([n, ...rest]);
    });
  count(client);
  count(server);
  assertEquals(await client.call("count", 5), [5, 4, 3, 2, 1]);
  const many = await Promise.all(
    Array.from({ length: 50 }, () => client.call("count", 20)),
  );
  for (const list of many) assertEquals((list as number[]).length, 20);
});

Deno.test("Call.caller: a handler can call its caller back after it has answered", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const received = Promise.withResolvers<unknown>();
  client.handle("done", async (call, respond) => {
    received.resolve(await call.receive());
    await respond.return();
  });
  server.handle("start", async (call, respond) => {
    await respond.return("started");
    await call.caller.call("done", "finished");
  });
  assertEquals(await client.call("start"), "started");
  assertEquals(await within(received.promise, "the call back"), "finished");
});

Deno.test("Call.receive: an aborted wait rejects with the signal's reason, and leaves the value to the next call", async () => {
  const out = handedOut();
  const { peer, raw } = scriptedPeer({ handler: out.handler });
  await using _ = peer;
  const channel = await rawCall(raw, "x");
  const { call } = await out.call;
  const controller = new CountingController();
  const reason = new Error("enough");
  const aborted = watch(call.receive({ signal: controller.signal }));
  await turn();
  assertEquals([aborted.state, controller.listeners], ["pending", 1]);
  controller.abort(reason);
  await turn();
  assertStrictEquals(aborted.reason, reason);
  assertEquals(controller.listeners, 0);
  await assertRejects(
    () => call.receive({ signal: controller.signal }),
    Error,
    "enough",
  );
  await channel.values("later");
  assertEquals(await call.receive(), "later");
  out.release();
});

/**
 * The trace context of calls.
 *
 * @module
 */
import {
  type Call,
  dial,
  forward,
  handlerFrom,
  listen,
  withCall,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../tests/support/harness.ts";
import { rawAccept, rawOpen } from "../tests/support/raw_call.ts";

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const handler = handlerFrom({
  trace: withCall((call: Call) => call.trace ?? null),
});

test("Call.trace: it is what the caller sent, with every codec", async (t) => {
  for (const codec of [undefined, cbor(), msgpack()]) {
    const [client] = t.pair({ codec }, { codec, handler });
    assertEquals(await client.call("trace"), null);
    const options = { trace, meta: { a: 1 }, timeout: 60_000 };
    assertEquals(await client.call("trace", null, options), trace);
    assertEquals(await client.call("trace", null, { trace }), trace);
    assertEquals(await client.call("trace"), null);
  }
});

test("CallOptions.trace: on the wire it is a member of Q", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const call = peer.call("x", null, { trace });
  const there = await rawAccept(raw);
  const [header] = await there.read(2);
  const Q = { v: 1, again: true, trace };
  assertEquals(header, { Selector: "x", S: "x", Q });
  await there.values({ Error: null }, 1);
  await there.close();
  assertEquals(await call, 1);
});

test("CallOptions.trace: calls with one do not fill the caches of headers", async (t) => {
  const [client, server] = t.pair({}, { handler });
  await client.call("trace");
  const before = [client, server].map((p) => p.session.usage.held.headers);
  for (let n = 0; n < 50; n++) {
    const trace = `t${n}`;
    assertEquals(await client.call("trace", null, { trace }), trace);
  }
  const after = [client, server].map((p) => p.session.usage.held.headers);
  assert(after.every((bytes, i) => bytes - before[i]! <= 512), `${after}`);
});

test("CallOptions.trace: what is no text, or too long, is a TypeError", async (t) => {
  const [client] = t.pair({}, { handler });
  for (
    const [wrong, text] of [
      [5, "must be a string, and is a number"],
      ["x".repeat(513), "has 513 characters, more than 512"],
    ] as const
  ) {
    await assertRejects(
      () => client.call("trace", null, { trace: wrong as string }),
      TypeError,
      `Cannot make call "trace": its trace context ${text}`,
    );
  }
  const longest = "x".repeat(512);
  assertEquals(await client.call("trace", null, { trace: longest }), longest);
});

test("Call.trace: what is no text, or too long, is ignored", async (t) => {
  const { raw } = t.scriptedPeer({ handler });
  for (const trace of [5, { a: 1 }, "x".repeat(513)]) {
    const call = await rawOpen(raw);
    await call.values({ S: "trace", Q: { v: 1, trace } }, null);
    const [header, value] = await call.read(2);
    assertEquals((header as { Error: unknown }).Error, null);
    assertEquals(value, null);
    await call.close();
  }
});

test("forward(): the trace context is passed on", async (t) => {
  const [middle] = t.pair({}, { handler });
  const [client] = t.pair({}, { handler: forward(middle) });
  assertEquals(await client.call("trace", null, { trace }), trace);
});

test("reconnecting peer: a call that waits for a connection keeps its trace context", async (t) => {
  const listener = t.watch(await listen("tcp://127.0.0.1:0", { handler }));
  await using peer = await dial(listener.addr, { reconnect: {} });
  for (const timeout of [undefined, 20_000]) {
    assertEquals(await peer.call("trace", null, { trace, timeout }), trace);
  }
});

/**
 * Metadata of calls and of their responses.
 *
 * @module
 */
import {
  type Call,
  CallError,
  CodecError,
  dial,
  forward,
  handlerFrom,
  listen,
  type Metadata,
  RemoteError,
  type RpcResponse,
  withCall,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Harness,
  type PairOptions,
  test,
} from "../tests/support/harness.ts";
import { rawAccept, rawCall, rawOpen } from "../tests/support/raw_call.ts";

const service = {
  meta: withCall((call: Call) => call.meta),
  back: withCall((call: Call, meta: Metadata) => {
    Object.assign(call.responseMeta, meta);
    return "answer";
  }),
  fail: withCall((call: Call) => {
    call.responseMeta["node"] = "a";
    throw new CallError("No", { code: "no", meta: { retry: 5 } });
  }),
  ticks: withCall(async function* (call: Call, fails: boolean) {
    call.responseMeta["begun"] = true;
    call.responseMeta["count"] = 0;
    yield 1;
    yield 2;
    call.responseMeta["count"] = 2;
    if (fails) throw new CallError("Enough", { meta: { left: 3 } });
  }),
};

function serve(t: Harness, options: PairOptions = {}) {
  const handler = handlerFrom(service);
  return t.pair({}, { handler, ...options })[0];
}

test("Call.meta: it is what the caller sent, with every codec", async (t) => {
  const meta = {
    token: "t",
    tenant: { id: 5, tags: ["a", null] },
    "é:_": true,
  };
  for (const codec of [undefined, cbor(), msgpack()]) {
    const options = codec === undefined ? {} : { codec };
    const [client] = t.pair(options, {
      ...options,
      handler: handlerFrom(service),
    });
    assertEquals(await client.call("meta", null, { meta }), meta);
    assertEquals(
      await client.call("meta", null, { meta, timeout: 50_000 }),
      meta,
    );
    assertEquals(await client.remote<typeof service>({ meta }).meta(), meta);
    assertEquals(await client.call("meta"), {});
    assertEquals(await client.call("meta", null, { meta: {} }), {});
  }
});

test("Call.meta: it carries what the codec carries", async (t) => {
  const codec = cbor();
  const metas: Metadata[] = [];
  const [client] = t.pair({ codec }, {
    codec,
    handler: (call) => void metas.push(call.meta),
  });
  const meta = { at: new Date(5), bytes: new Uint8Array([1, 2]) };
  await client.call("x", null, { meta });
  assertEquals(metas, [meta]);
});

test("Call.meta: without metadata it is empty, and cannot be changed for others", async (t) => {
  const { raw } = t.scriptedPeer({
    handler: handlerFrom(withCall((call: Call) => {
      assertEquals(call.meta, {});
      return Object.isFrozen(call.meta);
    })),
  });
  for (
    const Q of [undefined, { v: 1 }, { v: 1, meta: "x" }, {
      v: 0,
      meta: { a: 1 },
    }]
  ) {
    const call = await rawOpen(raw);
    await call.values({ Selector: "x", Q }, null);
    assertEquals((await call.read(2))[1], true);
    await call.close();
  }
});

test("CallOptions.meta: calls with metadata do not fill the caches of headers", async (t) => {
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  await client.call("meta");
  const before = [client, server].map((p) => p.session.usage.held.headers);
  for (let n = 0; n < 50; n++) {
    assertEquals(await client.call("meta", null, { meta: { n } }), { n });
    await client.call("back", [{ n }]);
  }
  const after = [client, server].map((p) => p.session.usage.held.headers);
  assert(after.every((bytes, i) => bytes - before[i]! <= 512), `${after}`);
});

test("CallOptions.meta: what is no metadata is a TypeError, and nothing is sent", async (t) => {
  const client = serve(t);
  const wrong: [unknown, string][] = [
    [[1], 'Cannot send metadata of call "meta": it is not a plain object'],
    ["x", "it is not a plain object"],
    [
      { "qtalk.x": 1 },
      'the name "qtalk.x" begins with "qtalk.", which is reserved',
    ],
  ];
  for (const [meta, text] of wrong) {
    await assertRejects(
      () => client.call("meta", null, { meta: meta as Metadata }),
      TypeError,
      text,
    );
  }
});

test("CallOptions.meta: a value that the codec does not carry is named", async (t) => {
  const client = serve(t);
  const error = await assertRejects(
    () => client.call("meta", null, { meta: { fn: () => {} } }),
    CodecError,
    'Cannot send metadata of call "meta": ',
  );
  assertEquals(error.code, "unsupported-type");
});

test("PeerOptions.maxMetaSize: more is not sent", async (t) => {
  const client = serve(t);
  const fits = { a: "x".repeat(8_000) };
  assertEquals(await client.call("meta", null, { meta: fits }), fits);
  const error = await assertRejects(
    () => client.call("meta", null, { meta: { a: 1, b: "x".repeat(8_192) } }),
    CodecError,
    'Cannot send metadata of call "meta": it takes 8206 bytes, most of them for "b", and the limit of "maxMetaSize" is 8192',
  );
  assertEquals(error.code, "too-large");
});

test("PeerOptions.maxMetaSize: a call that brings more is refused, and not begun", async (t) => {
  const begun: string[] = [];
  const [client] = t.pair({ maxMetaSize: 48 * 1024 }, {
    maxMetaSize: 100,
    handler: (call) => void begun.push(call.selector),
  });
  await client.call("fits", null, { meta: { a: "x".repeat(80) } });
  for (const size of [100, 40_000]) {
    const error = await assertRejects(
      () => client.call("more", null, { meta: { a: "x".repeat(size) } }),
      RemoteError,
      'Cannot receive metadata of call "/more": it takes',
    );
    assertEquals(error.code, "too-large");
  }
  assertEquals(begun, ["/fits"]);
});

test("PeerOptions.maxMetaSize: a response that brings more rejects its call", async (t) => {
  const [client] = t.pair({ maxMetaSize: 100 }, {
    maxMetaSize: 20_000,
    handler: handlerFrom({
      ...service,
      late: withCall(async function* (call: Call) {
        yield 1;
        call.responseMeta["more"] = "x".repeat(1_000);
      }),
    }),
  });
  await assertRejects(
    () => client.request("back", [{ a: "x".repeat(1_000) }]),
    CodecError,
    'Cannot receive metadata of the response to "back": it takes',
  );
  const response = await client.request("late");
  assertEquals(await response.receive(), 1);
  await assertRejects(
    () => response.receive(),
    CodecError,
    "Cannot receive metadata of stream: it takes",
  );
  await response.close();
});

test("Call.responseMeta: more than maxMetaSize is an error, once, and the caller gets it", async (t) => {
  const errors: unknown[] = [];
  const client = serve(t, { onError: (error) => errors.push(error) });
  const error = await assertRejects(
    () => client.call("back", [{ a: "x".repeat(9_000) }]),
    RemoteError,
    'Cannot send metadata of the response to "/back"',
  );
  assertEquals([error.code, error.meta], ["too-large", {}]);
  assertEquals(errors.length, 1);
});

test("Call.responseMeta: the caller learns that it cannot be sent if the handler gives no answer", async (t) => {
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    onError: (error) => errors.push(error),
    handler: async (call) => {
      await call.receive();
      call.responseMeta["a"] = "x".repeat(9_000);
    },
  });
  const error = await assertRejects(
    () => client.call("x"),
    RemoteError,
    'Cannot send metadata of the response to "/x"',
  );
  assertEquals(error.code, "too-large");
  assertEquals(errors.length, 1);
});

test("CallError.meta: what cannot be sent is left out, and reported", async (t) => {
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    onError: (error) => errors.push(error),
    handler: handlerFrom({
      fail() {
        throw new CallError("No", {
          code: "no",
          details: 5,
          meta: { a: "x".repeat(9_000) },
        });
      },
    }),
  });
  const error = await assertRejects(
    () => client.call("fail"),
    RemoteError,
    "No",
  );
  assertEquals([error.code, error.details, error.meta], ["no", 5, {}]);
  assertEquals(errors.length, 1);
});

test("RpcResponse.meta: it comes with the answer", async (t) => {
  const client = serve(t);
  const response = await client.request("back", [{ a: [1], b: "two" }]);
  assertEquals(response.meta, { a: [1], b: "two" });
  assertEquals(response.value, "answer");
  assertEquals((await client.request("meta")).meta, {});
  assertEquals((await client.request("back", [{}])).meta, {});
});

test("RpcResponse.meta: what a stream adds arrives at its end", async (t) => {
  const client = serve(t);
  const response = await client.request("ticks", [false]);
  assertEquals(response.meta, { begun: true, count: 0 });
  assertEquals(await response.receive(), 1);
  assertEquals(response.meta, { begun: true, count: 0 });
  assertEquals(await Array.fromAsync(response), [2]);
  assertEquals(response.meta, { begun: true, count: 2 });
});

test("RemoteError.meta: it is that of the response and of the error", async (t) => {
  const client = serve(t);
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertEquals(error.meta, { node: "a", retry: 5 });
  assertEquals(
    (await assertRejects(() => client.call("none"), RemoteError)).meta,
    {},
  );
});

test("RemoteError.meta: it is in the error of a stream, too", async (t) => {
  const client = serve(t);
  const response = await client.request("ticks", [true]);
  const error = await assertRejects(
    () => Array.fromAsync(response as RpcResponse),
    RemoteError,
    "Enough",
  );
  assertEquals(error.meta, { count: 2, left: 3 });
  assertEquals(response.meta, { begun: true, count: 2, left: 3 });
});

test("RemoteError.meta: a handler that passes the error on does not pass it on", async (t) => {
  const inner = serve(t);
  const [client] = t.pair({}, {
    handler: handlerFrom({ fail: () => inner.call("fail") }),
  });
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertEquals([error.code, error.meta], ["no", {}]);
});

test("Call.responseMeta: a caller that is not extended gets none", async (t) => {
  const { raw } = t.scriptedPeer({ handler: handlerFrom(service) });
  const call = await rawCall(raw, "back", [{ a: 1 }]);
  const [header] = await call.read(2);
  assertEquals(header, { Error: null, Continue: false, E: null, C: false });
  await call.close();
});

test("CallOptions.meta: on the wire it is a member of Q", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const call = peer.request("x", null, { meta: { a: 1 } });
  const there = await rawAccept(raw);
  const [header] = await there.read(2);
  // A call of request() also says what the IDs of its functions begin with.
  const { lends } = (header as { Q: { lends: string } }).Q;
  const Q = { v: 1, lends, again: true, meta: { a: 1 } };
  assertEquals(header, { Selector: "x", S: "x", Q });
  await there.values({ Error: null, Q: { v: 1, meta: { b: 2 } } }, 1);
  await there.eof();
  await there.close();
  assertEquals((await call).meta, { b: 2 });
});

test("forward(): metadata is passed on in both directions", async (t) => {
  const middle = serve(t);
  const [client] = t.pair({}, { handler: forward(middle) });
  assertEquals(await client.call("meta", null, { meta: { a: 1 } }), { a: 1 });
  assertEquals((await client.request("back", [{ b: 2 }])).meta, { b: 2 });
  const error = await assertRejects(() => client.call("fail"), RemoteError);
  assertEquals(error.meta, { node: "a", retry: 5 });
});

test("reconnecting peer: a call that waits for a connection keeps its metadata", async (t) => {
  const listener = t.watch(
    await listen("tcp://127.0.0.1:0", { handler: handlerFrom(service) }),
  );
  await using peer = await dial(listener.addr, { reconnect: {} });
  const meta = { a: 1 };
  for (const timeout of [undefined, 20_000]) {
    assertEquals(await peer.call("meta", null, { meta, timeout }), meta);
  }
});

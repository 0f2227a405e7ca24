/**
 * Functions that respond with streams of values and of bytes.
 *
 * @module
 */
import {
  handlerFrom,
  memoryPair,
  MuxError,
  Peer,
  type PeerOptions,
  withCall,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { toText } from "@std/streams";
import {
  rawAccept,
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { test } from "../../tests/support/harness.ts";
import { framed, utf8 } from "../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { cbor } from "../../codec/cbor/cbor.ts";
import { CodecError } from "../../codec/errors.ts";
import { json } from "../../codec/json.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import { qmux } from "../../mux/session.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { RemoteError, RpcError } from "../errors.ts";
import type { Handler } from "../types.ts";

const CONTINUED = { Error: null, Continue: true, E: null, C: true };
const EXTENDED = { Selector: "x", Q: { v: 1 } };

/** Two peers, of which the server answers with a function. */
function answering(fn: (...args: never[]) => unknown, options?: PeerOptions) {
  const [client, server] = memoryPair({}, {
    ...options,
    handler: handlerFrom(fn),
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

async function iterate(client: Peer, selector = ""): Promise<unknown[]> {
  return await Array.fromAsync(await client.request(selector));
}

Deno.test("streamed replies: a generator, an async iterable and a stream are sent as values", async () => {
  async function* generate() {
    yield* [1, "two", null, [3]];
  }
  const functions = [
    generate,
    () => ({ [Symbol.asyncIterator]: generate }),
    () => ReadableStream.from(generate()),
    () => Promise.resolve(generate()),
  ];
  for (const fn of functions) {
    await using it = answering(fn);
    const response = await it.client.request("");
    assertEquals(response.values, [null]);
    assertEquals(response.continued, true);
    assertEquals(await Array.fromAsync(response), [1, "two", null, [3]]);
  }
});

Deno.test("streamed replies: on the wire they are a continued null, a frame for each value, EOF and CLOSE", async () => {
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom(async function* () {
      yield* [1, 2];
    }),
  });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  assertEquals(await channel.read(4), [CONTINUED, null, 1, 2]);
  await raw.expect("eof");
  await raw.expect("close");
});

Deno.test("streamed replies: a stream without values is a continued null and its end", async () => {
  await using it = answering(async function* () {});
  assertEquals(await iterate(it.client), []);
});

Deno.test("Client.call: a response that is a stream rejects it, and ends the producer", async () => {
  const ended = Promise.withResolvers<void>();
  await using it = answering(async function* () {
    try {
      for (;;) yield 1;
    } finally {
      ended.resolve();
    }
  });
  const error = await assertRejects(
    () => it.client.call("ticks"),
    RpcError,
    'Cannot complete call "ticks": its response is a stream, which request() and remote() receive',
  );
  assertEquals(error.code, "invalid-state");
  await within(ended.promise, "the producer to end");
});

Deno.test("Client.call: it rejects for every kind of stream, and gives the first value of other responses", async () => {
  const streams: (() => unknown)[] = [
    async function* () {},
    () => new ReadableStream({ pull: (c) => c.enqueue(1) }),
    () => Promise.resolve(new ReadableStream({ pull: (c) => c.enqueue(1) })),
    () => new TransformStream(),
  ];
  for (const stream of streams) {
    await using it = answering(stream);
    await assertRejects(() => it.client.call(""), RpcError, "is a stream");
  }
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      await respond.continue("first");
    },
  });
  await using _ = client;
  assertEquals(await client.call(""), "first");
});

Deno.test("streamed replies: bytes are bytes with every codec", async () => {
  const chunks = [
    [1, 2, 3],
    [0],
    [0, 255, 0x22, 0x5d],
    Array(60_000).fill(0),
  ]
    .map((bytes) => Uint8Array.from(bytes));
  for (const codec of [json(), json({ bigint: true }), cbor(), msgpack()]) {
    const [client] = memoryPair({ codec }, {
      codec,
      handler: handlerFrom({
        async *generator() {
          yield* chunks;
        },
        stream: () => ReadableStream.from(chunks),
        bytes: () =>
          new ReadableStream({
            type: "bytes",
            start(controller) {
              for (const chunk of chunks) {
                if (chunk.length > 0) controller.enqueue(chunk.slice());
              }
              controller.close();
            },
          }),
        async *mixed() {
          yield* ["a", chunks[0], { b: 1 }, chunks[3]];
        },
      }),
    });
    await using _ = client;
    for (const selector of ["generator", "stream"]) {
      const response = await client.request(selector);
      assertEquals(await Array.fromAsync(response), chunks, codec.name);
    }
    const response = await client.request("bytes");
    const sent = chunks.filter((chunk) => chunk.length > 0);
    assertEquals(await Array.fromAsync(response), sent, codec.name);
    assertEquals(await Array.fromAsync(await client.request("mixed")), [
      "a",
      chunks[0],
      { b: 1 },
      chunks[3],
    ]);
  }
});

Deno.test("streamed replies: empty bytes are a value where the codec has bytes, and nothing elsewhere", async () => {
  const empty = new Uint8Array(0);
  const values = [empty, Uint8Array.of(1), empty, "a", empty];
  for (const codec of [json(), cbor(), msgpack()]) {
    const [client] = memoryPair({ codec }, {
      codec,
      handler: handlerFrom(async function* () {
        yield* values;
      }),
    });
    await using _ = client;
    const received = await Array.fromAsync(await client.request(""));
    const expected = codec.name === "JSON" ? [values[1], values[3]] : values;
    assertEquals(received, expected, codec.name);
  }
});

Deno.test("streamed replies: bytes for a caller that is not extended are values of the codec", async () => {
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom(async function* () {
      yield Uint8Array.of(1, 2, 3);
      yield new Uint8Array(0);
    }),
  });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  assertEquals(await channel.read(4), [CONTINUED, null, "AQID", ""]);
});

Deno.test("streamed replies: leaving the loop ends a generator, an iterator and a stream", async () => {
  const ends: Record<string, (end: () => void) => unknown> = {
    generator: async function* (end) {
      try {
        for (;;) yield "x";
      } finally {
        end();
      }
    },
    iterator: (end) => ({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: "x" }),
        return: () => {
          end();
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    }),
    stream: (end) =>
      new ReadableStream({
        pull: (controller) => controller.enqueue("x"),
        cancel: end,
      }),
    "stream that waits": (end) =>
      new ReadableStream({
        start: (controller) => controller.enqueue("x"),
        cancel: end,
      }),
  };
  for (const [what, make] of Object.entries(ends)) {
    const ended = Promise.withResolvers<void>();
    await using it = answering(() => make(ended.resolve));
    for await (const value of await it.client.request("")) {
      assertEquals(value, "x");
      break;
    }
    await within(ended.promise, `the ${what} to end`);
  }
});

Deno.test("streamed replies: a generator that waits when the caller leaves does not keep the call, and ends when it continues", async () => {
  const ended = Promise.withResolvers<void>();
  const wake = Promise.withResolvers<void>();
  await using it = answering(async function* () {
    try {
      yield 1;
      await wake.promise;
      yield 2;
    } finally {
      ended.resolve();
    }
  }, { maxConcurrentCalls: 1 });
  for await (const value of await it.client.request("")) {
    assertEquals(value, 1);
    break;
  }
  // The server has finished the call, although its generator has not.
  await within(
    (async () => {
      for (;;) {
        const next = await it.client.request("").catch(() => undefined);
        if (next === undefined) {
          await turn();
          continue;
        }
        return await next.close();
      }
    })(),
    "the server to be free",
  );
  wake.resolve();
  await within(ended.promise, "the generator to end");
});

Deno.test("streamed replies: a slow reader holds the producer back", async () => {
  let made = 0;
  const window = 1_000;
  const [client, server] = memoryPair(
    { session: { initialWindowSize: window, maxWindowSize: window } },
    {
      handler: handlerFrom(async function* () {
        for (;;) {
          made++;
          yield "x".repeat(96);
        }
      }),
    },
  );
  await using _ = client, __ = server;
  const response = await client.request("");
  let before = -1;
  while (made !== before) {
    before = made;
    for (let i = 0; i < 5; i++) await turn();
  }
  assert(made <= 2 + window / 100, `${made} values were made`);
  for (let i = 0; i < 20; i++) await response.receive();
  assert(made > before, "taking values lets more come");
  await response.close();
});

Deno.test("streamed replies: an error before the first await or yield of a generator is an error response", async () => {
  await using it = answering(async function* (early = true) {
    if (early) throw new RangeError("not for you");
    yield 1;
  });
  const error = await assertRejects(() => it.client.call(""), RemoteError);
  assertEquals(error.text, "not for you");
});

Deno.test("streamed replies: a stream that is locked and an iterable that throws are error responses", async () => {
  const locked = new ReadableStream();
  locked.getReader();
  const broken = {
    [Symbol.asyncIterator]() {
      throw new Error("cannot begin");
    },
  };
  for (const value of [locked, broken]) {
    await using it = answering(() => value);
    await assertRejects(() => it.client.call(""), RemoteError);
  }
});

Deno.test("streamed replies: an error in mid-stream is thrown after the values before it", async () => {
  async function* failing() {
    yield 1;
    yield 2;
    throw new Error("at three");
  }
  for (const fn of [failing, () => ReadableStream.from(failing())]) {
    const errors: unknown[] = [];
    await using it = answering(fn, { onError: (error) => errors.push(error) });
    const seen: unknown[] = [];
    const error = await assertRejects(
      async () => {
        for await (const value of await it.client.request("")) seen.push(value);
      },
      RemoteError,
      "remote: at three",
    );
    assertEquals((error as RemoteError).text, "at three");
    assertEquals(seen, [1, 2]);
    assertEquals(
      errors.map((error) => (error as Error).message),
      ["at three"],
      "it is a bug, too",
    );
  }
});

Deno.test("streamed replies: an iterator that gives a number ends with an error", async () => {
  const errors: unknown[] = [];
  const next = () => Promise.resolve(5);
  await using it = answering(
    () => ({ [Symbol.asyncIterator]: () => ({ next }) }),
    { onError: (error) => errors.push(error) },
  );
  const text = "Iterator result 5 is not an object";
  await assertRejects(() => iterate(it.client), RemoteError, text);
  assertEquals(errors.map((error) => (error as Error).message), [text]);
});

Deno.test("streamed replies: an error in mid-stream is thrown by every later receive()", async () => {
  await using it = answering(async function* () {
    yield 1;
    throw new Error("no more");
  });
  await using response = await it.client.request("");
  assertEquals(await response.receive(), 1);
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => response.receive(), RemoteError, "no more");
  }
});

Deno.test("streamed replies: a value that cannot be encoded is an error in mid-stream, and ends its producer", async () => {
  const ended = Promise.withResolvers<void>();
  await using it = answering(async function* () {
    try {
      yield 1;
      yield new Map();
    } finally {
      ended.resolve();
    }
  });
  await assertRejects(() => iterate(it.client), RemoteError, "a Map");
  await within(ended.promise, "the producer to end");
});

Deno.test("streamed replies: for an extended caller, an error in mid-stream is a trailer with the error, then the end", async () => {
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom(async function* () {
      yield 1;
      throw new Error("no more");
    }),
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.values(EXTENDED, null);
  const note = { Q: { v: 1 } };
  const [header, ...values] = await channel.read(3) as [
    { Q: { lends: string } },
    unknown,
    unknown,
  ];
  const { lends } = header.Q;
  assertMatch(lends, /^_[0-9A-Za-z~-]{6}$/);
  assertEquals([header, ...values], [
    { ...CONTINUED, Q: { v: 1, trailer: true, lends } },
    null,
    1,
  ]);
  const { payload } = await raw.expect("data");
  assertEquals(payload.subarray(0, 4), framed(new Uint8Array(0)));
  const text = new TextDecoder().decode(payload.subarray(8));
  assertEquals(JSON.parse(text), {
    Error: "no more",
    Continue: false,
    E: "no more",
    C: false,
    ...note,
  });
  await raw.expect("eof");
  await raw.expect("close");
});

Deno.test("streamed replies: for other callers, an error in mid-stream closes the call and is reported to onError", async () => {
  const heard = Promise.withResolvers<unknown>();
  const { peer, raw } = scriptedPeer({
    handler: handlerFrom(async function* () {
      yield 1;
      throw new Error("no more");
    }),
    onError: heard.resolve,
  });
  await using _ = peer;
  const channel = await rawCall(raw, "x", null);
  assertEquals(await channel.read(3), [CONTINUED, null, 1]);
  await raw.expect("close");
  const error = await within(heard.promise, "onError");
  assertEquals((error as Error).message, "no more");
});

Deno.test("streamed replies: an error in mid-stream follows values that were not read yet", async () => {
  const window = 200;
  const [client, server] = memoryPair(
    { session: { initialWindowSize: window, maxWindowSize: window } },
    {
      handler: handlerFrom(async function* () {
        for (let i = 0; i < 4; i++) yield "x".repeat(40);
        throw new Error("at the end");
      }),
    },
  );
  await using _ = client, __ = server;
  const response = await client.request("");
  for (let i = 0; i < 5; i++) await turn();
  for (let i = 0; i < 4; i++) {
    assertEquals(await response.receive(), "x".repeat(40));
  }
  await assertRejects(() => response.receive(), RemoteError, "at the end");
});

Deno.test("streamed replies: an empty frame of a peer that is not extended cannot be decoded", async () => {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      const error = await call.receive().catch((error) => error);
      await respond.return(error instanceof CodecError);
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.values({ Selector: "x" });
  await channel.data(framed(new Uint8Array(0)));
  assertEquals((await channel.read(2))[1], true);
});

Deno.test("streamed replies: a lost connection is an error and not the end", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.request("x");
  await raw.find("open");
  await raw.close();
  await assertRejects(() => answer, MuxError);
});

Deno.test("Call.signal: it does not abort after a stream of replies has ended", async () => {
  let signal: AbortSignal | undefined;
  await using it = answering(withCall(async function* (call) {
    signal = call.signal;
    yield 1;
  }));
  const response = await it.client.request("");
  assertEquals(await Array.fromAsync(response), [1]);
  await within(response.channel!.closed, "the channel to close");
  for (let i = 0; i < 3; i++) await turn();
  assertEquals(signal!.aborted, false);
});

Deno.test("bytes as reply: a pair of byte streams becomes the stream of the call, with half-close", async () => {
  await using it = answering(() =>
    Promise.resolve(new CompressionStream("gzip"))
  );
  const response = await it.client.request("");
  assertEquals(response.value, null);
  const { readable, writable } = response;
  const text = toText(readable.pipeThrough(new DecompressionStream("gzip")));
  await new Blob(["bytes"]).stream().pipeTo(writable);
  assertEquals(await text, "bytes");
  await within(response.channel!.closed, "the channel to close");
});

Deno.test("bytes as reply: a caller that goes away cancels the streams, and nothing is reported", async () => {
  const errors: unknown[] = [];
  const cancelled = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  await using it = answering(() => ({
    readable: new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
      cancel: () => cancelled.resolve(),
    }),
    writable: new WritableStream({
      close: closed.resolve,
      abort: closed.resolve,
    }),
  }), { onError: (error) => errors.push(error) });
  const response = await it.client.request("");
  await response.close();
  await within(cancelled.promise, "the readable to be cancelled");
  await within(closed.promise, "the writable to end");
  await turn();
  assertEquals(errors, []);
});

Deno.test("bytes as reply: a stream that fails closes the call, and is reported to onError", async () => {
  const heard = Promise.withResolvers<unknown>();
  await using it = answering(() => ({
    readable: new ReadableStream({
      pull: (controller) => controller.error(new Error("disk on fire")),
    }),
    writable: new WritableStream(),
  }), { onError: heard.resolve });
  const response = await it.client.request("");
  await within(response.channel!.closed, "the channel to close");
  const error = await within(heard.promise, "onError");
  assertEquals((error as Error).message, "disk on fire");
});

Deno.test("bytes as reply: a pair with a locked stream is an error response", async () => {
  await using it = answering(() => {
    const pair = new TransformStream();
    pair.readable.getReader();
    return pair;
  });
  await assertRejects(
    () => it.client.call(""),
    RemoteError,
    "Cannot respond with streams: one of them is locked",
  );
});

/** A peer in the middle, whose functions call the service of a backend. */
function inTheMiddle(backend: Handler, pass: (backend: Peer) => unknown) {
  const [near, far] = memoryPair({}, { handler: backend });
  const [client, front] = memoryPair({}, {
    handler: handlerFrom(() => pass(near)),
  });
  return {
    client,
    async [Symbol.asyncDispose]() {
      for (const peer of [client, front, near, far]) await peer.close();
    },
  };
}

Deno.test("response as reply: the response to another call is passed on as it is", async () => {
  async function* numbers() {
    yield* [1, 2, 3];
  }
  const values = handlerFrom(numbers);
  const bytes = handlerFrom(() => new TransformStream());
  const complete: Handler = (_call, respond) => respond.return(1, "two");

  for (
    const pass of [
      (peer: Peer) => peer.request("x"),
      (peer: Peer) => peer.remote<() => AsyncIterable<number>>()(),
    ]
  ) {
    await using it = inTheMiddle(values, pass);
    assertEquals(await iterate(it.client), [1, 2, 3]);

    await using echo = inTheMiddle(bytes, pass);
    const { readable, writable } = await echo.client.request("");
    await new Blob(["through"]).stream().pipeTo(writable);
    assertEquals(await toText(readable), "through");
  }

  await using it = inTheMiddle(complete, (peer) => peer.request("x"));
  assertEquals((await it.client.request("")).values, [1, "two"]);
});

Deno.test("response as reply: a caller that leaves ends the producer of the other call", async () => {
  const ended = Promise.withResolvers<void>();
  const backend = handlerFrom(async function* () {
    try {
      for (;;) yield utf8("x").length;
    } finally {
      ended.resolve();
    }
  });
  await using it = inTheMiddle(backend, (peer) => peer.request("x"));
  for await (const value of await it.client.request("")) {
    assertEquals(value, 1);
    break;
  }
  await within(ended.promise, "the producer to end");
});

Deno.test("streamed replies: a handler counts as running until its stream has ended", async () => {
  await using it = answering(async function* () {
    yield 1;
    await new Promise(() => {});
  }, { maxConcurrentCalls: 1, maxQueuedCalls: 0 });
  await using first = await it.client.request("");
  assertEquals(await first.receive(), 1);
  const busy = watch(it.client.request(""));
  await until(() => busy.state !== "pending", "the answer");
  assertEquals(
    (busy.reason as RemoteError).text,
    'busy: 1 calls are running, the limit of "maxConcurrentCalls"; cannot call "/"',
  );
});

Deno.test("bytes as reply: a caller that has gone is no error, even if a write notices it first", async () => {
  const [near, far] = memoryTransports();
  let broken = false;
  const heard: unknown[] = [];
  const session = qmux({
    read: () => far.read(),
    write: (bytes) =>
      broken
        ? Promise.reject(new Deno.errors.BrokenPipe("broken pipe"))
        : far.write(bytes),
    closeWrite: () => far.closeWrite(),
    close: () => far.close(),
  });
  const stopped = Promise.withResolvers<void>();
  const server = new Peer(session, {
    onError: (error, { selector }) => {
      if (selector !== undefined) heard.push(error);
    },
    handler: handlerFrom(() => ({
      readable: new ReadableStream<Uint8Array>({
        async pull(controller) {
          await turn();
          controller.enqueue(new Uint8Array(1_000));
        },
        cancel: () => stopped.resolve(),
      }),
      writable: new WritableStream<Uint8Array>(),
    })),
  });
  await using client = new Peer(qmux(near));
  const { channel } = await client.request("bytes");
  await channel!.readable.getReader().read();
  broken = true;
  await within(stopped.promise, "the source to be stopped");
  await near.close();
  await within(server.closed.catch(() => {}), "the session to end");
  await turn();
  assertEquals(heard, []);
});

test("a response that is passed on: it may have any number of values", async (t) => {
  const COUNT = 200_000;
  const { peer: middle, raw: backend } = t.scriptedPeer({
    session: { initialWindowSize: 4 * 1024 * 1024 },
  });
  const [client] = t.pair({}, {
    handler: handlerFrom({ all: () => middle.request("all") }),
  });
  const answer = client.request("all");
  const call = await rawAccept(backend);
  await call.read(2);
  await call.values({ Error: null, Continue: false });
  const value = framed(utf8("0"));
  const values = new Uint8Array(COUNT * value.length);
  for (let i = 0; i < COUNT; i++) values.set(value, i * value.length);
  await call.data(values);
  await call.eof();
  await call.close();
  assertEquals((await answer).values.length, COUNT);
});

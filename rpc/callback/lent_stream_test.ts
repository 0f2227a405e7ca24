/**
 * Streams among arguments and results.
 *
 * @module
 */
import {
  type Callback,
  CallError,
  handlerFrom,
  json,
  type Peer,
  type ReceivedStream,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { toText } from "@std/streams";
import { type Harness, test } from "../../tests/support/harness.ts";
import { rawAccept, rawCall } from "../../tests/support/raw_call.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";

const CODECS = [json(), cbor(), msgpack()];

/** Waits until a peer lends that many functions and streams. */
async function held(peer: Peer, count: number): Promise<void> {
  await until(
    () => peer.callbackCount === count,
    `${count} callbacks to be held (${peer.callbackCount} are)`,
  );
}

function bytesOf(...texts: string[]): Uint8Array<ArrayBuffer>[] {
  return texts.map((text) => new TextEncoder().encode(text));
}

/** The same bytes as programs have them. */
const BYTES: Record<string, () => ReadableStream<Uint8Array>> = {
  "of a Blob": () => new Blob(["some bytes"]).stream(),
  "of a Response": () => new Response("some bytes").body!,
  "of an iterable": () => ReadableStream.from(bytesOf("some ", "bytes")),
  "without a type": () =>
    new ReadableStream({
      start(controller) {
        for (const chunk of bytesOf("some ", "", "bytes")) {
          controller.enqueue(chunk);
        }
        controller.close();
      },
    }),
  "of a transformation": () =>
    new Blob(["some bytes"]).stream()
      .pipeThrough(new CompressionStream("gzip"))
      .pipeThrough(new DecompressionStream("gzip")),
};

const uploads = {
  second: async (name: string, body: ReadableStream<Uint8Array>) =>
    `${name}: ${await toText(body)}`,
  first: async (body: ReadableStream<Uint8Array>, name: string) =>
    `${name}: ${await toText(body)}`,
  only: async (body: ReadableStream<Uint8Array>) => await toText(body),
  member: async ({ body }: { body: ReadableStream<Uint8Array> }) =>
    await toText(body),
  listed: async (bodies: ReadableStream<Uint8Array>[]) =>
    (await Promise.all(bodies.map((body) => toText(body)))).join(),
  streamed: withStream(async (chunks: AsyncIterable<Uint8Array>) => {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    return text;
  }),
  called: withCall(async (call, body: ReadableStream<Uint8Array>) =>
    `${call.selector}: ${await toText(body)}`
  ),
};

for (const [kind, make] of Object.entries(BYTES)) {
  test(`streams: bytes ${kind} arrive as bytes, anywhere among the arguments, in every codec`, async (t) => {
    for (const codec of CODECS) {
      const handler = handlerFrom(uploads);
      const [client, server] = t.pair({ codec }, { codec, handler });
      const api = client.remote<typeof uploads>();
      assertEquals(await api.second("a", make()), "a: some bytes");
      assertEquals(await api.first(make(), "a"), "a: some bytes");
      assertEquals(await api.only(make()), "some bytes");
      assertEquals(await api.member({ body: make() }), "some bytes");
      assertEquals(
        await api.listed([make(), make()]),
        "some bytes,some bytes",
      );
      assertEquals(await api.streamed(make()), "some bytes");
      assertEquals(await api.called(make()), "/called: some bytes");
      await held(client, 0);
      await held(server, 0);
    }
  });

  test(`streams: bytes ${kind} arrive as bytes, anywhere in a result, in every codec`, async (t) => {
    for (const codec of CODECS) {
      const service = {
        member: () => ({ name: "a", body: make() }),
        listed: () => [make(), make()],
        direct: () => make(),
      };
      const [client, server] = t.pair({ codec }, {
        codec,
        handler: handlerFrom(service),
      });
      const api = client.remote<typeof service>();
      const { name, body } = await api.member();
      assertEquals([name, await toText(body)], ["a", "some bytes"]);
      for (const body of await api.listed()) {
        assertEquals(await toText(body), "some bytes");
      }
      const chunks: Uint8Array[] = [];
      for await (const chunk of await client.request("direct")) {
        assert(chunk instanceof Uint8Array);
        chunks.push(chunk);
      }
      assertEquals(await new Blob(chunks as BlobPart[]).text(), "some bytes");
      await held(server, 0);
    }
  });
}

test("streams: values arrive as values, anywhere among arguments and results, in every codec", async (t) => {
  async function* three() {
    yield* [1, { two: 2 }, null];
  }
  const iterable = { [Symbol.asyncIterator]: three };
  class Numbers {
    [Symbol.asyncIterator] = three;
  }
  const makers = [
    three,
    () => iterable,
    () => new Numbers(),
    () => ReadableStream.from(three()),
  ];
  const service = {
    second: async (name: string, values: AsyncIterable<unknown>) => [
      name,
      ...await Array.fromAsync(values),
    ],
    only: async (values: AsyncIterable<unknown>) =>
      await Array.fromAsync(values),
    nested: async ({ a: [values] }: { a: [AsyncIterable<unknown>] }) =>
      await Array.fromAsync(values),
    back: (values: AsyncIterable<unknown>) => ({ values, n: 1 }),
    make: (i: number) => [makers[i]!()],
  };
  const expected = [1, { two: 2 }, null];
  for (const codec of CODECS) {
    const handler = handlerFrom(service);
    const [client, server] = t.pair({ codec }, { codec, handler });
    for (const [i, make] of makers.entries()) {
      assertEquals(await client.call("second", ["a", make()]), [
        "a",
        ...expected,
      ]);
      assertEquals(
        await client.remote<typeof service>().only(make()),
        expected,
      );
      assertEquals(await client.call("nested", [{ a: [make()] }]), expected);
      const [values] = await client.call("make", [i]) as [
        AsyncIterable<unknown>,
      ];
      assertEquals(await Array.fromAsync(values), expected);
    }
    await held(client, 0);
    await held(server, 0);
  }
});

test("streams: bytes and other values can be mixed in a stream, in every codec", async (t) => {
  const [a, b] = bytesOf("a", "b") as [Uint8Array, Uint8Array];
  const mixed = [1, a, new Uint8Array(0), b, { c: 2 }, "text", a];
  async function* values() {
    yield* mixed;
  }
  for (const codec of CODECS) {
    // Empty pieces are left out where bytes are no values of the codec.
    const expected = codec.name === "JSON"
      ? [1, a, b, { c: 2 }, "text", a]
      : mixed;
    const [client] = t.pair({ codec }, {
      codec,
      handler: handlerFrom({
        values,
        nested: () => [values()],
        isSame: async (_: string, it: AsyncIterable<unknown>) => {
          assertEquals(await Array.fromAsync(it), expected);
          return true;
        },
      }),
    });
    assertEquals(
      await Array.fromAsync(await client.request("values")),
      expected,
    );
    const [nested] = await client.call("nested") as [AsyncIterable<unknown>];
    assertEquals(await Array.fromAsync(nested), expected);
    assertEquals(await client.call("isSame", ["x", values()]), true);
  }
});

test("streams: a stream of bytes can be read into the reader's own buffer", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom(async (_name: string, body: ReadableStream) => {
      const reader = body.getReader({ mode: "byob" });
      const sizes: number[] = [];
      let buffer = new ArrayBuffer(4);
      for (;;) {
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done) return sizes;
        sizes.push(value.length);
        buffer = value.buffer as ArrayBuffer;
      }
    }),
  });
  const body = new Blob(["ten bytes!"]).stream();
  assertEquals(await client.call("", ["x", body]), [4, 4, 2]);
});

test("streams: a chunk larger than maxValueSize arrives in pieces", async (t) => {
  for (const codec of CODECS) {
    const [client] = t.pair({ codec }, {
      codec,
      maxValueSize: 100_000,
      handler: handlerFrom(async (_: string, body: ReadableStream) => {
        let size = 0;
        for await (const chunk of body) size += (chunk as Uint8Array).length;
        return size;
      }),
    });
    const body = ReadableStream.from([new Uint8Array(1_000_000)]);
    assertEquals(await client.call("", ["x", body]), 1_000_000);
  }
});

test("streams: a chunk larger than maxValueSize of the only argument arrives in pieces", async (t) => {
  const service = {
    async sizeOf(body: ReadableStream<Uint8Array>) {
      let size = 0;
      for await (const chunk of body) size += chunk.length;
      return size;
    },
  };
  for (const codec of CODECS) {
    const [client] = t.pair({ codec }, {
      codec,
      maxValueSize: 100_000,
      handler: handlerFrom(service),
    });
    const body = ReadableStream.from([new Uint8Array(1_000_000)]);
    assertEquals(
      await client.remote<typeof service>().sizeOf(body),
      1_000_000,
    );
  }
});

test("streams: the producer waits while the stream is not read", async (t) => {
  let made = 0;
  async function* endless() {
    for (;; made++) yield "x".repeat(1_000);
  }
  const read = Promise.withResolvers<void>();
  const session = { initialWindowSize: 10_000, maxWindowSize: 10_000 };
  const [client] = t.pair({ session }, {
    session,
    handler: handlerFrom(async (_: string, values: AsyncIterable<string>) => {
      const iterator = values[Symbol.asyncIterator]();
      await iterator.next();
      await read.promise;
      await iterator.return?.();
      return made;
    }),
  });
  const answer = client.call("", ["x", endless()]);
  let before = -1;
  while (made !== before) {
    before = made;
    for (let i = 0; i < 10; i++) await turn();
  }
  assert(made < 30, `${made} values were made`);
  read.resolve();
  await answer;
});

test("streams: an error of the producer is thrown where the stream is read", async (t) => {
  const failure = new Error("the disk is full");
  const sources = {
    generator: () =>
      (async function* () {
        yield bytesOf("a")[0];
        throw failure;
      })(),
    stream: () => {
      let n = 0;
      return new ReadableStream({
        pull(controller) {
          if (n++ === 0) controller.enqueue(bytesOf("a")[0]);
          else throw failure;
        },
      });
    },
    bytes: () => {
      let n = 0;
      return new ReadableStream({
        type: "bytes",
        pull(controller) {
          if (n++ === 0) controller.enqueue(bytesOf("a")[0]!);
          else throw failure;
        },
      });
    },
    atOnce: () =>
      ReadableStream.from((async function* () {
        yield await Promise.reject(failure);
      })()),
  };
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const [client, server] = t.pair({ onError }, {
    onError,
    handler: handlerFrom({
      save: async (_: string, body: AsyncIterable<unknown>) => {
        const error = await assertRejects(
          () => Array.fromAsync(body),
          RemoteError,
        );
        return error.text;
      },
      load: () => Object.values(sources).map((make) => make()),
    }),
  });
  for (const make of Object.values(sources)) {
    assertEquals(await client.call("save", ["a", make()]), "the disk is full");
  }
  const streams = await client.call("load") as AsyncIterable<unknown>[];
  for (const stream of streams) {
    await assertRejects(
      () => Array.fromAsync(stream),
      RemoteError,
      "the disk is full",
    );
  }
  await held(client, 0);
  await held(server, 0);
  assertEquals(errors, Array(8).fill(failure), "each at its producer");
});

/** A stream that says when it was let go. */
function watched() {
  const cancelled = Promise.withResolvers<void>();
  const stream = new ReadableStream<string>({
    pull: (controller) => controller.enqueue("x"),
    cancel: () => cancelled.resolve(),
  }, { highWaterMark: 0 });
  return { stream, cancelled: cancelled.promise };
}

test("streams: if bytes that are the only argument fail, the call rejects with their error", async (t) => {
  const ended = Promise.withResolvers<unknown>();
  const [client] = t.pair({}, {
    handler: handlerFrom(async (body: ReadableStream<Uint8Array>) => {
      await Array.fromAsync(body).catch(ended.resolve);
      await new Promise(() => {});
    }),
  });
  const failure = new Error("the disk is full");
  async function* failing() {
    yield bytesOf("a")[0]!;
    throw failure;
  }
  const api = client.remote<
    (body: ReadableStream<Uint8Array>) => Promise<void>
  >();
  const error = await assertRejects(() => api(ReadableStream.from(failing())));
  assert(error === failure);
  assertEquals((await ended.promise as RemoteError).text, "the disk is full");
});

test("streams: a peer cannot make this side hold more than 4,096 unread streams", async (t) => {
  const [client] = t.pair({ maxCallbacks: 10_000 }, {
    handler: handlerFrom((...streams: unknown[]) => streams.length),
  });
  const call = (count: number) => {
    const many = Array.from({ length: count }, () => ReadableStream.from([]));
    return client.call("", many);
  };
  for (let i = 0; i < 3; i++) assertEquals(await call(4_096), 4_096);
  await assertRejects(
    () => call(4_097),
    RemoteError,
    "Cannot receive stream: 4096 of this session are unread",
  );
  assertEquals(await call(4_096), 4_096);
  assertEquals(client.callbackCount, 0);
});

test("streams: a stream that is not read to its end is let go", async (t) => {
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      disregard: (_: string, _body: unknown) => "ignored",
      leave: async (_: string, body: AsyncIterable<string>) => {
        for await (const _ of body) break;
        return "left";
      },
      cancel: async (_: string, body: ReadableStream) => {
        await body.cancel();
        return "cancelled";
      },
      fail: (_: string, _body: unknown) => {
        throw new CallError("no");
      },
      never: (_: string, _body: unknown) => new Promise(() => {}),
    }),
  });
  for (const method of ["disregard", "leave", "cancel", "fail"]) {
    const { stream, cancelled } = watched();
    await client.call(method, ["a", stream]).catch(() => {});
    await within(cancelled, `the stream of ${method}() to be let go`);
  }
  const { stream, cancelled } = watched();
  await assertRejects(() =>
    client.call("never", ["a", stream], { timeout: 1 })
  );
  await within(cancelled, "the stream to be let go");
  await held(client, 0);
  await held(server, 0);
});

test("streams: giving a call up cuts the streams of its arguments", async (t) => {
  const begun = Promise.withResolvers<void>();
  let ended = Promise.withResolvers<unknown>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      async save(_: string, body: AsyncIterable<string>) {
        try {
          for await (const _ of body) begun.resolve();
          ended.resolve("complete");
        } catch (error) {
          ended.resolve(error);
        }
      },
      async *copy(_: string, body: AsyncIterable<string>) {
        try {
          for await (const value of body) yield value;
          ended.resolve("complete");
        } catch (error) {
          ended.resolve(error);
        }
      },
    }),
  });
  const giveUp = new AbortController();
  const first = watched();
  const call = client.call("save", ["a", first.stream], {
    signal: giveUp.signal,
  });
  await begun.promise;
  giveUp.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
  await within(first.cancelled, "the producer to end");
  const error = await within(ended.promise, "the reader to end");
  assertEquals((error as RemoteError).code, "cancelled");

  ended = Promise.withResolvers();
  // It waits for its next value when the call is closed.
  const cancelled = Promise.withResolvers<void>();
  const waiting = new ReadableStream({
    start: (controller) => controller.enqueue("only"),
    cancel: () => cancelled.resolve(),
  });
  for await (const value of await client.request("copy", ["a", waiting])) {
    assertEquals(value, "only");
    break;
  }
  await within(cancelled.promise, "the producer to end");
  await within(ended.promise, "the reader to end");
  await held(client, 0);
  await held(server, 0);
});

test("streams: a stream of a result is let go by cancel(), release(), using, and the end of the session", async (t) => {
  const ends: Record<string, (it: ReceivedStream<string>) => unknown> = {
    cancel: (it) => it.cancel(),
    release: (it) => it.release(),
    using: (it) => {
      using _it = it;
    },
    break: async (it) => {
      for await (const _ of it) break;
    },
    later: async (it) => {
      const reader = it.getReader();
      await reader.read();
      it.release();
      await assertRejects(() => reader.read(), RpcError, "it was released");
    },
  };
  let current = watched();
  const [client, server] = t.pair({}, {
    handler: handlerFrom(() => [current.stream]),
  });
  for (const [name, end] of Object.entries(ends)) {
    current = watched();
    const [it] = await client.call("") as [ReceivedStream<string>];
    await end(it);
    await within(current.cancelled, `${name} to let the stream go`);
    await held(server, 0);
  }
  current = watched();
  await client.call("");
  await client.close();
  await within(current.cancelled, "the end of the session");
});

test("streams: a stream that is being read when the call is answered can be read to its end", async (t) => {
  const read = Promise.withResolvers<string>();
  const go = Promise.withResolvers<void>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom((_: string, body: ReadableStream<Uint8Array>) => {
      void toText(body).then(read.resolve, read.reject);
      return "later";
    }),
  });
  const body = ReadableStream.from((async function* () {
    yield* bytesOf("some ");
    await go.promise;
    yield* bytesOf("bytes");
  })());
  assertEquals(await client.call("", ["x", body]), "later");
  go.resolve();
  assertEquals(await read.promise, "some bytes");
  await held(client, 0);
  await held(server, 0);
});

test("streams: a stream is retained and released like a callback", async (t) => {
  const kept: ReceivedStream<string>[] = [];
  const [client] = t.pair({}, {
    handler: handlerFrom({
      keep: (_: string, it: ReceivedStream<string>) =>
        void kept.push(it.retain()),
      lose: (_: string, it: ReceivedStream<string>) => void kept.push(it),
    }),
  });
  async function* ab() {
    yield* ["a", "b"];
  }
  await client.call("keep", ["x", ab()]);
  assertEquals(client.callbackCount, 1);
  assertEquals(await Array.fromAsync(kept[0]!), ["a", "b"]);
  await held(client, 0);
  await client.call("lose", ["x", ab()]);
  const error = await assertRejects(() => Array.fromAsync(kept[1]!), RpcError);
  assertEquals(error.code, "released");
  assertMatch(
    error.message,
    /^Cannot read stream of "[^"]+": it was released, or/,
  );
});

test("streams: one given back unread is the stream itself", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom({
      echo: (_: string, stream: unknown) => ({ stream }),
      same: (a: unknown, b: unknown) => a === b,
    }),
  });
  for (
    const stream of [
      new Blob(["x"]).stream(),
      (async function* () {
        yield 1;
      })(),
    ]
  ) {
    assertEquals(await client.call("same", [stream, stream]), true);
  }
  const stream = ReadableStream.from([1, 2]);
  const { stream: back } = await client.call("echo", ["x", stream]) as {
    stream: ReceivedStream<number>;
  };
  assert(back as unknown === stream);
  using again = back;
  assertEquals(await Array.fromAsync(again), [1, 2]);
  await held(client, 0);
});

test("streams: a locked stream is refused at once", async (t) => {
  const [client] = t.pair({}, { handler: handlerFrom(() => 1) });
  const stream = new ReadableStream();
  stream.getReader();
  await assertRejects(
    () => client.call("", ["x", stream]),
    TypeError,
    "Cannot send stream: it is locked",
  );
  assertEquals(client.callbackCount, 0);
});

test("streams: a stream can be passed on to another peer", async (t) => {
  const [middle] = t.pair({}, { handler: handlerFrom(uploads) });
  const backend = middle.remote<typeof uploads>();
  const [client] = t.pair({}, {
    handler: handlerFrom({
      second: (name: string, body: ReadableStream<Uint8Array>) =>
        backend.second(name, body),
      only: (body: ReadableStream<Uint8Array>) => backend.only(body),
    }),
  });
  const api = client.remote<typeof uploads>();
  for (const make of Object.values(BYTES)) {
    assertEquals(await api.second("a", make()), "a: some bytes");
    assertEquals(await api.only(make()), "some bytes");
  }
});

test("streams: a callback takes and returns streams", async (t) => {
  const service = {
    use: async (
      fn: Callback<(n: number, values: AsyncIterable<number>) => unknown>,
    ) => {
      const { doubled } = await fn(2, ReadableStream.from([1, 2])) as {
        doubled: AsyncIterable<number>;
      };
      return await Array.fromAsync(doubled);
    },
  };
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  const double = async (n: number, values: AsyncIterable<number>) => {
    const list = await Array.fromAsync(values);
    return { doubled: ReadableStream.from(list.map((value) => n * value)) };
  };
  assertEquals(await client.call("use", [double]), [2, 4]);
  await held(client, 0);
  await held(server, 0);
});

test("streams: for a peer like the reference, a stream is a function that streams", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const answer = peer.call("upload", ["a", new Blob(["hi"]).stream()]);
  const channel = await rawAccept(raw);
  const [, [, { $fnptr: id }]] = await channel.read(2) as [
    unknown,
    [string, { $fnptr: string }],
  ];
  assertMatch(id, /^_[0-9A-Za-z~-]{6}b[0-9A-Za-z~-]{12}$/);
  const pull = await rawCall(raw, id, []);
  const [header, first, value] = await pull.read(3);
  assertEquals(header, { Error: null, E: null, Continue: true, C: true });
  assertEquals([first, value], [null, btoa("hi")]);
  await raw.expect("eof");
  await raw.expect("close");
  await pull.close();
  await channel.answer("done");
  assertEquals(await answer, "done");
  await channel.close();
});

test("streams: maxCallbacks counts the streams that a peer lends", async (t) => {
  const [client] = t.pair({ maxCallbacks: 2 }, {
    handler: handlerFrom(() => 1),
  });
  const make = () => new Blob(["x"]).stream();
  await client.call("", ["x", make(), make()]);
  const error = await assertRejects(
    () => client.call("", ["x", make(), make(), make()]),
    RpcError,
  );
  assertEquals(error.code, "limit-exceeded");
  assertEquals(client.callbackCount, 0);
});

/** What a function for streams gets from calls without one. */
function withoutStream(t: Harness, codec = json()) {
  const service = {
    all: withStream(async (values: AsyncIterable<unknown>) =>
      await Array.fromAsync(values)
    ),
  };
  const [client] = t.pair({ codec }, { codec, handler: handlerFrom(service) });
  return (args?: unknown) => client.call("all", args);
}

test("withStream(): a value that is no stream is a stream of one", async (t) => {
  for (const codec of CODECS) {
    const all = withoutStream(t, codec);
    assertEquals(await all([5]), [5]);
    assertEquals(await all(5), [5]);
    assertEquals(await all("text"), ["text"]);
    assertEquals(await all({ a: 1 }), [{ a: 1 }]);
    assertEquals(await all([[1, 2]]), [[1, 2]]);
    assertEquals(await all([null]), [null]);
    assertEquals(await all([]), []);
    assertEquals(await all(), []);
    assertEquals(await all([ReadableStream.from([1, 2])]), [1, 2]);
    await assertRejects(
      () => all([1, 2]),
      RemoteError,
      'Cannot call "/all": expected 1 stream, got 2 arguments',
    );
  }
});

test("withStream(): a stream of arrays is not a list of arguments", async (t) => {
  const all = withoutStream(t);
  async function* arrays() {
    yield* [[1, 2], [3], []];
  }
  assertEquals(await all(arrays()), [[1, 2], [3], []]);
});

test("streams: an iterable that can be iterated again is another stream each time it is sent", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom(async (...values: AsyncIterable<number>[]) => {
      const lists = await Promise.all(values.map((it) => Array.fromAsync(it)));
      return lists.flat();
    }),
  });
  const again = {
    async *[Symbol.asyncIterator]() {
      yield* [1, 2];
    },
  };
  assertEquals(await client.call("", [again, again]), [1, 2, 1, 2]);
  assertEquals(await client.call("", [again]), [1, 2]);
});

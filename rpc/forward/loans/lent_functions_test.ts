import {
  type Callback,
  forward,
  type Handler,
  handlerFrom,
  memoryPair,
  type Peer,
  type RpcResponse,
  withStream,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { workerPool } from "@qtalk/qtalk/pool";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { toText } from "@std/streams";
import { type Harness, test } from "../../../tests/support/harness.ts";
import { rawAccept, rawOpen } from "../../../tests/support/raw_call.ts";
import type { RawPeer } from "../../../tests/support/raw_peer.ts";
import { close, data, eof, values } from "../../../tests/support/wire.ts";
import { turn, until, within } from "../../../tests/support/within.ts";
import { RemoteError } from "../../errors.ts";
import { keepLent } from "./lent_functions.ts";

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

const COUNTER = "db.counter";
const SHARED = "db.shared";

/** A scripted client calls a method that answers with a function; returns its ID. */
async function rawBorrow(
  raw: RawPeer,
  selector: string,
  extension: object = { Q: { v: 1 } },
): Promise<string> {
  const call = await rawOpen(raw);
  await call.values({ Selector: selector, ...extension }, []);
  const [, { $fnptr }] = await call.read(2) as [unknown, { $fnptr: string }];
  await call.eof();
  await call.close();
  return $fnptr;
}

/** The header of a call that releases a function. */
function releaseHeader(id: string) {
  return { Selector: `/_qtalk/release/${id}`, Q: { v: 1 } };
}

test("forward(): a release counts when all of its argument has arrived", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  // Up to a length, and one of the two bytes that it announces.
  for (const part of ["", "\0\0", "\0\0\0\x02", "\0\0\0\x021"]) {
    const { raw, peer } = t.scriptedPeer({ handler: forward(middle) });
    const release = async (id: string) => {
      const call = await rawOpen(raw);
      await call.values(releaseHeader(id));
      await call.data(part);
      return call;
    };
    // The rest comes later.
    const complete = await release(await rawBorrow(raw, COUNTER));
    for (let i = 0; i < 10; i++) await turn();
    assertEquals(backend.callbackCount, 1, part);
    await complete.data("\0\0\0\x0212".slice(part.length));
    await complete.read(2);
    await complete.close();
    assertEquals(backend.callbackCount, 0, part);
    // The session ends before that.
    await release(await rawBorrow(raw, COUNTER));
    for (let i = 0; i < 10; i++) await turn();
    assertEquals(backend.callbackCount, 1, part);
    await raw.end();
    await peer.closed;
    await untilHeld(backend, 0);
  }
});

test("forward(): a release whose channel is closed before its argument has no effect", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const { raw } = t.scriptedPeer({ handler: forward(middle) });
  const id = await rawBorrow(raw, COUNTER);
  const release = await rawOpen(raw);
  await release.values(releaseHeader(id));
  await release.data("\0\0");
  await release.close();
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(backend.callbackCount, 1);
  await raw.end();
  await untilHeld(backend, 0);
});

test("forward(): a client gives back no more of a function than it was lent", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const [ann] = t.pair({}, { handler: forward(middle) });
  const anns = await ann.call("db.shared") as Callback<() => number>;
  const plain = { Q: undefined };
  for (const extension of [{ Q: { v: 1 } }, plain]) {
    const { raw } = t.scriptedPeer({ handler: forward(middle) });
    const id = await rawBorrow(raw, SHARED, extension);
    for (let i = 0; i < 2; i++) {
      for (const count of [1e9, -1e9, null, "all"]) {
        const release = await rawOpen(raw);
        await release.values({ ...releaseHeader(id), ...extension }, count);
        await release.read(2);
        await release.eof();
        await release.close();
        assertEquals(await anns(), 5);
      }
    }
    await raw.end();
  }
  anns.release();
  await untilHeld(backend, 0);
});

test("forward(): what a peer keeps of a call is released when it leaves", async (t) => {
  const [middle, backend] = t.pair();
  const [client, front] = t.pair({}, { handler: forward(middle) });
  middle.handle("/", forward(front));
  let kept: Callback<() => number> | undefined;
  client.handle(
    "keep",
    handlerFrom((fn: Callback<() => number>) => void (kept = fn.retain())),
  );
  await backend.call("keep", [shared]);
  await backend.call("keep", [shared]);
  assertEquals([await kept!(), backend.callbackCount], [5, 1]);
  await client.close();
  await untilHeld(backend, 0);
});

test("forward(): a stream whose call is refused is released when its client leaves", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const { raw } = t.scriptedPeer({ handler: forward(middle) });
  const call = await rawOpen(raw);
  await call.values({ Selector: "db.load", Q: { v: 1 } }, []);
  const [, { body: { $fnptr } }] = await call.read(2) as [
    unknown,
    { body: { $fnptr: string } },
  ];
  await call.eof();
  await call.close();
  const read = await rawOpen(raw);
  // Too much metadata for the target.
  const meta = { note: "x".repeat(10_000) };
  await read.values({ Selector: `/${$fnptr}`, Q: { v: 1, meta } }, []);
  const [{ Error: text }] = await read.read(1) as [{ Error: string }];
  assertStringIncludes(text, "maxMetaSize");
  await read.close();
  assertEquals(backend.callbackCount, 1);
  await raw.end();
  await untilHeld(backend, 0);
});

test("forward(): functions are released in the codec of the client, which the target may accept alone", async (t) => {
  const codec = cbor();
  const handler = handlerFrom(results);
  const [middle, backend] = t.pair({}, { codec, handler });
  const [client] = t.pair({ codec }, { codec, handler: forward(middle) });
  const given = await client.call("db.counter") as Callback<() => number>;
  assertEquals([await given(), backend.callbackCount], [1, 1]);
  given.release();
  await untilHeld(backend, 0);
  const left = await client.call("db.counter");
  await untilHeld(backend, 1);
  await client.close();
  await untilHeld(backend, 0);
  assertEquals(typeof left, "function");
});

test("forward(): a release whose target is lost is no bug of the handler", async (t) => {
  const { raw, peer } = t.scriptedPeer();
  const [client] = t.pair({}, { handler: forward(peer) });
  const answer = client.call("counter");
  const there = await rawAccept(raw);
  await there.values(
    { Continue: false, Q: { v: 1, lends: "_012345" } },
    { $fnptr: "_0123450000000000001" },
  );
  await there.eof();
  (await answer as Callback<() => number>).release();
  const release = await rawAccept(raw, 1);
  const [header, count] = await release.read(2) as [{ Selector: string }, 1];
  assertEquals(header.Selector, "/_qtalk/release/_0123450000000000001");
  assertEquals(count, 1);
  await raw.end();
  await peer.closed;
  for (let i = 0; i < 10; i++) await turn();
});

test("forward(): what a response lends is counted when its header arrives in pieces", async (t) => {
  const { raw, peer } = t.scriptedPeer();
  const [client] = t.pair({}, { handler: forward(peer) });
  let channels = 0;
  for (const [i, end] of [-1, 1, 4, 20].entries()) {
    const id = `_01234500000000000${10 + i}`;
    const header = { Continue: false, Q: { v: 1, lends: "_012345" } };
    const message = values(header, { $fnptr: id });
    const answer = client.call("counter");
    const there = await rawAccept(raw, channels++);
    await there.data(message.subarray(0, end));
    for (let i = 0; i < 5; i++) await turn();
    await there.data(message.subarray(end));
    await there.eof();
    (await answer as Callback<() => number>).release();
    const release = await rawAccept(raw, channels++);
    const [{ Selector }] = await release.read(2) as [{ Selector: string }];
    assertEquals(Selector, `/_qtalk/release/${id}`);
    await release.values({ Continue: false, Q: { v: 1 } }, null);
    await release.eof();
    await release.close();
    await there.close();
  }
});

/** A scripted client calls a method; returns the error text of its answer. */
async function rawError(
  raw: RawPeer,
  selector: string,
  extension: object,
): Promise<unknown> {
  const call = await rawOpen(raw);
  await call.values({ Selector: selector, ...extension }, []);
  const [{ Error: text }] = await call.read(2) as [{ Error: unknown }];
  await call.eof();
  await call.close();
  return text;
}

for (const extension of [{ Q: { v: 1 } }, {}]) {
  const how = "Q" in extension ? "" : ", also if it is not extended";
  test(`forward(): a client that releases nothing leaves functions to the others, and what it holds is released when it leaves${how}`, async (t) => {
    const handler = handlerFrom({ ...results, ping: () => "pong" });
    const [middle, backend] = t.pair({}, { maxCallbacks: 16, handler });
    const gateway = forward(middle, { maxCallbacks: 16 });
    const { raw } = t.scriptedPeer({ handler: gateway });
    for (let i = 0; i < 8; i++) {
      assertEquals(await rawError(raw, COUNTER, extension), null);
    }
    for (let i = 0; i < 20; i++) {
      assertStringIncludes(
        String(await rawError(raw, COUNTER, extension)),
        "holds too many functions of the target",
      );
    }
    await untilHeld(backend, 8);
    assertEquals(await rawError(raw, "ping", extension), null);
    const [client] = t.pair({}, { handler: gateway });
    using other = await client.call(COUNTER) as Callback<() => number>;
    assertEquals(await other(), 1);
    await raw.end();
    await untilHeld(backend, 1);
  });
}

test("forward(): a client that has read its streams can get as many again", async (t) => {
  const handler = handlerFrom(results);
  const [middle, backend] = t.pair({}, { maxCallbacks: 4, handler });
  const [client] = t.pair({}, {
    handler: forward(middle, { maxCallbacks: 4 }),
  });
  for (let i = 0; i < 10; i++) {
    const { body } = await client.call("db.load") as {
      body: ReadableStream<Uint8Array>;
    };
    assertEquals(await toText(body), "bytes");
    await untilHeld(backend, 0);
  }
});

test("forward(): a stream of more functions than a client may hold is cut off", async (t) => {
  const [middle, backend] = t.pair({}, {
    handler: handlerFrom({
      async *functions() {
        for (let i = 0; i < 1_000; i++) yield await Promise.resolve(() => i);
      },
    }),
  });
  const [client] = t.pair({}, {
    handler: forward(middle, { maxCallbacks: 16 }),
  });
  const held: unknown[] = [];
  await assertRejects(async () => {
    for await (const fn of await client.request("functions", [])) held.push(fn);
  });
  await client.close();
  await untilHeld(backend, 0);
});

/** Whether EOF comes before CLOSE on a channel of a scripted client. */
async function hasEof(raw: RawPeer, id = 0): Promise<boolean> {
  for (let found = false;;) {
    const frame = await raw.next();
    if (frame === null) throw new Error("The session has ended");
    if (frame.type === "open" || frame.recipient !== id) continue;
    if (frame.type === "close") return found;
    found ||= frame.type === "eof";
  }
}

test("forward(): what is cut off has no EOF, even if the target has sent it already", async (t) => {
  for (const Q of [{ v: 1 }, undefined]) {
    const target = t.scriptedPeer();
    const { raw } = t.scriptedPeer({
      handler: forward(target.peer, { maxCallbacks: 1 }),
    });
    const call = await rawOpen(raw);
    await call.values({ Selector: "functions", Q }, []);
    const there = await rawAccept(target.raw);
    await there.read(2);
    const header = { Continue: true, Q: Q && { v: 1, lends: "_012345" } };
    const functions = ["_0123450000000000001", "_0123450000000000002"]
      .map(($fnptr) => ({ $fnptr }));
    await target.raw.send(
      data(there.remote, values(header, null, ...functions)),
      eof(there.remote),
    );
    assertEquals(await hasEof(raw), false);
  }
});

test("forward(): a complete response is cut off if it has come to a function that a client may not hold", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const { raw } = t.scriptedPeer({
    handler: forward(middle, { maxCallbacks: 1 }),
  });
  assertEquals(await rawError(raw, COUNTER, {}), null);
  const call = await rawOpen(raw, 1);
  // The client is not extended: its response begins before all of it has arrived.
  await call.values({ Selector: "db.large" }, []);
  assertEquals(await hasEof(raw, 1), false);
  await raw.end();
  await untilHeld(backend, 0);
});

test("forward(): a response that is replaced is released, also what came with the end of its header", async (t) => {
  const target = t.scriptedPeer();
  const { raw } = t.scriptedPeer({
    handler: forward(target.peer, { maxCallbacks: 1 }),
  });
  const header = { Continue: false, Q: { v: 1, lends: "_012345" } };
  for (let i = 0; i < 2; i++) {
    const message = values(header, { $fnptr: `_012345000000000000${i}` });
    const call = await rawOpen(raw);
    await call.values({ Selector: "counter", Q: { v: 1 } }, []);
    await call.eof();
    const there = await rawAccept(target.raw, i);
    await there.read(2);
    await there.data(message.subarray(0, 1));
    for (let i = 0; i < 5; i++) await turn();
    await there.data(message.subarray(1));
    await there.eof();
    const [{ Error: text }] = await call.read(2) as [{ Error?: string }];
    assertEquals(text?.includes("holds too many functions") ?? false, i === 1);
  }
  const release = await rawAccept(target.raw, 2);
  const [{ Selector }] = await release.read(2) as [{ Selector: string }];
  assertEquals(Selector, "/_qtalk/release/_0123450000000000001");
});

test("forward(): a function that many clients hold counts once", async (t) => {
  const [middle, backend] = t.pair({}, { handler: handlerFrom(results) });
  const gateway = forward(middle, { maxCallbacks: 4 });
  const clients: RawPeer[] = [];
  for (let i = 0; i < 8; i++) {
    const { raw } = t.scriptedPeer({ handler: gateway });
    clients.push(raw);
    const extension = i % 2 === 0 ? { Q: { v: 1 } } : {};
    assertEquals(await rawError(raw, SHARED, extension), null);
  }
  assertEquals(backend.callbackCount, 1);
  const [client] = t.pair({}, { handler: gateway });
  const own = await client.call(COUNTER) as Callback<() => number>;
  assertEquals(await own(), 1);
  own.release();
  for (const raw of clients) await raw.end();
  await untilHeld(backend, 0);
});

test("forward(): functions are released while long calls take all channels to the target", async (t) => {
  const waiting = Promise.withResolvers<void>();
  const handler = handlerFrom({ ...results, wait: () => waiting.promise });
  const [middle, backend] = t.pair({ session: { maxChannels: 16 } }, {
    handler,
  });
  const [client] = t.pair({}, { handler: forward(middle) });
  const [other] = t.pair({}, { handler: forward(middle) });
  const given = await client.call("db.counter") as Callback<() => number>;
  const left = await other.call("db.counter");
  // More than there are channels: some wait for one.
  const calls = Array.from({ length: 20 }, () => middle.call("wait"));
  await until(() => middle.stats.calls.waiting > 0, "calls that wait");
  given.release();
  await untilHeld(backend, 1);
  await other.close();
  await untilHeld(backend, 0);
  waiting.resolve();
  await Promise.all(calls);
  assertEquals(typeof left, "function");
});

test("forward(): a responder keeps no function that the call did not lend it", async (t) => {
  const target = t.scriptedPeer();
  const { raw } = t.scriptedPeer({ handler: forward(target.peer) });
  const id = "_0123450000000000001";
  const extension = { Q: { v: 1, lends: "_012345" } };
  const keeping = { Continue: false, Q: { v: 1, keep: [id, id] } };
  // Only the first call has the function among its arguments.
  for (const [i, args] of [[{ $fnptr: id }], [], []].entries()) {
    const call = await rawOpen(raw);
    await call.values({ Selector: "keep", ...extension }, args);
    const there = await rawAccept(target.raw, i);
    await there.read(2);
    await there.values(keeping, null);
    await there.eof();
    await there.close();
    await call.read(2);
    await call.close();
  }
  const release = await rawOpen(target.raw);
  await release.values(releaseHeader(id), 3);
  const there = await rawAccept(raw);
  const [{ Selector }, count] = await there.read(2) as [
    { Selector: string },
    number,
  ];
  assertEquals([Selector, count], [`/_qtalk/release/${id}`, 1]);
  await there.values({ Continue: false, Q: { v: 1 } }, null);
  await there.eof();
  await there.close();
  await release.read(2);
  await release.close();
});

test("forward(): what a client that is not extended holds through two forwarding peers is released when it leaves", async (t) => {
  // Beyond 2, a client is refused what it should have: nothing may stay counted.
  const limit = { maxCallbacks: 2 };
  const handler = handlerFrom(results);
  const [middle, backend] = t.pair({}, { handler, maxCallbacks: 4 });
  const [second] = t.pair({}, { handler: forward(middle, limit) });
  const gateway = forward(second, limit);
  // The two peers know the way back of the same functions once it was used.
  for (const isKnown of [false, true]) {
    if (isKnown) {
      const [ann] = t.pair({}, { handler: gateway });
      using fn = await ann.call(COUNTER) as Callback<() => number>;
      assertEquals(await fn(), 1);
    }
    await untilHeld(backend, 0);
    for (let i = 0; i < 4; i++) {
      const { raw } = t.scriptedPeer({ handler: gateway });
      await rawBorrow(raw, COUNTER, {});
      assertEquals(backend.callbackCount, 1);
      await raw.end();
      await untilHeld(backend, 0);
    }
  }
});

test("forward(): a client that is not extended can call and release what a member of a pool has lent to it", async (t) => {
  using pool = workerPool();
  const backends = [1, 2].map(() => {
    const [member, backend] = t.pair({}, { handler: handlerFrom(results) });
    pool.add(member);
    return backend;
  });
  const { raw } = t.scriptedPeer({ handler: forward(pool) });
  const held = () => backends.reduce((sum, one) => sum + one.callbackCount, 0);
  for (let i = 0; i < 3; i++) {
    const id = await rawBorrow(raw, COUNTER, {});
    const call = await rawOpen(raw);
    await call.values({ Selector: `/${id}` }, []);
    assertEquals((await call.read(2))[1], 1);
    await call.eof();
    await call.close();
    assertEquals(held(), 1);
    const release = await rawOpen(raw);
    await release.values({ Selector: `/_qtalk/release/${id}` }, 1);
    await release.read(2);
    await release.eof();
    await release.close();
    assertEquals(held(), 0);
  }
});

for (const extension of [{ Q: { v: 1 } }, {}]) {
  const how = "Q" in extension ? "" : ", also if it is not extended";
  test(`forward(): a complete response does not lend a client more than its share${how}`, async (t) => {
    const functions = (count: number) =>
      Array.from({ length: count }, (_, i) => () => i);
    const handler = handlerFrom({
      one: () => () => 1,
      few: () => functions(4),
      many: () => functions(5),
      // Does not arrive at once.
      large: () => ["x".repeat(300_000), ...functions(5)],
    });
    const [middle, backend] = t.pair({}, { handler });
    const gateway = forward(middle, { maxCallbacks: 8 });
    const { raw } = t.scriptedPeer({ handler: gateway });
    assertStringIncludes(
      String(await rawError(raw, "many", extension)),
      "holds too many functions of the target",
    );
    await untilHeld(backend, 0);
    assertEquals(await rawError(raw, "few", extension), null);
    const large = await rawOpen(raw, 1);
    await large.values({ Selector: "large", ...extension }, []);
    // An extended client is known to hold its share already.
    if ("Q" in extension) {
      const [{ Error: text }] = await large.read(1) as [{ Error: unknown }];
      assertEquals(typeof text, "string");
    } else assertEquals(await hasEof(raw, 1), false);
    await large.close();
    const [client] = t.pair({}, { handler: gateway });
    const other = await client.call("one");
    assertEquals(typeof other, "function");
    await raw.end();
    await client.close();
    await untilHeld(backend, 0);
  });
}

/** What a scripted client is lent: the answer to its first call, by a scripted target. */
const LENDING = { Continue: false, Q: { v: 1, lends: "_012345" } };

/** Checks that the target's next call is this one, and no release. */
async function nextCall(target: RawPeer, id: number, selector: string) {
  const call = await rawAccept(target, id);
  const [{ Selector }] = await call.read(2) as [{ Selector: string }];
  assertEquals(Selector, selector);
}

test("forward(): what a response lends that its caller has left is released once, here or by the target", async (t) => {
  const id = "_0123450000000000001";
  for (const isTogether of [true, false]) {
    const target = t.scriptedPeer();
    const handler = forward(target.peer);
    const { raw } = t.scriptedPeer({ handler });
    const call = await rawOpen(raw);
    await call.values({ Selector: "counter", Q: { v: 1 } }, []);
    const there = await rawAccept(target.raw);
    await there.read(2);
    if (isTogether) await raw.send(eof(call.remote), close(call.remote));
    else {
      await call.eof();
      for (let i = 0; i < 5; i++) await turn();
      await call.close();
    }
    // Without EOF before CLOSE, the target releases what it has just sent.
    const isReleasedHere = await hasEof(target.raw);
    assertEquals(isReleasedHere || isTogether, true);
    await there.values(LENDING, { $fnptr: id });
    for (let i = 0; i < 5; i++) await turn();
    if (isReleasedHere) {
      await nextCall(target.raw, 1, `/_qtalk/release/${id}`);
    }
    const next = await rawOpen(raw, 1);
    await next.values({ Selector: "next", Q: { v: 1 } }, []);
    await nextCall(target.raw, 2, "/next");
  }
});

for (const Q of [{ v: 1 }, undefined]) {
  const how = Q ? "" : ", also if it is not extended";
  test(`forward(): a stream that a client has begun to read is not released when it leaves, however its header arrives${how}`, async (t) => {
    const $fnptr = "_012345v000000000001";
    for (const end of [-1, 1, 4, 20]) {
      const target = t.scriptedPeer();
      const handler = forward(target.peer);
      const { raw } = t.scriptedPeer({ handler });
      const call = await rawOpen(raw);
      await call.values({ Selector: "load", Q }, []);
      const there = await rawAccept(target.raw);
      await there.read(2);
      await there.values({ ...LENDING, Q: Q && LENDING.Q }, { $fnptr });
      await there.eof();
      await call.read(2);
      await call.eof();
      await call.close();
      await there.close();
      const reading = await rawOpen(raw, 1);
      await reading.values({ Selector: `/${$fnptr}`, Q }, []);
      const read = await rawAccept(target.raw, 1);
      await read.read(2);
      const header = values({ Continue: true, Q: Q && { v: 1 } });
      await read.data(header.subarray(0, end));
      for (let i = 0; i < 5; i++) await turn();
      await read.data(header.subarray(end));
      await reading.read(1);
      await read.eof();
      await raw.end();
      await read.close();
      for (let i = 0; i < 10; i++) await turn();
      const other = t.scriptedPeer({ handler });
      const next = await rawOpen(other.raw);
      await next.values({ Selector: "next", Q }, []);
      await nextCall(target.raw, 2, "/next");
    }
  });
}

test("forward(): a release that finds no channel for as long as a call waits is made later", async (t) => {
  const clock = t.time();
  const waiting = Promise.withResolvers<void>();
  const handler = handlerFrom({
    ...results,
    waiter: () => () => waiting.promise,
  });
  const [middle, backend] = t.pair({ session: { maxChannels: 16 } }, {
    handler,
  });
  const [client] = t.pair({}, { handler: forward(middle) });
  const given = await client.call(COUNTER) as Callback<() => number>;
  using wait = await client.call("waiter") as Callback<() => Promise<void>>;
  // Calls of functions may take the channels that are kept for releases.
  const calls = Array.from({ length: 20 }, () => wait());
  await until(() => middle.stats.calls.waiting > 0, "calls that wait");
  given.release();
  for (let i = 0; i < 20; i++) await turn();
  clock.tick(10_000);
  await Promise.race(calls.map((call) => assertRejects(() => call)));
  assertEquals(backend.callbackCount, 2);
  waiting.resolve();
  await Promise.allSettled(calls);
  clock.tick(1_000);
  await untilHeld(backend, 1);
});

for (const extension of [{ Q: { v: 1 } }, {}]) {
  const how = "Q" in extension ? "" : ", also if it is not extended";
  test(`forward(): what a client holds already is no more for it to hold${how}`, async (t) => {
    const [a, b, c] = [() => 1, () => 2, () => 3];
    const handler = handlerFrom({ first: () => [a, b], next: () => [c, a, c] });
    const [middle, backend] = t.pair({}, { handler });
    const { raw } = t.scriptedPeer({
      // A client alone can hold three.
      handler: forward(middle, { maxCallbacks: 5 }),
    });
    for (const [id, selector] of ["first", "next"].entries()) {
      const call = await rawOpen(raw, id);
      await call.values({ Selector: selector, ...extension }, []);
      await call.read(2);
      await call.eof();
      await call.close();
      assertEquals(await hasEof(raw, id), true);
    }
    assertEquals(backend.callbackCount, 3);
    await raw.end();
    await untilHeld(backend, 0);
  });
}

for (const isPlain of [false, true]) {
  const how = isPlain ? ", also if it is not extended" : "";
  test(`forward(): with a maxCallbacks above 4,096, a client can call every function that it holds, and all are released when it leaves${how}`, async (t) => {
    const count = 5_000;
    const limit = { maxCallbacks: 4 * count };
    const handler = handlerFrom({
      many: () => Array.from({ length: count }, (_, i) => () => i),
    });
    const [member, backend] = t.pair({}, { handler, ...limit });
    using pool = workerPool();
    pool.add(member);
    const { raw } = t.scriptedPeer({ handler: forward(pool, limit) });
    const call = await rawOpen(raw);
    const extension = isPlain ? {} : { Q: { v: 1 } };
    await call.values({ Selector: "many", ...extension }, []);
    const [, lent] = await call.read(2) as [unknown, { $fnptr: string }[]];
    await call.eof();
    await call.close();
    assertEquals(backend.callbackCount, count);
    const last = await rawOpen(raw);
    const Selector = `/${lent.at(-1)!.$fnptr}`;
    await last.values({ Selector, ...extension }, []);
    assertEquals((await last.read(2))[1], count - 1);
    await last.eof();
    await last.close();
    await raw.end();
    await untilHeld(backend, 0);
  });
}

test("forward(): of the functions that a client lends, 4,096 are remembered, and released when the target leaves", async (t) => {
  const count = 5_000;
  let held: readonly unknown[] = [];
  const [middle, backend] = t.pair({}, {
    handler: handlerFrom(async (make: Callback<() => unknown[]>) => {
      held = await make();
    }),
  });
  const [client, front] = t.pair({ maxCallbacks: 2 * count }, {
    handler: forward(middle),
  });
  const make = () => Array.from({ length: count }, (_, i) => () => i);
  await client.call("x", [make]);
  assertEquals([held.length, client.callbackCount], [count, count]);
  await backend.close();
  await until(() => client.callbackCount <= count - 4_096, "the releases");
  // What comes before the answer of the client has reached it.
  await assertRejects(() => front.call("x"), RemoteError, "not found");
  assertEquals(client.callbackCount, count - 4_096);
  // The rest stays until the session ends.
  await client.close();
});

test("forward(): with a maxCallbacks above 4,096, all is released when a client leaves that has kept functions of calls", async (t) => {
  const count = 5_000;
  const limit = { maxCallbacks: 4 * count };
  const [middle, backend] = t.pair({}, {
    ...limit,
    handler: handlerFrom({
      listen: async (fn: Callback<(own: Callback<() => number>) => void>) => {
        await fn(() => 0);
      },
      many: () => Array.from({ length: count }, (_, i) => () => i),
    }),
  });
  const [client] = t.pair({}, { handler: forward(middle, limit) });
  let kept: unknown;
  const keep = (own: Callback<() => number>) => {
    kept = own.retain();
  };
  await client.call("listen", [keep]);
  const many = await client.call("many");
  assertEquals(backend.callbackCount, count + 1);
  await client.close();
  await untilHeld(backend, 0);
  assertEquals([typeof kept, typeof many], ["function", "object"]);
});

Deno.test("keepLent: what a responder keeps whose session has ended meanwhile is released", () => {
  const id = "_0123450000000000001";
  const released: unknown[] = [];
  const caller = {
    call: (selector: string, count: unknown) => {
      released.push(selector, count);
      return Promise.resolve(null);
    },
  };
  const call = { request: { lends: "_012345" }, session: {}, caller };
  const lent = { among: (ids: string[]) => ids };
  const onEnd = () => () => {};
  for (const ended of [false, true]) {
    const borrower = { routes: undefined, ended, onEnd };
    keepLent([id], lent as never, borrower, call as never);
    const selector = `/_qtalk/release/${id}`;
    assertEquals(released, ended ? [selector, 1] : []);
  }
});

// What is reported to onError, and what is not: a bug of a handler leaves a trace
// at home, and what its caller is the cause of does not.

import {
  type ByteStream,
  type Call,
  type Callback,
  CallError,
  type ErrorContext,
  forward,
  type Handler,
  handlerFrom,
  memoryPair,
  MuxError,
  RemoteError,
  RpcError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { type Harness, test } from "../tests/support/harness.ts";
import {
  rawAccept,
  rawCall,
  type RawChannel,
  rawOpen,
} from "../tests/support/raw_call.ts";
import { failure, framed, utf8, values } from "../tests/support/wire.ts";
import { turn, within } from "../tests/support/within.ts";

/** A pair whose server keeps what is reported. */
function reporting(t: Harness, handler: Handler) {
  const reported: [error: unknown, context: ErrorContext][] = [];
  const heard = Promise.withResolvers<unknown>();
  const [client, server] = t.pair({}, {
    handler,
    onError(error, context) {
      reported.push([error, context]);
      heard.resolve(error);
    },
  });
  return { client, server, reported, heard: heard.promise };
}

const bug = new TypeError("a bug");
const fail = () => {
  throw bug;
};

/** Handlers with a bug; each is called as a stream. */
const BUGS: Record<string, Handler> = {
  "a handler that throws": fail,
  "a handler that rejects": () => Promise.reject(bug),
  "a handler object": { respond: fail },
  "a function": handlerFrom(fail),
  "an async function": handlerFrom(async () => {
    await turn();
    fail();
  }),
  "withCall()": handlerFrom(withCall(fail)),
  "withStream()": handlerFrom(withStream(fail)),
  "a generator, at once": handlerFrom(
    // deno-lint-ignore require-yield
    async function* () {
      fail();
    },
  ),
  "a generator, in mid-stream": handlerFrom(async function* () {
    yield 1;
    fail();
  }),
  "a ReadableStream": handlerFrom(() =>
    new ReadableStream({
      pull(controller) {
        controller.error(bug);
      },
    })
  ),
  "a byte stream": handlerFrom(() => ({
    readable: new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(bug);
      },
    }),
    writable: new WritableStream<Uint8Array>(),
  })),
  "a handler that has answered": async (_call, respond) => {
    await respond.return(1);
    fail();
  },
  "a handler that has continued": async (_call, respond) => {
    await respond.continue(1);
    fail();
  },
};

for (const [what, handler] of Object.entries(BUGS)) {
  test(`onError: a bug of ${what} is reported with selector, peer and stack`, async (t) => {
    const { client, server, reported, heard } = reporting(t, handler);
    const request = await client.request("a.b", []).catch(() => undefined);
    if (request !== undefined) {
      await Array.fromAsync(request).catch(() => {});
      await request.close();
    }
    await within(heard, "onError");
    assertEquals(reported.length, 1);
    const [error, { peer, selector }] = reported[0]!;
    assertStrictEquals(error, bug);
    assertStrictEquals(peer, server);
    assertEquals(selector, "/a/b");
    assert(bug.stack!.includes("report_test.ts"));
  });
}

test("onError: a bug of a generator's end is reported, also if its caller left", async (t) => {
  const { client, reported, heard } = reporting(
    t,
    handlerFrom(async function* () {
      try {
        for (;;) yield 1;
      } finally {
        fail();
      }
    }),
  );
  for await (const _ of await client.request("x")) break;
  assertStrictEquals(await within(heard, "onError"), bug);
  assertEquals(reported.length, 1);
});

test("onError: an answer that cannot be encoded is a bug of the handler", async (t) => {
  for (
    const handler of [
      handlerFrom(() => new Map()),
      handlerFrom(async function* () {
        yield 1;
        yield Symbol("s");
      }),
    ]
  ) {
    const { client, reported } = reporting(t, handler);
    await assertRejects(async () => {
      await Array.fromAsync(await client.request("x"));
    }, RemoteError);
    assertEquals(
      reported.map(([, { selector }]) => selector),
      ["/x"],
    );
  }
});

test("onError: a bug of a callback is reported where the callback is", async (t) => {
  const errors: unknown[] = [];
  const [client, server] = t.pair(
    { onError: (error) => errors.push(error) },
  );
  server.handle("run", handlerFrom((fn: Callback<() => void>) => fn()));
  const error = await assertRejects(
    () => client.call("run", [fail]),
    RemoteError,
  );
  assertEquals(error.message, "remote: a bug");
  assertEquals(errors, [bug]);
});

class NoRoom extends CallError {}

/** Handlers whose caller is meant, or to blame. */
const ANSWERS: Record<string, Handler> = {
  "a CallError": () => {
    throw new CallError("no");
  },
  "an error of a class made of CallError": handlerFrom(() =>
    Promise.reject(new NoRoom("no"))
  ),
  "an Error that a handler answers with": (_call, respond) =>
    respond.return(new TypeError("no")),
  "an Error that a function returns": handlerFrom(() => new TypeError("no")),
  "an Error that an async function returns": handlerFrom(() =>
    Promise.resolve(new TypeError("no"))
  ),
  "a CallError of a generator, at once": handlerFrom(
    // deno-lint-ignore require-yield
    async function* () {
      throw new CallError("no");
    },
  ),
  "a CallError of a generator, in mid-stream": handlerFrom(async function* () {
    yield 1;
    throw new CallError("no");
  }),
  "a CallError of a ReadableStream": handlerFrom(() =>
    new ReadableStream({
      pull: (controller) => controller.error(new CallError("no")),
    }, { highWaterMark: 0 })
  ),
  "an error of a call back": async (call, respond) => {
    await respond.return(await call.caller.call("not.there"));
  },
};

for (const [what, handler] of Object.entries(ANSWERS)) {
  test(`onError: ${what} is an answer and not reported`, async (t) => {
    const { client, reported } = reporting(t, handler);
    await assertRejects(async () => {
      await Array.fromAsync(await client.request("x"));
    }, RemoteError);
    assertEquals(reported, []);
  });
}

test("onError: arguments that do not fit the function are an answer and not reported", async (t) => {
  const handler = handlerFrom((a: number, b: number) => a + b);
  const { client, reported } = reporting(t, handler);
  await assertRejects(() => client.call("x", 1), RemoteError, "an array");
  await assertRejects(
    () => client.call("x", new Array(40_000).fill(1)),
    RemoteError,
    "at most",
  );
  assertEquals(reported, []);
  // Only of other implementations is it known that one is missing.
  const { raw } = t.scriptedPeer({ handler });
  const channel = await rawCall(raw, "x", [1]);
  const [header] = await channel.read(2);
  assertEquals(
    (header as { Error: string }).Error,
    "fn: expected 2 params, got 1",
  );
  await channel.close();
  await raw.end();
});

test("onError: a CallError that comes too late for an answer is reported", async (t) => {
  const { client, heard } = reporting(t, async (_call, respond) => {
    await respond.return(1);
    throw new CallError("late");
  });
  await client.call("x");
  assertEquals((await within(heard, "onError") as Error).message, "late");
});

test("onError: a CallError for a caller that has left in the middle is not reported", async (t) => {
  const reported: unknown[] = [];
  const finished = Promise.withResolvers<void>();
  const [client] = t.pair({}, {
    handler: async ({ signal }: Call, respond) => {
      await respond.continue(1);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      finished.resolve();
      throw new CallError("no more");
    },
    onError: (error) => reported.push(error),
  });
  const response = await client.request("x");
  await response.close();
  await within(finished.promise, "the handler");
  await turn();
  assertEquals(reported, []);
});

test("onError: arguments that cannot be decoded are not reported", async (t) => {
  const reported: unknown[] = [];
  const { peer, raw } = t.scriptedPeer({
    maxValueSize: 100,
    onError: (error) => reported.push(error),
  });
  peer.handle("receive", async (call, respond) => {
    await respond.return(await call.receive());
  });
  peer.handle("function", handlerFrom((x: unknown) => x));
  peer.handle("wrapped", async (call) => {
    try {
      await call.receive();
    } catch (cause) {
      throw new Error("Cannot receive", { cause });
    }
  });
  for (const selector of ["receive", "function"]) {
    for (
      const bad of [framed(utf8("{")), framed(new Uint8Array(200).fill(32))]
    ) {
      const call = await rawOpen(raw);
      await call.data(values({ Selector: selector, Q: { v: 1 } }));
      await call.data(bad);
      const [header] = await call.read(2) as [{ Error: string }];
      assert(header.Error.includes(`in call "/${selector}"`), header.Error);
      await raw.find("close");
      await call.close();
    }
  }
  assertEquals(reported, []);
});

test("onError: what a handler throws because its caller left is not reported", async (t) => {
  const ends: ((call: AbortSignal) => unknown)[] = [
    (signal) => {
      throw signal.reason;
    },
    () => {
      throw new DOMException("The operation was aborted", "AbortError");
    },
    (signal) => {
      throw new Error("Cannot go on", { cause: signal.reason });
    },
  ];
  for (const [i, end] of ends.entries()) {
    const begun = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const { client, reported } = reporting(t, async ({ signal }) => {
      begun.resolve();
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve());
      await aborted.promise;
      queueMicrotask(() => queueMicrotask(() => done.resolve()));
      end(signal);
    });
    const controller = new AbortController();
    const call = client.call("x", null, { signal: controller.signal });
    await within(begun.promise, `the call of handler ${i}`);
    controller.abort(new Error("enough"));
    await assertRejects(() => call, Error, "enough");
    await within(done.promise, `handler ${i}`);
    assertEquals(reported, []);
  }
});

/** Handlers that read what a caller gives them that then leaves. */
const READERS: Record<string, (given: never) => Promise<unknown>> = {
  "the result of a callback": async (fn: Callback<() => number>) => await fn(),
  "the stream of a callback": async (
    fn: Callback<() => AsyncIterable<number>>,
  ) => await Array.fromAsync(fn()),
  "the stream of a callback, as a whole": async (
    fn: Callback<() => AsyncIterable<number>>,
  ) => await Array.fromAsync(await fn()),
  "the bytes of a callback": async (
    fn: Callback<() => Promise<ByteStream>>,
  ) => {
    for await (const _ of (await fn()).readable);
  },
  "a stream in an argument": async (
    { values }: { values: AsyncIterable<number> },
  ) => await Array.fromAsync(values),
};

for (const [what, read] of Object.entries(READERS)) {
  test(`onError: a handler that reads ${what} when its caller leaves has no bug`, async (t) => {
    const begun = Promise.withResolvers<void>();
    const done = Promise.withResolvers<unknown>();
    const { client, reported } = reporting(
      t,
      handlerFrom(async (given: never) => {
        try {
          begun.resolve();
          return await read(given);
        } catch (error) {
          queueMicrotask(() => queueMicrotask(() => done.resolve(error)));
          throw error;
        }
      }),
    );
    const end = Promise.withResolvers<void>();
    async function* values() {
      yield 1;
      await end.promise;
    }
    const given = what.includes("argument")
      ? { values: values() }
      : what.includes("bytes")
      ? () => new TransformStream()
      : what.includes("stream")
      ? values
      : () => end.promise;
    const stop = new AbortController();
    const call = client.call("x", [given], { signal: stop.signal });
    await within(begun.promise, "the call");
    for (let i = 0; i < 10; i++) await turn();
    stop.abort(new Error("enough"));
    await assertRejects(() => call, Error, "enough");
    assert(await within(done.promise, "the handler") instanceof Error);
    await turn();
    assertEquals(reported, []);
    end.resolve();
  });
}

test("onError: a call back whose channel the caller refuses is no bug of the handler", async (t) => {
  const handlers: Handler[] = [
    async (call) => void await call.caller.call("x"),
    async (call) => void await call.caller.remote<{ x(): void }>().x(),
    async (call) => {
      await call.caller.call("x").catch((cause) => {
        throw new Error("Cannot call back", { cause });
      });
    },
  ];
  for (const handler of handlers) {
    // What is reported fails the test.
    const { raw } = t.scriptedPeer({ handler });
    const call = await rawCall(raw, "y", null);
    const { sender } = await raw.expect("open");
    await raw.send(failure(sender));
    const [header] = await call.read(2);
    assert((header as { Error: string }).Error.length > 0);
    await call.close();
    await raw.end();
  }
});

test("onError: a stream of the caller that ends incomplete is no bug of the handler", async (t) => {
  const uses: ((body: ReadableStream) => Promise<void>)[] = [
    async (body: ReadableStream) => void await Array.fromAsync(body),
    async (body: ReadableStream) => {
      await Array.fromAsync(body).catch((cause) => {
        throw new Error("Cannot store it", { cause });
      });
    },
  ];
  const ends: ((stream: RawChannel) => Promise<void>)[] = [
    async () => {},
    async (stream) => await stream.values(1, 2),
    async (stream) => await stream.data("\0\0\0\x05not"),
    async (stream) => await stream.data("\0\0\0\x03not"),
  ];
  for (const use of uses) {
    for (const end of ends) {
      // What is reported fails the test.
      const { raw } = t.scriptedPeer({ handler: handlerFrom(use) });
      const call = await rawOpen(raw);
      const arg = { $fnptr: "_012345v000000000000" };
      await call.values({ Selector: "x", Q: { v: 1 } }, [arg]);
      const stream = await rawAccept(raw);
      await stream.read(2);
      await stream.values({ Error: null, Continue: true, Q: { v: 1 } });
      await end(stream);
      await stream.close();
      const [header] = await call.read(2);
      assert((header as { Error: string }).Error.length > 0);
      await call.close();
      await raw.end();
    }
  }
});

test("onError: a bug after the caller left is reported", async (t) => {
  const begun = Promise.withResolvers<void>();
  const { client, heard } = reporting(t, async ({ signal }) => {
    begun.resolve();
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => aborted.resolve());
    await aborted.promise;
    fail();
  });
  const controller = new AbortController();
  const call = client.call("x", null, { signal: controller.signal });
  await within(begun.promise, "the call");
  controller.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
  assertStrictEquals(await within(heard, "onError"), bug);
});

test("onError: a target that cannot be reached is no bug of forward()", async (t) => {
  const [middle] = memoryPair();
  const { client, reported } = reporting(t, forward(middle));
  await middle.close();
  const error = await assertRejects(() => client.call("a.b"), RemoteError);
  assert(error.text.startsWith('Cannot forward call "/a/b": '), error.text);
  assertEquals(reported, []);
});

test("onError: errors of calls to others are reported, except what those answered", async (t) => {
  const [other] = memoryPair();
  const { client, reported } = reporting(
    t,
    handlerFrom({
      passes: () => other.call("missing"),
      fails: () => other.call("x", new Map()),
    }),
  );
  await assertRejects(() => client.call("passes"), RemoteError, "not found");
  assertEquals(reported, []);
  await assertRejects(() => client.call("fails"), RemoteError, "a Map");
  assertEquals(reported.length, 1);
  await other.close();
  await assertRejects(() => client.call("passes"), RemoteError);
  assert(reported[1]![0] instanceof MuxError);
  assert(!(reported[1]![0] instanceof RpcError));
});

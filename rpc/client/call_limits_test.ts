/**
 * The signal and the time limit of calls that live on after their first answer.
 *
 * @module
 */
import {
  forward,
  handlerFrom,
  memoryPair,
  type Peer,
  RpcError,
} from "@qtalk/qtalk";
import type { RemoteError } from "@qtalk/qtalk";
import type { ByteStream, Callback } from "@qtalk/qtalk";
import { withCall, withStream } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CountingController } from "../../tests/support/counting_controller.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until, within } from "../../tests/support/within.ts";

/** A promise of an event of a test, and what makes it happen. */
function event<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}

/** A service whose streams never end, and what becomes of them. */
function endless() {
  const stopped = event<string>();
  const service = {
    /** Gives `values`, then waits for ever. */
    ticks(values: number): AsyncIterable<number> {
      let n = 0;
      return {
        [Symbol.asyncIterator]: () => ({
          next: () =>
            ++n > values
              ? new Promise(() => {})
              : Promise.resolve({ done: false, value: n }),
          return() {
            stopped.resolve("ticks");
            return Promise.resolve({ done: true, value: undefined });
          },
        }),
      };
    },
    /** Gives values as fast as they are taken. */
    async *flood() {
      try {
        for (let n = 1;; n++) yield n;
      } finally {
        stopped.resolve("flood");
      }
    },
    stream: () =>
      new ReadableStream<number>({
        pull: (controller) => controller.enqueue(1),
        cancel: () => stopped.resolve("stream"),
      }),
    silence: () =>
      new ReadableStream<number>({ cancel: () => stopped.resolve("silence") }),
    bytes: (): ByteStream => ({
      readable: new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(1024)),
        cancel: () => stopped.resolve("bytes"),
      }),
      writable: new WritableStream<Uint8Array>(),
    }),
    mute: (): ByteStream => ({
      readable: new ReadableStream<Uint8Array>({
        cancel: () => stopped.resolve("mute"),
      }),
      writable: new WritableStream<Uint8Array>(),
    }),
    doubled: withStream(async function* (numbers: AsyncIterable<number>) {
      try {
        for await (const n of numbers) yield 2 * n;
      } finally {
        stopped.resolve("doubled");
      }
    }),
    deaf: withStream(async function* (_: AsyncIterable<string>, call) {
      yield 0;
      const gone = event();
      call.signal.addEventListener("abort", () => gone.resolve());
      await gone.promise;
      stopped.resolve("deaf");
    }),
    talk: withCall(async (call) => {
      const gone = event();
      call.signal.addEventListener("abort", () => gone.resolve());
      await gone.promise;
      stopped.resolve("talk");
    }),
  };
  return { service, stopped: stopped.promise };
}

type Endless = ReturnType<typeof endless>["service"];

/** The service at the other end of a session, or after one more peer. */
function connect(t: Harness, service: object, forwarded: boolean): Peer {
  const handler = handlerFrom(service);
  if (!forwarded) return t.pair({}, { handler })[0];
  const [middle] = t.pair({}, { handler });
  return t.pair({}, { handler: forward(middle) })[0];
}

const REASON = new Error("The user has left");

/** Registers a test for a direct call, and one for a forwarded call. */
function testCalls(
  name: string,
  body: (
    it: {
      client: Peer;
      never: CountingController;
      stopped: Promise<string>;
    },
  ) => Promise<void>,
): void {
  for (const forwarded of [false, true]) {
    const how = forwarded ? "a forwarded call" : "a call";
    test(`CallOptions.signal: ${how}: ${name}`, async (t) => {
      const { service, stopped } = endless();
      const client = connect(t, service, forwarded);
      const never = new CountingController();
      await body({ client, never, stopped });
      assertEquals(never.listeners, 0);
    });
  }
}

testCalls("a loop that waits throws the reason", async (it) => {
  const { signal } = it.never;
  const seen: number[] = [];
  const loop = (async () => {
    for await (const n of it.client.remote<Endless>({ signal }).ticks(2)) {
      seen.push(n);
      if (n === 2) queueMicrotask(() => it.never.abort(REASON));
    }
  })();
  const error = await assertRejects(() => within(loop, "the loop"));
  assertEquals(error, REASON);
  assertEquals(seen, [1, 2]);
  assertEquals(await within(it.stopped, "the producer"), "ticks");
});

testCalls(
  "a loop that takes values throws the reason at its next step",
  async (it) => {
    const { signal } = it.never;
    const seen: number[] = [];
    const error = await assertRejects(async () => {
      for await (const n of it.client.remote<Endless>({ signal }).flood()) {
        seen.push(n);
        if (n === 3) it.never.abort(REASON);
      }
    });
    assertEquals(error, REASON);
    assertEquals(seen, [1, 2, 3], "what has arrived is not given");
    assertEquals(await within(it.stopped, "the producer"), "flood");
  },
);

for (const name of ["stream", "silence"] as const) {
  testCalls(`a ReadableStream is cancelled: ${name}`, async (it) => {
    const { signal } = it.never;
    const loop = it.client.remote<Endless>({ signal })[name]()
      [Symbol.asyncIterator]();
    if (name === "stream") await loop.next();
    const next = loop.next();
    if (name === "stream") await next;
    else await turn();
    it.never.abort(REASON);
    const error = await assertRejects(() =>
      within(name === "stream" ? loop.next() : next, "the next value")
    );
    assertEquals(error, REASON);
    assertEquals(await loop.next(), { done: true, value: undefined });
    // Before the response, the producer has not begun, or is not seen to end.
    if (name === "stream") await within(it.stopped, "the producer");
  });
}

testCalls(
  "receive() and send() of a response reject with the reason",
  async (it) => {
    const { signal } = it.never;
    const response = await it.client.request("ticks", [0], { signal });
    assert(response.continued);
    const receiving = response.receive();
    // Nothing takes these: they wait for credit.
    const sending = response.send("x".repeat(1_000_000));
    const failed = Promise.allSettled([receiving, sending]);
    it.never.abort(REASON);
    for (const result of await within(failed, "both waits")) {
      assertEquals(result, { status: "rejected", reason: REASON });
    }
    assertEquals(await assertRejects(() => response.receive()), REASON);
    assertEquals(await assertRejects(() => response.send(1)), REASON);
    await response.close();
    assertEquals(await within(it.stopped, "the producer"), "ticks");
  },
);

testCalls("streamed arguments end, and so does their producer", async (it) => {
  const { signal } = it.never;
  const produced = event();
  async function* numbers() {
    try {
      for (let n = 1;; n++) yield n;
    } finally {
      produced.resolve();
    }
  }
  const error = await assertRejects(async () => {
    const doubled = it.client.remote<Endless>({ signal }).doubled(numbers());
    for await (const n of doubled) if (n === 6) it.never.abort(REASON);
  });
  assertEquals(error, REASON);
  await within(produced.promise, "the producer of the arguments");
  assertEquals(await within(it.stopped, "the producer"), "doubled");
});

testCalls(
  "a stream as the argument is cancelled with the reason",
  async (it) => {
    const { signal } = it.never;
    const cancelled = event<unknown>();
    const numbers = new ReadableStream<number>({
      start: (controller) => controller.enqueue(1),
      cancel: (reason) => cancelled.resolve(reason),
    });
    const doubled = it.client.remote<Endless>({ signal }).doubled(numbers)
      [Symbol.asyncIterator]();
    assertEquals((await doubled.next()).value, 2);
    it.never.abort(REASON);
    assertEquals(await within(cancelled.promise, "the stream"), REASON);
    assertEquals(await assertRejects(() => doubled.next()), REASON);
  },
);

testCalls("bytes that are read fail with the reason", async (it) => {
  const { signal } = it.never;
  const bytes = await it.client.remote<Endless>({ signal }).bytes();
  const reader = bytes.readable.getReader();
  assertEquals((await reader.read()).done, false);
  it.never.abort(REASON);
  assertEquals(await assertRejects(() => reader.read()), REASON);
  assertEquals(await assertRejects(() => reader.closed), REASON);
  const writer = bytes.writable.getWriter();
  assertEquals(
    await assertRejects(() => writer.write(new Uint8Array(1))),
    REASON,
  );
  writer.closed.catch(() => {});
  assertEquals(await within(it.stopped, "the producer"), "bytes");
});

testCalls("a read of bytes that waits rejects with the reason", async (it) => {
  const { signal } = it.never;
  const bytes = await it.client.remote<Endless>({ signal }).mute();
  const byob = bytes.readable.getReader({ mode: "byob" });
  const read = byob.read(new Uint8Array(8));
  const writer = bytes.writable.getWriter();
  const failed = Promise.allSettled([read, writer.closed]);
  it.never.abort(REASON);
  for (const result of await within(failed, "both streams")) {
    assertEquals(result, { status: "rejected", reason: REASON });
  }
  assertEquals(await within(it.stopped, "the producer"), "mute");
});

testCalls(
  "a pipe from the bytes rejects, and its destination is aborted",
  async (it) => {
    const { signal } = it.never;
    const bytes = await it.client.remote<Endless>({ signal }).bytes();
    const aborted = event<unknown>();
    let written = 0;
    const destination = new WritableStream<Uint8Array>({
      write(chunk) {
        written += chunk.length;
        if (written > 100_000) it.never.abort(REASON);
      },
      abort: (reason) => aborted.resolve(reason),
    });
    const piped = bytes.readable.pipeTo(destination);
    assertEquals(await assertRejects(() => within(piped, "the pipe")), REASON);
    assertEquals(await within(aborted.promise, "the destination"), REASON);
  },
);

testCalls(
  "a pipe into the bytes rejects, and its source is cancelled",
  async (it) => {
    const { signal } = it.never;
    const bytes = await it.client.remote<Endless>({ signal }).mute();
    const cancelled = event<unknown>();
    const source = new ReadableStream<Uint8Array>({
      cancel: (reason) => cancelled.resolve(reason),
    });
    const piped = source.pipeTo(bytes.writable);
    it.never.abort(REASON);
    assertEquals(await assertRejects(() => within(piped, "the pipe")), REASON);
    assertEquals(await within(cancelled.promise, "the source"), REASON);
  },
);

testCalls(
  "a pipe between the bytes of two calls ends with either signal",
  async (it) => {
    for (const which of ["source", "destination"]) {
      const never = new CountingController();
      const limited = it.client.remote<Endless>({ signal: never.signal });
      const plain = it.client.remote<Endless>();
      const from = await (which === "source" ? limited : plain).bytes();
      const to = await (which === "source" ? plain : limited).mute();
      const piped = from.readable.pipeTo(to.writable);
      never.abort(REASON);
      assertEquals(
        await assertRejects(() => within(piped, "the pipe")),
        REASON,
      );
      await from.close();
      await to.close();
    }
  },
);

testCalls("the handler's signal aborts", async (it) => {
  const { signal } = it.never;
  const answer = it.client.call("talk", null, { signal });
  await turn();
  it.never.abort(REASON);
  assertEquals(await assertRejects(() => answer), REASON);
});

testCalls(
  "a response that has been received to its end leaves no listener",
  async (it) => {
    const { signal } = it.never;
    const response = await it.client.request("bytes", null, { signal });
    await response.readable.cancel();
    await response.writable.close();
    await response.close();
    const ticks = it.client.remote<Endless>({ signal }).ticks(3);
    for await (const n of ticks) if (n === 3) break;
    assertEquals(await within(it.stopped, "the producer"), "bytes");
  },
);

testCalls(
  "a handler that does not read its arguments is informed",
  async (it) => {
    const { signal } = it.never;
    async function* numbers() {
      for (;;) yield "x".repeat(10_000);
    }
    const loop = it.client.remote<Endless>({ signal }).deaf(numbers())
      [Symbol.asyncIterator]();
    assertEquals((await loop.next()).value, 0);
    const next = loop.next();
    // The producer goes on until all windows on the way are full.
    for (let turns = 0; turns < 50; turns++) await turn();
    it.never.abort(REASON);
    assertEquals(await assertRejects(() => next), REASON);
    assertEquals(await within(it.stopped, "the handler", 5_000), "deaf");
  },
);

test("CallOptions.signal: a stream that has ended leaves no listener, read or unread", async (t) => {
  const never = new CountingController();
  const { signal } = never;
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      async *three() {
        yield* [1, 2, 3];
      },
    }),
  });
  const api = client.remote<{ three(): AsyncIterable<number> }>({ signal });
  assertEquals(await Array.fromAsync(api.three()), [1, 2, 3]);
  assertEquals(never.listeners, 0);

  const closed = event();
  server.handle("bytes", async (_call, respond) => {
    const channel = await respond.continue();
    const writer = channel.writable.getWriter();
    await writer.write(new Uint8Array(10));
    await writer.close();
    await channel.close();
    closed.resolve();
  });
  const response = await client.request("bytes", null, { signal });
  await closed.promise;
  await turn();
  assertEquals(never.listeners, 1, "bytes are left");
  assertEquals((await Array.fromAsync(response.readable)).length, 1);
  assertEquals(never.listeners, 0);
});

test("CallOptions.signal: a value that waits for its rest is given up", async (t) => {
  const never = new AbortController();
  const [client, server] = t.pair();
  server.handle("part", async (call, respond) => {
    const channel = await respond.continue();
    call.signal.addEventListener("abort", () => void channel.close());
    const writer = channel.writable.getWriter();
    await writer.write(new Uint8Array([0, 1, 0, 0, 1, 2, 3]));
  });
  const response = await client.request("part", null, never);
  const receiving = response.receive();
  await turn();
  never.abort(REASON);
  assertEquals(await assertRejects(() => receiving), REASON);
});

test("CallOptions.signal: aborting after the end, or after close(), changes nothing", async (t) => {
  const controller = new AbortController();
  const { service } = endless();
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const response = await client.request("ticks", [2], controller);
  assertEquals(await response.receive(), 1);
  await response.close();
  controller.abort(REASON);
  const error = await assertRejects(() => response.receive(), RpcError);
  assertEquals(error.code, "incomplete");
});

test("CallOptions.signal: a callback of a call that is given up ends, and is released", async (t) => {
  const controller = new AbortController();
  const { signal } = controller;
  const handled = event<string>();
  const service = {
    async *watch(fn: Callback<() => AsyncIterable<number>>) {
      try {
        for await (const n of fn()) yield n;
      } catch (error) {
        handled.resolve((error as RpcError).code);
        throw error;
      }
    },
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const stopped = event();
  const values = new ReadableStream<number>({
    start: (controller) => controller.enqueue(1),
    cancel: () => stopped.resolve(),
  });
  const api = client.remote<typeof service>({ signal });
  const watched = api.watch(() => values)[Symbol.asyncIterator]();
  assertEquals((await watched.next()).value, 1);
  assertEquals(client.callbackCount, 1);
  const next = watched.next();
  controller.abort(REASON);
  assertEquals(client.callbackCount, 0);
  assertEquals(await assertRejects(() => next), REASON);
  await within(stopped.promise, "the callback's stream");
  assertEquals(await within(handled.promise, "the handler"), "incomplete");
});

test("CallOptions.signal: a function that another call lends, too, is left to that call", async (t) => {
  const given = event();
  const service = {
    async *use(fn: Callback<(n: number) => Promise<number>>) {
      yield await fn(1);
      yield await fn(2);
    },
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const running = [event(), event()];
  let calls = 0;
  const fn = async (n: number) => {
    if (n === 2) {
      running[calls++]!.resolve();
      await given.promise;
    }
    return n;
  };
  const controller = new AbortController();
  const { signal } = controller;
  const one = client.remote<typeof service>({ signal }).use(fn)
    [Symbol.asyncIterator]();
  const other = client.remote<typeof service>().use(fn)
    [Symbol.asyncIterator]();
  assertEquals((await one.next()).value, 1);
  assertEquals((await other.next()).value, 1);
  assertEquals(client.callbackCount, 1, "one function, which two calls lend");
  const ends = [one.next(), other.next()] as const;
  await Promise.all(running.map(({ promise }) => promise));
  controller.abort(REASON);
  assertEquals(await assertRejects(() => ends[0]), REASON);
  assertEquals(client.callbackCount, 1);
  given.resolve();
  assertEquals((await ends[1]).value, 2);
  assertEquals(await other.next(), { done: true, value: undefined });
  await until(() => client.callbackCount === 0);
});

test("CallOptions.signal: the producer of a stream among the arguments ends with its reason", async (t) => {
  const handled = event<string>();
  let begun = event();
  const service = {
    async save(_name: string, body: ReadableStream<number>) {
      try {
        for await (const _ of body) begun.resolve();
      } catch (error) {
        handled.resolve((error as RemoteError).code!);
      }
    },
    disregard: (_name: string, _body: ReadableStream<number>) =>
      new Promise<void>(() => begun.resolve()),
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  for (const method of ["save", "disregard"] as const) {
    begun = event();
    const controller = new AbortController();
    const stopped = event<unknown>();
    const values = new ReadableStream<number>({
      start: (controller) => controller.enqueue(1),
      cancel: stopped.resolve,
    });
    const call = client.call(method, ["a", values], controller);
    call.catch(() => {});
    await within(begun.promise, "the handler");
    controller.abort(REASON);
    assertEquals(await assertRejects(() => call), REASON);
    assertEquals(await within(stopped.promise, "the producer"), REASON);
    assertEquals(client.callbackCount, 0);
  }
  assertEquals(await within(handled.promise, "the reader"), "cancelled");
});

test("CallOptions.timeout: a call that is given up ends the calls of its callbacks", async (t) => {
  const stopped = event();
  const handled = event<string>();
  let received = false;
  const service = {
    sum: async (fn: Callback<() => AsyncIterable<number>>) => {
      let sum = 0;
      try {
        for await (const n of fn()) {
          received = true;
          sum += n;
        }
      } catch (error) {
        if (sum > 0) handled.resolve((error as RpcError).code);
      }
      return sum;
    },
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  // On a busy machine, a short time may pass before the callback is called.
  for (let timeout = 50; !received; timeout *= 2) {
    const api = client.remote<typeof service>({ timeout });
    const error = await assertRejects(
      () =>
        api.sum(() =>
          new ReadableStream<number>({
            start: (controller) => controller.enqueue(1),
            cancel: () => stopped.resolve(),
          })
        ),
      RpcError,
    );
    assertEquals(error.code, "timeout");
  }
  await within(stopped.promise, "the callback's stream");
  assertEquals(await within(handled.promise, "the handler"), "incomplete");
});

test("CallOptions.signal: a retained callback outlives the call", async (t) => {
  const controller = new AbortController();
  let kept: Callback<(n: number) => number> | undefined;
  const service = {
    async *keep(fn: Callback<(n: number) => number>) {
      kept = fn.retain();
      yield* [1, 2];
      await new Promise(() => {});
    },
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const values = client.remote<typeof service>(controller)
    .keep((n) => 2 * n)[Symbol.asyncIterator]();
  await values.next();
  controller.abort(REASON);
  await assertRejects(() => values.next());
  assertEquals(await kept!(21), 42);
  kept!.release();
  await turn();
});

test("CallOptions.timeout: it ends with the first answer, and the signal does not", async (t) => {
  const clock = t.time();
  const controller = new AbortController();
  const { service, stopped } = endless();
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const options = { timeout: 5_000, signal: controller.signal };
  const ticks = client.remote<Endless>(options).ticks(2)
    [Symbol.asyncIterator]();
  assertEquals((await ticks.next()).value, 1);
  clock.tick(10_000);
  assertEquals((await ticks.next()).value, 2);
  const next = ticks.next();
  controller.abort(REASON);
  assertEquals(await assertRejects(() => next), REASON);
  await stopped;
});

test("CallOptions.timeout: it covers a stream that does not begin", async (t) => {
  const clock = t.time();
  const [client] = t.pair({}, { handler: () => new Promise(() => {}) });
  const loop = client.remote<Endless>({ timeout: 5_000 }).ticks(1)
    [Symbol.asyncIterator]();
  const next = loop.next();
  clock.tick(5_000);
  const error = await assertRejects(() => next, RpcError);
  assertEquals(error.code, "timeout");
});

Deno.test("CallOptions.signal: calls with one signal share one listener", async () => {
  const controller = new CountingController();
  const { signal } = controller;
  const [client] = memoryPair({}, {
    handler: handlerFrom({ never: () => new Promise<void>(() => {}) }),
  });
  await using _ = client;
  const calls = Array.from(
    { length: 100 },
    () => client.call("never", [], { signal }).catch((error) => error),
  );
  assertEquals(controller.listeners, 1);
  controller.abort("enough");
  assertEquals(new Set(await Promise.all(calls)), new Set(["enough"]));
  assertEquals(controller.listeners, 0);
});

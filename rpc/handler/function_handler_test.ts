/**
 * Functions that get the values that their callers stream.
 *
 * @module
 */
import {
  callback,
  handlerFrom,
  memoryPair,
  type Peer,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { test } from "../../tests/support/harness.ts";
import { turn, within } from "../../tests/support/within.ts";
import type { RemoteError, RpcError } from "../errors.ts";
import type { Handler } from "../types.ts";

const EXTENDED = { Selector: "x", Q: { v: 1 } };

/** A function that records its values and how they ended. */
function listener() {
  const seen: unknown[] = [];
  const ended = Promise.withResolvers<unknown>();
  return {
    seen,
    ended: ended.promise,
    handler: handlerFrom(withStream(async (values: AsyncIterable<unknown>) => {
      try {
        for await (const value of values) seen.push(value);
        ended.resolve("end");
      } catch (error) {
        ended.resolve(error);
        throw error;
      }
    })),
  };
}

/** A client that knows that its peer is extended. */
async function extendedClient(handler: Handler): Promise<Peer> {
  const [client, server] = memoryPair({}, { handler });
  server.handle("hello", (_call, respond) => respond.return());
  await client.call("hello");
  return client;
}

async function* three() {
  yield* [1, 2, 3];
}

async function* failing() {
  yield 1;
  throw new Error("at two");
}

Deno.test("withStream(): the function gets the values that the caller streams", async () => {
  const sum = withStream(async (values: AsyncIterable<number>, call) => {
    let sum = 0;
    for await (const value of values) sum += value;
    return `${sum} at ${call.selector}`;
  });
  const [client] = memoryPair({}, { handler: handlerFrom({ sum }) });
  await using _ = client;
  assertEquals(await client.call("sum", three()), "6 at /sum");
  assertEquals(
    await client.call("sum", ReadableStream.from(three())),
    "6 at /sum",
  );
  assertEquals(
    await client.call("sum", (async function* () {})()),
    "0 at /sum",
  );
});

Deno.test("withStream(): the function can stream replies while it reads", async () => {
  const doubled = withStream(async function* (values: AsyncIterable<number>) {
    for await (const value of values) yield 2 * value;
  });
  const [client] = memoryPair({}, { handler: handlerFrom({ doubled }) });
  await using _ = client;
  let answered = Promise.withResolvers<void>();
  async function* numbers() {
    for (let n = 1; n <= 3; n++) {
      yield n;
      // The response arrives before there is another value.
      await within(answered.promise, "the answer");
      answered = Promise.withResolvers();
    }
  }
  const received: unknown[] = [];
  for await (const value of await client.request("doubled", numbers())) {
    received.push(value);
    answered.resolve();
  }
  assertEquals(received, [2, 4, 6]);
});

Deno.test("withStream(): leaving the loop over the values does not end the call", async () => {
  let made = 0;
  const released = Promise.withResolvers<void>();
  async function* endless() {
    try {
      for (;; made++) yield made;
    } finally {
      released.resolve();
    }
  }
  const first = withStream(async (values: AsyncIterable<number>) => {
    for await (const value of values) {
      if (value === 2) break;
    }
    await turn();
    return "enough";
  });
  const [client] = memoryPair({}, { handler: handlerFrom(first) });
  await using _ = client;
  assertEquals(await client.call("", endless()), "enough");
  await within(released.promise, "the producer to end");
});

Deno.test("withStream(): the response ends a producer that waits", async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const waiting = new ReadableStream({ cancel: cancelled.resolve });
  const now = withStream((_values: AsyncIterable<number>) => "now");
  const [client] = memoryPair({}, { handler: handlerFrom(now) });
  await using _ = client;
  assertEquals(await client.call("", waiting), "now");
  await within(cancelled.promise, "the producer to end");
});

Deno.test("withStream(): the end of a continued call ends a producer that waits", async () => {
  const handler = handlerFrom(withStream(async function* (_values) {
    yield "only";
  }));
  const [client] = memoryPair({}, { handler });
  await using _ = client;
  for (
    const end of [
      (response: AsyncIterable<unknown>) => Array.fromAsync(response),
      async (response: AsyncDisposable) =>
        await response[Symbol.asyncDispose](),
    ]
  ) {
    const cancelled = Promise.withResolvers<unknown>();
    const waiting = new ReadableStream({ cancel: cancelled.resolve });
    await end(await client.request("", waiting));
    assertEquals(
      await within(cancelled.promise, "the producer to end"),
      undefined,
    );
  }
});

Deno.test("streamed arguments: CLOSE by the responder ends the producer, even if the response is not used", async () => {
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      const channel = await respond.continue();
      await channel.close();
    },
  });
  await using _ = client;
  const cancelled = Promise.withResolvers<unknown>();
  const waiting = new ReadableStream({ cancel: cancelled.resolve });
  const response = await client.request("", waiting);
  assertEquals(response.continued, true);
  assertEquals(
    await within(cancelled.promise, "the producer to end"),
    undefined,
  );
});

Deno.test("streamed arguments: a producer that fails before the response rejects the call with its error, and the handler's loop with cancelled", async () => {
  const it = listener();
  await using client = await extendedClient(it.handler);
  await assertRejects(() => client.call("", failing()), Error, "at two");
  const error = await within(it.ended, "the values to end");
  assertEquals((error as RpcError).code, "cancelled");
  assertEquals(it.seen, [1]);
});

Deno.test("streamed arguments: the handler gets the error text of a producer that fails after a continued response", async () => {
  const ended = Promise.withResolvers<unknown>();
  const handler = handlerFrom(withStream(async function* (values) {
    yield "begun";
    try {
      for await (const value of values) yield value;
    } catch (error) {
      ended.resolve(error);
    }
  }));
  await using client = await extendedClient(handler);
  const begun = Promise.withResolvers<void>();
  const echoed = Promise.withResolvers<void>();
  async function* later() {
    await begun.promise;
    yield 1;
    // A CLOSE that arrives with the value would end the handler first.
    await echoed.promise;
    throw new Error("at two");
  }
  const response = await client.request("", later());
  assertEquals(await response.receive(), "begun");
  begun.resolve();
  assertEquals(await response.receive(), 1);
  echoed.resolve();
  const error = await within(ended.promise, "the values to end");
  assertEquals((error as RemoteError).text, "at two");
});

Deno.test("streamed arguments: values of a producer that fails before the peer is known do not look complete", async () => {
  const it = listener();
  const [client] = memoryPair({}, { handler: it.handler });
  await using _ = client;
  await assertRejects(() => client.call("", failing()), Error, "at two");
  const error = await within(it.ended, "the values to end");
  assertEquals((error as RpcError).code, "cancelled");
});

Deno.test("withStream(): cancelling the call is an error and not the end of the values", async () => {
  const it = listener();
  const [client] = memoryPair({}, { handler: it.handler });
  await using _ = client;
  const giveUp = new AbortController();
  async function* values() {
    yield 1;
    await turn();
    giveUp.abort(new Error("enough"));
    await new Promise(() => {});
  }
  const answer = client.call("", values(), { signal: giveUp.signal });
  await assertRejects(() => answer, Error, "enough");
  const error = await within(it.ended, "the values to end");
  assertEquals((error as RpcError).code, "cancelled");
  assertEquals(it.seen, [1]);
});

Deno.test("withStream(): EOF and CLOSE end the values of a caller that is not extended", async () => {
  for (const end of ["eof", "close"] as const) {
    const it = listener();
    const { peer, raw } = scriptedPeer({ handler: it.handler });
    await using _ = peer;
    const channel = await rawCall(raw, "x", 1, 2);
    await channel[end]();
    assertEquals(await within(it.ended, "the values to end"), "end");
    assertEquals(it.seen, [1, 2]);
  }
});

Deno.test("withStream(): only EOF ends the values of an extended caller", async () => {
  for (const end of ["eof", "close"] as const) {
    const it = listener();
    const { peer, raw } = scriptedPeer({ handler: it.handler });
    await using _ = peer;
    const channel = await rawOpen(raw);
    await channel.values(EXTENDED, 1, 2);
    await channel[end]();
    const how = await within(it.ended, "the values to end");
    assertEquals(how === "end", end === "eof");
    assertEquals(it.seen, [1, 2]);
  }
});

Deno.test("Call.receive: cancelling the call is an error and not the end, before the response", async () => {
  const ended = Promise.withResolvers<unknown>();
  const { peer, raw } = scriptedPeer({
    handler: async (call) => {
      try {
        ended.resolve(await Array.fromAsync(call));
      } catch (error) {
        ended.resolve(error);
      }
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.values(EXTENDED, 1);
  await channel.close();
  const error = await within(ended.promise, "the values to end");
  assertEquals((error as RpcError).code, "cancelled");
});

Deno.test("Call.receive: CLOSE is the end after a continued response", async () => {
  const ended = Promise.withResolvers<unknown>();
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      await call.receive();
      await respond.continue();
      ended.resolve(await Array.fromAsync(call));
    },
  });
  await using _ = client;
  const response = await client.request("");
  await response.send("one");
  await response.send("two");
  await response.close();
  assertEquals(await within(ended.promise, "the end"), ["one", "two"]);
});

Deno.test("withStream(): its result cannot be called directly", () => {
  const fn = withStream((values: AsyncIterable<number>) => values);
  assertThrows(() => fn(three()), TypeError, "withStream() made it");
});

test("handlerFrom(): more than 32,768 arguments are refused", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom((...args: unknown[]) => args.length),
  });
  const args = Array.from({ length: 32_768 }, () => 0);
  assertEquals(await client.call("x", args), 32_768);
  await assertRejects(
    () => client.call("x", [...args, 0]),
    Error,
    'remote: Cannot call "/x": expected at most 32768 arguments, got 32769',
  );
});

Deno.test("withCall(), withStream(), callback(): what is no function is a TypeError that says so", () => {
  const makers: Record<string, (fn: never) => unknown> = {
    withCall,
    withStream,
    callback,
  };
  for (const [name, make] of Object.entries(makers)) {
    for (const [given, kind] of [[{}, "an object"], [5, "a number"]] as const) {
      assertThrows(
        () => make(given as never),
        TypeError,
        `Cannot use argument of ${name}(): ${kind} is not a function`,
      );
    }
  }
});

/**
 * Handlers that go wrong: their caller hears of it, and the session goes on.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type Handler, handlerFrom, RemoteError, RpcError } from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { within } from "../support/within.ts";

const service: Handler = handlerFrom({ echo: (value: unknown) => value });

/** Handlers that go wrong: what their caller gets. */
const HANDLERS: Record<string, { handler: Handler; text: string }> = {
  "throws a string": {
    handler: () => {
      throw "words";
    },
    text: "words",
  },
  "throws null": {
    handler: () => {
      throw null;
    },
    text: "null",
  },
  "throws undefined": {
    handler: () => {
      throw undefined;
    },
    text: "undefined",
  },
  "throws a symbol": {
    handler: () => {
      throw Symbol("odd");
    },
    text: "Symbol(odd)",
  },
  "throws what has no text": {
    handler: () => {
      throw Object.create(null);
    },
    text: "error without a text",
  },
  "rejects with what has no text": {
    handler: () => Promise.reject(Object.create(null)),
    text: "error without a text",
  },
  "throws an Error whose message is no text": {
    handler: () => {
      throw Object.assign(new Error(), { message: 5n });
    },
    text: "5",
  },
  "rejects with an Error whose message throws": {
    handler: () =>
      Promise.reject(Object.defineProperty(new Error(), "message", {
        get() {
          throw new Error("no");
        },
      })),
    text: "error without a text",
  },
  "throws half a character": {
    handler: () => {
      throw new Error("\ud83d");
    },
    // JSON carries it as an escape.
    text: "\ud83d",
  },
  "returns a symbol": {
    handler: handlerFrom(() => Symbol("s")),
    text: "Cannot encode value as JSON: a symbol is not supported",
  },
  "returns itself in itself": {
    handler: handlerFrom(() => {
      const list: unknown[] = [];
      list.push(list);
      return list;
    }),
    text:
      "Cannot encode value as JSON: it is nested too deeply, or contains itself",
  },
  "answers with what throws when encoded": {
    handler: (_call, respond) =>
      respond.return({
        toJSON() {
          throw new Error("not me");
        },
      }),
    text: "not me",
  },
};

for (const [what, { handler, text }] of Object.entries(HANDLERS)) {
  test(`handler errors: a handler that ${what} is an error response`, async (t) => {
    const reported: unknown[] = [];
    const [client, server] = t.pair({}, {
      handler: service,
      onError: (error, { peer, selector }) =>
        reported.push(error, peer === server, selector),
    });
    server.handle("bad", handler);
    const error = await within(
      client.call("bad").catch((error) => error),
      "the answer",
    );
    assertInstanceOf(error, RemoteError);
    assertEquals(error.text, text);
    assertEquals(reported.slice(1), [true, "/bad"]);
    assertEquals(await client.call("echo", [1]), 1);
  });
}

test("maxConcurrentCalls: a call that its caller has given up does not count, even if its handler runs on", async (t) => {
  const [client, server] = t.pair({}, {
    handler: service,
    maxConcurrentCalls: 4,
    maxQueuedCalls: 0,
  });
  const clock = t.time();
  const handlers: (() => void)[] = [];
  const allRun = Promise.withResolvers<void>();
  server.handle("hang", () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (handlers.push(resolve) === 4) allRun.resolve();
    return promise;
  });
  t.defer(() => handlers.forEach((finish) => finish()));
  const calls = Array.from(
    { length: 4 },
    () => client.call("hang", null, { timeout: 5_000 }).catch((error) => error),
  );
  await allRun.promise;
  const busy = await client.call("echo", [1]).catch((error) => error);
  assertInstanceOf(busy, RemoteError);
  assert(busy.text.startsWith("busy: "), busy.text);
  clock.tick(5_000);
  for (const error of await Promise.all(calls)) {
    assertInstanceOf(error, RpcError);
    assertEquals(error.code, "timeout");
  }
  assertEquals(await client.call("echo", [1]), 1);
  assertEquals(handlers.length, 4);
});

test("call.receive(): resolves with the end when the handler has returned", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  server.handle("hasty", async (call, respond) => {
    const first = await call.receive();
    const second = call.receive();
    void respond.return(first);
    // The reference sends no end after its arguments: nothing more will come.
    assertEquals(await second, undefined);
  });
  assertEquals(await client.call("hasty", "a"), "a");
  // The handler has come to its end, or this would be told `busy`.
  assertEquals(await within(client.call("hasty", "b"), "the next call"), "b");
});

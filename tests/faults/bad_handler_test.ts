/**
 * Handlers that go wrong: their caller hears of it, and the session goes on.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  type Handler,
  handlerFrom,
  memoryPair,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
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
  Deno.test(`a handler that ${what} is an error response`, async () => {
    const errors: unknown[] = [];
    const [client, server] = memoryPair(
      {},
      { handler: service, onError: (error) => errors.push(error) },
    );
    server.handle("bad", handler);
    const error = await within(
      client.call("bad").catch((error) => error),
      "the answer",
    );
    assertInstanceOf(error, RemoteError);
    assertEquals(error.text, text);
    assertEquals(await client.call("echo", [1]), 1);
    await client.close();
    await server.closed;
    assertEquals(errors, []);
    assertEquals(server.session.usage, { channels: 0, slots: 0 });
  });
}

Deno.test("a handler that never answers holds no place once its callers have given up and it is done", async () => {
  const [client, server] = memoryPair({}, {
    handler: service,
    maxConcurrentCalls: 4,
  });
  const handlers: (() => void)[] = [];
  server.handle("hang", () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    handlers.push(resolve);
    return promise;
  });
  const calls = Array.from(
    { length: 4 },
    () => client.call("hang", null, { timeout: 5 }),
  );
  for (const call of calls) {
    const error = await call.catch((error) => error);
    assertInstanceOf(error, RpcError);
    assertEquals(error.code, "timeout");
  }
  // A handler that runs counts, whether or not somebody waits for it.
  const busy = await client.call("echo", [1]).catch((error) => error);
  assertInstanceOf(busy, RemoteError);
  assert(busy.text.startsWith("busy: "), busy.text);
  for (const finish of handlers) finish();
  assertEquals(await client.call("echo", [1]), 1);
  await client.close();
  await server.closed;
  assertEquals(server.session.usage.slots, 0);
});

Deno.test("a value that a handler waits for when it returns is the end, and leaves nothing running", async () => {
  const [client, server] = memoryPair({}, { maxConcurrentCalls: 1 });
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
  await client.close();
  await server.closed;
});

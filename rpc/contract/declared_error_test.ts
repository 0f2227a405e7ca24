import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CallError, RemoteError } from "../mod.ts";
import { test } from "../../tests/support/harness.ts";
import { z } from "../../tests/support/schema_libraries.ts";
import {
  clientOf,
  contract,
  implement,
  makeError,
  matchError,
  method,
  streamOf,
  ValidationError,
} from "./mod.ts";

const api = contract({
  name: "shop",
  methods: {
    order: method({
      args: [z.string()],
      errors: {
        "out-of-stock": z.object({ left: z.int() }),
        closed: z.undefined(),
      },
    }),
    watch: method({
      result: streamOf(z.number()),
      errors: { gone: z.object({ at: z.number() }) },
    }),
  },
});
const { order, watch } = api.methods;

/** A subclass, whose name the caller sees. */
class ShopError extends CallError {}

const ERRORS: Record<string, () => unknown> = {
  stock: () =>
    makeError(order, "Not enough", {
      code: "out-of-stock",
      details: { left: 2 },
    }),
  closed: () =>
    makeError(order, "Closed", { code: "closed", details: undefined }),
  extra: () =>
    new ShopError("Not enough", {
      code: "out-of-stock",
      details: { left: 2, password: "secret" },
    }),
  wrong: () =>
    new CallError("Not enough", {
      code: "out-of-stock",
      details: { left: "two" },
    }),
  undeclared: () => new CallError("Other", { code: "other", details: [1] }),
  bug: () => Object.assign(new Error("A bug"), { code: "out-of-stock" }),
};

const throwing = implement(api, {
  order(name) {
    throw ERRORS[name]!();
  },
  async *watch() {
    yield 1;
    await Promise.resolve();
    throw new CallError("Gone", { code: "gone", details: { at: 7, by: "me" } });
  },
});

/** The same errors, thrown in the other ways of functions. */
const rejecting = implement(api, {
  order: async (name) => {
    await Promise.resolve();
    throw ERRORS[name]!();
  },
  watch: () => {
    throw makeError(watch, "Gone", { code: "gone", details: { at: 1 } });
  },
});

for (const [how, handler] of Object.entries({ throwing, rejecting })) {
  test(`matchError(): finds the declared errors of functions by ${how}, with their details`, async (t) => {
    const [client] = t.pair({}, { handler, onError: () => {} });
    for (const validate of [false, true]) {
      const shop = clientOf(api, client, { validate });
      const match = async (name: string) =>
        await matchError(
          order,
          await assertRejects(async () => await shop.order(name), RemoteError),
        );
      assertEquals(await match("stock"), {
        code: "out-of-stock",
        text: "Not enough",
        details: { left: 2 },
      });
      assertEquals(await match("closed"), {
        code: "closed",
        text: "Closed",
        details: undefined,
      });
      assertEquals((await match("extra"))?.details, { left: 2 });
      assertEquals(await match("undeclared"), undefined);
      assertEquals(await match("bug"), undefined);
      assertEquals(await match("wrong"), undefined);
    }
  });
}

test("implement(): details of declared errors are sent as their schema makes them", async (t) => {
  const [client] = t.pair({}, { handler: throwing });
  const error = await assertRejects(
    () => client.call("order", ["extra"]),
    RemoteError,
  );
  assertEquals(error.details, { left: 2 });
  assertEquals([error.remoteName, error.text], ["ShopError", "Not enough"]);
});

test("implement(): wrong details of a declared error are a bug", async (t) => {
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    handler: throwing,
    onError: (error) => errors.push(error),
  });
  const error = await assertRejects(
    () => client.call("order", ["wrong"]),
    RemoteError,
    'Cannot answer "/order": details.left is invalid',
  );
  assertEquals([error.code, error.details], ["invalid-result", undefined]);
  assertEquals(errors.map((error) => error instanceof ValidationError), [true]);
});

test("implement(): an error later in a stream has its details checked, too", async (t) => {
  const [client, server] = t.pair({}, { handler: throwing });
  server.handle("at-once", rejecting);
  const seen: number[] = [];
  const error = await assertRejects(async () => {
    for await (const n of clientOf(api, client).watch()) seen.push(n);
  }, RemoteError);
  assertEquals(seen, [1]);
  assertEquals(error.details, { at: 7 });
  assertEquals((await matchError(watch, error))?.details.at, 7);
  const atOnce = await assertRejects(
    () => client.request("at-once.watch", []),
    RemoteError,
  );
  assertEquals(atOnce.details, { at: 1 });
});

test("implement(): an error that is returned is the answer, as one that is thrown", async (t) => {
  const handler = implement(api, {
    order: (name) => ERRORS[name]!() as CallError,
    watch: () => Promise.resolve(new CallError("Gone", { code: "lost" })),
  });
  const [client] = t.pair({}, { handler });
  const error = await assertRejects(
    () => client.call("order", ["extra"]),
    RemoteError,
  );
  assertEquals(error.details, { left: 2 });
  const lost = await assertRejects(() => client.call("watch"), RemoteError);
  assertEquals(lost.code, "lost");
});

Deno.test("makeError(): refuses a code that the method does not declare", () => {
  assertThrows(
    () =>
      makeError(order, "x", {
        code: "toString" as "closed",
        details: undefined,
      }),
    TypeError,
    'Cannot make error: the method does not declare the code "toString"',
  );
});

Deno.test("matchError(): other values are no declared errors", async () => {
  const others = [
    undefined,
    new Error("x"),
    { code: "closed" },
    new RemoteError("x"),
    new RemoteError("x", "toString"),
    new RemoteError("x", "out-of-stock", { details: { left: "two" } }),
  ];
  for (const other of others) {
    assertEquals(await matchError(order, other), undefined);
  }
});

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { handlerFrom, RpcError, withStream } from "../mod.ts";
import { cbor } from "../../codec/cbor/cbor.ts";
import { test } from "../../tests/support/harness.ts";
import { type, v, z } from "../../tests/support/schema_libraries.ts";
import {
  bytes,
  clientOf,
  contract,
  implement,
  method,
  type StandardSchema,
  streamOf,
  ValidationError,
} from "./mod.ts";

const api = contract({
  name: "x",
  methods: {
    add: method({
      args: [z.number(), z.number().default(10)],
      result: z.number(),
    }),
    nested: { up: method({ args: [v.string()], result: v.string() }) },
    sum: method({ args: [streamOf(type("number"))], result: type("number") }),
    count: method({ args: [z.number()], result: streamOf(z.number()) }),
    pipe: method({ result: bytes() }),
    nothing: method(),
  },
});

/** What a server does that knows nothing of the contract. */
const plain = handlerFrom({
  add: (a: number, b = 1) => a + b,
  nested: { up: (text: string) => text.toUpperCase() },
  sum: withStream(async (values: AsyncIterable<number>) => {
    let sum = 0;
    for await (const n of values) sum += n;
    return sum;
  }),
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n === 3 ? "three" : n;
  },
  nothing: () => "something",
});

test("clientOf(): is an object with the methods of the contract and no others", async (t) => {
  const [client] = t.pair({}, { handler: plain });
  for (const validate of [false, true]) {
    const service = clientOf(api, client, { validate });
    assertEquals(Object.keys(service), Object.keys(api.methods));
    assertEquals(Object.keys(service.nested), ["up"]);
    assert(Object.isFrozen(service));
    // It can be returned from async functions, as it has no then().
    const { add, nested } = await Promise.resolve(service);
    assertEquals([await add(1, 2), await nested.up("a")], [3, "A"]);
  }
});

test("clientOf(): with validate, arguments are sent as they are, so that defaults apply at the peer", async (t) => {
  const [client] = t.pair({}, { handler: plain });
  const { add } = clientOf(api, client, { validate: true });
  assertEquals(await add(1), 2);
});

test("clientOf(): with validate, calls leave in the order in which they are made", async (t) => {
  const order: unknown[] = [];
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      order.push(...await call.receive() as unknown[]);
      await respond.return(0);
    },
  });
  const { add } = clientOf(api, client, { validate: true });
  await Promise.all([
    add(1, 2),
    client.call("other", [3]),
    add(4, 5),
  ]);
  assertEquals(order, [1, 2, 3, 4, 5]);
});

test("clientOf(): with validate, nothing is sent if an argument is invalid", async (t) => {
  let calls = 0;
  const [client] = t.pair({}, {
    handler: (_call, respond) => {
      calls++;
      return respond.return(1);
    },
  });
  const service = clientOf(api, client, { validate: true });
  const wrong: (() => Promise<unknown>)[] = [
    async () => await service.add("1" as unknown as number),
    async () => await service.add(1, 2, ...[3] as unknown as []),
    async () => await (service.add as () => Promise<number>)(),
    async () => await service.nested.up(1 as unknown as string),
    async () => await service.sum(5 as unknown as AsyncIterable<number>),
    async () => await Array.fromAsync(service.count("1" as unknown as number)),
  ];
  for (const call of wrong) {
    const error = await assertRejects(call, ValidationError);
    assertEquals(error.code, "invalid-argument");
  }
  assertEquals(calls, 0);
});

test("clientOf(): with validate, an invalid value ends a streamed argument, and its producer", async (t) => {
  const [client] = t.pair({}, { handler: plain, onError: () => {} });
  const { sum } = clientOf(api, client, { validate: true });
  let ended = false;
  const error = await assertRejects(
    async () =>
      await sum((async function* () {
        try {
          yield 1;
          yield "2" as unknown as number;
          yield 3;
        } finally {
          ended = true;
        }
      })()),
    ValidationError,
    'Cannot call "sum": args[0][1] is invalid',
  );
  assertEquals([error.code, ended], ["invalid-argument", true]);
});

test("clientOf(): with validate, a stream beside an invalid argument stays untouched", async (t) => {
  const files = contract({
    name: "files",
    methods: { save: method({ args: [z.string(), streamOf(z.string())] }) },
  });
  const [client] = t.pair({}, { handler: plain });
  const { save } = clientOf(files, client, { validate: true });
  const body = ReadableStream.from(["a"]);
  await assertRejects(
    async () => await save(5 as unknown as string, body),
    ValidationError,
  );
  assertEquals(await Array.fromAsync(body), ["a"]);
});

test("clientOf(): with validate, an invalid value ends the loop over a result", async (t) => {
  const [client] = t.pair({}, { handler: plain });
  const { count } = clientOf(api, client, { validate: true });
  const seen: number[] = [];
  const error = await assertRejects(async () => {
    for await (const n of count(10)) seen.push(n);
  }, ValidationError);
  assertEquals(error.code, "invalid-result");
  assertEquals(error.issues.map(({ path }) => path), [[2]]);
  assertEquals(seen, [1, 2]);
  // As a whole, it is received value by value.
  await using response = await count(10);
  assertEquals([await response.receive(), await response.receive()], [1, 2]);
  await assertRejects(() => response.receive(), ValidationError);
});

test("clientOf(): with validate, a stream in place of a value is refused and closed", async (t) => {
  const ended = Promise.withResolvers<void>();
  const [client] = t.pair({}, {
    handler: handlerFrom({
      async *add() {
        try {
          for (let n = 0;; n++) yield n;
        } finally {
          ended.resolve();
        }
      },
      count: () => 7,
    }),
  });
  const { add, count } = clientOf(api, client, { validate: true });
  await assertRejects(
    async () => await add(1, 2),
    ValidationError,
    'Cannot receive response to "add": result is invalid: Expected a value, got a stream',
  );
  await ended.promise;
  await assertRejects(() => Array.fromAsync(count(1)), RpcError);
});

test("clientOf(): with validate, what a method without a result answers is dropped", async (t) => {
  const [client] = t.pair({}, { handler: plain });
  const { nothing } = clientOf(api, client, { validate: true });
  assertEquals(await nothing() as unknown, null);
});

test("clientOf(): signal and timeout apply to every call", async (t) => {
  const [client] = t.pair({}, { handler: () => new Promise(() => {}) });
  for (const validate of [false, true]) {
    const controller = new AbortController();
    const { add } = clientOf(api, client, {
      validate,
      signal: controller.signal,
    });
    const call = add(1, 2);
    controller.abort(new Error("Enough"));
    await assertRejects(async () => await call, Error, "Enough");
    const hasty = clientOf(api, client, { validate, timeout: 1 });
    const error = await assertRejects(
      async () => await hasty.add(1, 2),
      RpcError,
    );
    assertEquals(error.code, "timeout");
    assertThrows(
      () => clientOf(api, client, { validate, timeout: -1 }),
      RangeError,
    );
    assertThrows(
      () => clientOf(api, client, { validate, prefix: 5 as unknown as string }),
      TypeError,
    );
  }
});

test("clientOf(): a schema that throws rejects the call", async (t) => {
  const broken: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => {
        throw new Error("The schema is broken");
      },
    },
  };
  const [client] = t.pair({}, { handler: plain });
  const service = clientOf(
    contract({ name: "x", methods: { add: method({ args: [broken] }) } }),
    client,
    { validate: true },
  );
  await assertRejects(
    async () => await service.add(1),
    Error,
    "The schema is broken",
  );
});

test("clientOf(): with validate, results are what their schemas make of what arrives", async (t) => {
  const dates = contract({
    name: "dates",
    methods: {
      at: method({ args: [z.number()], result: z.coerce.date() }),
      exact: method({ args: [z.date()], result: z.date() }),
    },
  });
  const handler = implement(dates, {
    at: (ms) => new Date(ms),
    exact: (date) => date,
  });
  const [client] = t.pair({}, { handler });
  const { at } = clientOf(dates, client, { validate: true });
  assertEquals(await at(5), new Date(5));
  const [exactClient] = t.pair({ codec: cbor() }, { codec: cbor(), handler });
  const { exact } = clientOf(dates, exactClient, { validate: true });
  assertEquals(await (exact as (d: Date) => unknown)(new Date(5)), new Date(5));
});

test("clientOf(): calls the caller back from a handler", async (t) => {
  const [client, server] = t.pair();
  client.handle(
    "",
    implement(api, {
      add: (a, b) => a + b,
      nested: { up: (text) => text.toUpperCase() },
      sum: () => 0,
      async *count() {},
      pipe: () => new TransformStream(),
      nothing: () => {},
    }),
  );
  server.handle("ask", async (call, respond) => {
    const { add } = clientOf(api, call.caller, { validate: true });
    await respond.return(await add(1, 2));
  });
  assertEquals(await client.call("ask"), 3);
});

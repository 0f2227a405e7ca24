import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CallError,
  catchAll,
  handlerFrom,
  RemoteError,
  Router,
  withCall,
  withStream,
} from "../mod.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import { test } from "../../tests/support/harness.ts";
import { rawCall } from "../../tests/support/raw_call.ts";
import { z } from "../../tests/support/schema_libraries.ts";
import {
  bytes,
  clientOf,
  contract,
  contractOf,
  implement,
  type Implementation,
  method,
  type StandardSchema,
  streamOf,
  ValidationError,
  type ValidationIssue,
} from "./mod.ts";

const chunk = z.instanceof(Uint8Array<ArrayBuffer>);

const math = contract({
  name: "math",
  methods: {
    add: method({ args: [z.number(), z.number()], result: z.number() }),
    of: { pi: method({ result: z.number() }) },
  },
});

Deno.test("implement(): refuses functions that are missing, and those of no method", () => {
  const add = (a: number, b: number) => a + b;
  const pi = () => Math.PI;
  const cases: [functions: unknown, says: string][] = [
    [{ add, of: {} }, '"of.pi" is undefined and not a function'],
    [{ add, of: { pi: 3 } }, '"of.pi" is a number and not a function'],
    [{ add }, '"of" is undefined and not an object'],
    [{ add, of: null }, '"of" is null and not an object'],
    [{ add, of: { pi }, sub: add }, '"sub" is not in it'],
    [{ add, of: { pi, e: pi } }, '"of.e" is not in it'],
    [{ add, of: { pi }, limit: 5 }, '"limit" is not in it'],
    [{ add, of: { pi }, [catchAll]: pi }, '"Symbol(qtalk.catchAll)" is not'],
    [undefined, "what implements it is undefined and not an object"],
    [add, "what implements it is a function and not an object"],
    [
      { add: withStream(() => 1), of: { pi } },
      '"add" was made by withStream(), but its method does not have a stream',
    ],
  ];
  for (const [functions, says] of cases) {
    assertThrows(
      () => implement(math, functions as Implementation<typeof math.methods>),
      TypeError,
      `Cannot implement contract "math": ${says}`,
    );
  }
});

/** A schema of an unusual library, which refuses everything. */
function refusing(issues: readonly unknown[]): StandardSchema {
  const validate = () => ({ issues }) as { issues: [] };
  return { "~standard": { version: 1, vendor: "unusual", validate } };
}

test("implement(): what a schema refuses without saying why, or where, is refused", async (t) => {
  const unusual: [issues: readonly unknown[], issue: ValidationIssue][] = [
    [[], { path: [0], message: "Invalid value" }],
    [[{ message: "no", path: [null] }], {
      path: [0, "(object)"],
      message: "no",
    }],
  ];
  for (const [issues, issue] of unusual) {
    const schema = refusing(issues);
    const api = contract({
      name: "unusual",
      methods: {
        take: method({ args: [schema] }),
        give: method({ result: schema }),
      },
    });
    let taken = 0;
    const handler = implement(api, { take: () => void taken++, give: () => 1 });
    const [client] = t.pair({}, { handler, onError: () => {} });
    const codes: [call: string, code: string][] = [
      ["take", "invalid-argument"],
      ["give", "invalid-result"],
    ];
    for (const [name, code] of codes) {
      const call = () => client.call(name, name === "take" ? [1] : []);
      const error = await assertRejects(call, RemoteError);
      assertEquals(error.code, code);
      if (name === "take") assertEquals(error.details, [issue]);
    }
    assertEquals(taken, 0);
  }
});

test("implement(): its handler can stand wherever one of handlerFrom() can", async (t) => {
  const handler = implement(math, {
    add: (a, b) => a + b,
    of: { pi: () => Math.PI },
  });
  assertEquals(contractOf(handler), math);
  assertEquals(contractOf(handlerFrom({ a: () => 1 })), undefined);
  const router = new Router();
  router.handle("inner", handler);
  const [client, server] = t.pair({}, { handler: router });
  server.handle("math", handler);
  server.handle("plain", handlerFrom({ math: handler as object }));
  assertEquals(await client.call("math.add", [1, 2]), 3);
  assertEquals(await client.call("inner.of.pi"), Math.PI);
  assertEquals(await client.call("plain.math.of.pi"), Math.PI);
  const prefixed = clientOf(math, client, { prefix: "/math/" });
  assertEquals(await prefixed.add(1, 2), 3);
  const deep = clientOf(math, client, { prefix: "plain.math" });
  assertEquals(await deep.of.pi(), Math.PI);
});

test("implement(): an instance of a class implements by its methods, and may have others", async (t) => {
  class Calculator {
    #calls = 0;
    readonly of = { pi: () => 3 };
    add(a: number, b: number) {
      this.count();
      return a + b + this.#calls;
    }
    count() {
      this.#calls += 100;
    }
  }
  const [client] = t.pair({}, { handler: implement(math, new Calculator()) });
  assertEquals(await client.call("add", [1, 2]), 103);
  assertEquals(await client.call("of.pi"), 3);
  const error = await assertRejects(() => client.call("count"), RemoteError);
  assertEquals(error.code, "not-found");
});

test("implement(): the functions that a module exports implement a contract", async (t) => {
  const source =
    "export const add = (a, b) => a + b; export const of = { pi: () => 3 };";
  const module = await import(
    `data:text/javascript,${encodeURIComponent(source)}`
  );
  const [client] = t.pair({}, { handler: implement(math, module) });
  assertEquals(await client.call("add", [1, 2]), 3);
});

test("implement(): functions get the call by withCall() and withStream()", async (t) => {
  const api = contract({
    name: "context",
    methods: {
      who: method({ args: [z.string()], result: z.string() }),
      sum: method({ args: [streamOf(z.number())], result: z.string() }),
      plain: method({ args: [streamOf(z.number())], result: z.number() }),
      first: method({ args: [streamOf(z.number())], result: z.string() }),
    },
  });
  const total = async (values: AsyncIterable<number>) => {
    let sum = 0;
    for await (const n of values) sum += n;
    return sum;
  };
  const handler = implement(api, {
    who: withCall((call, name) => `${name} ${call.selector}`),
    sum: withStream(async (values, call) =>
      `${await total(values)} ${call.selector}`
    ),
    plain: (values) => total(values),
    first: withCall(async (call, values) => {
      for await (const n of values) return `${n} ${call.selector}`;
      return "none";
    }),
  });
  const [client] = t.pair({}, { handler });
  const service = clientOf(api, client);
  assertEquals(await service.who("Ann"), "Ann /who");
  const numbers = () => ReadableStream.from([1, 2, 3]);
  assertEquals(await service.sum(numbers()), "6 /sum");
  assertEquals(await service.plain(numbers()), 6);
  assertEquals(await service.first(numbers()), "1 /first");
  // Other callers send a value in place of a stream of one.
  assertEquals(await client.call("plain", [5]), 5);
  const error = await assertRejects(
    () => client.call("plain", ["5"]),
    RemoteError,
  );
  assertEquals(error.code, "invalid-argument");
});

test("implement(): a stream beside other arguments is validated as it is read", async (t) => {
  const api = contract({
    name: "files",
    methods: {
      upload: method({
        args: [z.string(), streamOf(chunk)],
        result: z.string(),
      }),
      total: method({
        args: [z.number(), streamOf(z.number())],
        result: z.number(),
      }),
    },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      async upload(name, body) {
        let size = 0;
        for await (const bytes of body) size += bytes.length;
        return `${name}: ${size}`;
      },
      async total(start, numbers) {
        for await (const n of numbers) start += n;
        return start;
      },
    }),
  });
  const { upload, total } = clientOf(api, client);
  const body = ReadableStream.from([new Uint8Array(3), new Uint8Array(100_000)])
    .pipeThrough(new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>());
  assertEquals(await upload("a.txt", body), "a.txt: 100003");
  assertEquals(await total(1, ReadableStream.from([2, 3])), 6);
  const wrong = ReadableStream.from([2, "3" as unknown as number]);
  const error = await assertRejects(
    async () => await total(1, wrong),
    RemoteError,
  );
  assertEquals(error.code, "invalid-argument");
  assertEquals(error.details, [{
    path: [1, 1],
    message: "Invalid input: expected number, received string",
  }]);
  const none = await assertRejects(
    () => client.call("total", [1, 2]),
    RemoteError,
  );
  assertEquals(none.details, [{ path: [1], message: "Expected a stream" }]);
});

test("implement(): bytes pass as they are", async (t) => {
  const api = contract({
    name: "bytes",
    methods: {
      echo: method({ result: bytes() }),
      chunks: method({ args: [z.int()], result: streamOf(chunk) }),
      wrong: method({ result: bytes() }),
    },
  });
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    onError: (error) => errors.push(error),
    handler: implement(api, {
      echo: () => new TransformStream<Uint8Array, Uint8Array>(),
      chunks: (size) =>
        new ReadableStream<Uint8Array<ArrayBuffer>>({
          start(controller) {
            controller.enqueue(new Uint8Array(size));
            controller.close();
          },
        }),
      wrong: () => ({}) as TransformStream,
    }),
  });
  for (const validate of [false, true]) {
    const service = clientOf(api, client, { validate });
    await using echo = await service.echo();
    const writer = echo.writable.getWriter();
    await writer.write(new TextEncoder().encode("hi"));
    await writer.close();
    assertEquals(await new Response(echo.readable).text(), "hi");
    // A stream of bytes arrives in pieces that a peer accepts.
    let size = 0;
    for await (const piece of service.chunks(200_000)) size += piece.length;
    assertEquals(size, 200_000);
  }
  await assertRejects(
    () => client.call("wrong"),
    RemoteError,
    'Cannot answer "/wrong": expected a pair of byte streams, got an object',
  );
  assertEquals(errors.length, 1);
});

test("implement(): a producer ends when its reader leaves, even while it waits", async (t) => {
  const api = contract({
    name: "endless",
    methods: {
      generator: method({ result: streamOf(z.number()) }),
      waiting: method({ result: streamOf(z.number()) }),
    },
  });
  const ended = [Promise.withResolvers(), Promise.withResolvers()] as const;
  const [client] = t.pair({}, {
    handler: implement(api, {
      async *generator() {
        try {
          for (let n = 0;; n++) yield n;
        } finally {
          ended[0].resolve(undefined);
        }
      },
      waiting: () =>
        new ReadableStream<number>({
          start: (controller) => controller.enqueue(1),
          cancel: (reason) => ended[1].resolve(reason),
        }),
    }),
  });
  for (const validate of [false, true]) {
    const service = clientOf(api, client, { validate });
    for await (const n of service.generator()) if (n === 2) break;
    for await (const n of service.waiting()) if (n === 1) break;
    await ended[0].promise;
    const reason = await ended[1].promise as { code?: string };
    assertEquals(reason?.code, "cancelled");
  }
});

test("implement(): an invalid value of a streamed result ends it with an error, and its producer", async (t) => {
  const api = contract({
    name: "stream",
    methods: { numbers: method({ result: streamOf(z.number()) }) },
  });
  let ended = false;
  const errors: unknown[] = [];
  const functions = {
    async *numbers() {
      try {
        yield 1;
        yield "two" as unknown as number;
        yield 3;
      } finally {
        ended = true;
      }
    },
  };
  const [client, server] = t.pair({}, {
    handler: implement(api, functions),
    onError: (error) => errors.push(error),
  });
  const seen: unknown[] = [];
  const error = await assertRejects(async () => {
    for await (const n of clientOf(api, client).numbers()) seen.push(n);
  }, RemoteError);
  assertEquals(error.code, "invalid-result");
  assertEquals(seen, [1]);
  assert(ended);
  const [bug] = errors;
  assert(bug instanceof ValidationError);
  assertEquals(bug.issues.map(({ path }) => path), [[1]]);
  assertEquals(
    bug.message,
    'Cannot answer "/numbers": result[1] is invalid: Invalid input: expected number, received string',
  );

  server.handle("all", implement(api, functions, { validateResults: false }));
  const all = clientOf(api, client, { prefix: "all" });
  assertEquals(await Array.fromAsync<unknown>(all.numbers()), [1, "two", 3]);
});

test("implement(): an error before the first value of a stream is an error response", async (t) => {
  const api = contract({
    name: "stream",
    methods: { numbers: method({ result: streamOf(z.number()) }) },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      // deno-lint-ignore require-yield
      async *numbers() {
        throw new CallError("No numbers", { code: "none" });
      },
    }),
  });
  // A response whose header has the error: there is nothing to iterate.
  const error = await assertRejects(
    () => client.request("numbers", []),
    RemoteError,
  );
  assertEquals(error.code, "none");
});

test("implement(): undefined is null on the wire, and is undefined again for its schema", async (t) => {
  const api = contract({
    name: "nulls",
    methods: {
      find: method({
        args: [z.string().optional(), z.number()],
        result: z.string().optional(),
      }),
      keep: method({ args: [z.null()], result: z.null() }),
      maybe: method({
        args: [streamOf(z.number().optional())],
        result: streamOf(z.number().optional()),
      }),
      none: method({ args: [z.number()], result: z.void() }),
      nothing: method(),
    },
  });
  const seen: unknown[] = [];
  const [client] = t.pair({}, {
    handler: implement(api, {
      find: (text) => {
        seen.push(text);
        return text;
      },
      keep: (value) => value,
      async *maybe(values) {
        for await (const value of values) {
          seen.push(value);
          yield value;
        }
      },
      none: () => {},
      nothing: () => void seen.push("nothing"),
    }),
  });
  for (const validate of [false, true]) {
    const service = clientOf(api, client, { validate });
    assertEquals(await service.find(undefined, 1), null);
    assertEquals(await service.find("a", 1), "a");
    assertEquals(await service.keep(null), null);
    const stream = async function* () {
      yield* [1, undefined, 2];
    };
    assertEquals(await Array.fromAsync(service.maybe(stream())), [1, null, 2]);
    assertEquals(await service.none(1) as unknown, null);
    assertEquals(await service.nothing() as unknown, null);
  }
  const once = [undefined, "a", 1, undefined, 2, "nothing"];
  assertEquals(seen, [...once, ...once]);
});

test("implement(): a method without a result answers nothing, whatever its function returns", async (t) => {
  const api = contract({ name: "quiet", methods: { log: method() } });
  const secrets: string[] = [];
  const [client] = t.pair({}, {
    handler: implement(api, { log: () => secrets.push("a secret") }),
  });
  assertEquals(await client.call("log"), null);
  assertEquals(secrets.length, 1);
});

test("implement(): results are sent as the schema makes them", async (t) => {
  const api = contract({
    name: "users",
    methods: {
      find: method({ result: z.object({ name: z.string() }) }),
      at: method({ result: z.date().transform((date) => date.getTime()) }),
    },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      find: () => {
        const row = { name: "Ann", password: "secret" };
        return row;
      },
      at: () => new Date(7),
    }),
  });
  const users = clientOf(api, client);
  assertEquals(await users.find(), { name: "Ann" });
  assertEquals(await users.at(), 7);
});

test("implement(): what a codec carries besides JSON's values is validated as such", async (t) => {
  const api = contract({
    name: "data",
    methods: {
      size: method({ args: [chunk], result: z.number() }),
    },
  });
  const [client] = t.pair({ codec: msgpack() }, {
    codec: msgpack(),
    handler: implement(api, { size: (bytes) => bytes.length }),
  });
  assertEquals(await client.call("size", [new Uint8Array(3)]), 3);
});

test("implement(): functions pass as arguments, and can be called", async (t) => {
  const api = contract({
    name: "calls",
    methods: {
      twice: method({
        args: [
          z.custom<(n: number) => Promise<number>>((value) =>
            typeof value === "function"
          ),
        ],
        result: z.number(),
      }),
    },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      twice: async (fn) => await fn(await fn(1)),
    }),
  });
  const increment = (n: number) => Promise.resolve(n + 1);
  assertEquals(await clientOf(api, client).twice(increment), 3);
});

test("implement(): arguments that are not a list, or too many, are refused", async (t) => {
  const api = contract({
    name: "lists",
    methods: {
      join: method({
        args: [z.string()],
        rest: z.string(),
        result: z.string(),
      }),
      one: method({ args: [z.string()] }),
    },
  });
  const calls: unknown[] = [];
  const [client] = t.pair({}, {
    handler: implement(api, {
      join: (first, ...others) => [first, ...others].join(),
      one: (text) => void calls.push(text),
    }),
  });
  const { join } = clientOf(api, client);
  assertEquals(await join("a"), "a");
  assertEquals(await join("a", "b", "c"), "a,b,c");
  const rest = await assertRejects(
    () => client.call("join", ["a", "b", 3]),
    RemoteError,
  );
  assertEquals((rest.details as ValidationIssue[])[0]?.path, [2]);
  const many = await assertRejects(
    () => client.call("one", ["a", "b"]),
    RemoteError,
    'Cannot call "/one": args[1] is invalid: Expected at most 1 argument, got 2',
  );
  assertEquals(many.code, "invalid-argument");
  for (const args of ["a", { 0: "a" }, 7]) {
    const error = await assertRejects(
      () => client.call("one", args),
      RemoteError,
    );
    assertEquals(error.code, "bad-arguments");
  }
  assertEquals(calls, []);
});

test("implement(): issues stay within limits, however many there are", async (t) => {
  const control = "\u0001";
  const worst: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => ({
        issues: Array.from({ length: 100 }, () => ({
          message: control.repeat(1_000),
          path: Array.from({ length: 100 }, () => control.repeat(1_000)),
        })),
      }),
    },
  };
  const api = contract({
    name: "many",
    methods: {
      count: method({ args: [z.array(z.number())], result: z.number() }),
      strict: method({ args: [z.strictObject({})], result: z.number() }),
      worst: method({ args: [worst] }),
    },
  });
  const [client] = t.pair({}, {
    handler: implement(api, {
      count: (list) => list.length,
      strict: () => 1,
      worst: () => {},
    }),
  });
  const count = await assertRejects(
    () => client.call("count", [Array(20_000).fill("x")]),
    RemoteError,
  );
  assertEquals(count.code, "invalid-argument");
  assertEquals((count.details as unknown[]).length, 32);
  const key = "k".repeat(20_000);
  const strict = await assertRejects(
    () => client.call("strict", [{ [key]: 1 }]),
    RemoteError,
  );
  const [issue] = strict.details as ValidationIssue[];
  assertEquals(issue?.message.length, 256);
  assert(strict.message.length < 2_000);
  const error = await assertRejects(
    () => client.call("worst", [1]),
    RemoteError,
  );
  assertEquals(error.code, "invalid-argument");
  assertEquals((error.details as unknown[]).length > 0, true);
});

test("implement(): a schema that throws is a bug, and the function is not called", async (t) => {
  const throwing: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => {
        throw new Error("The schema is broken");
      },
    },
  };
  const api = contract({
    name: "broken",
    methods: { run: method({ args: [throwing] }) },
  });
  const errors: unknown[] = [];
  let called = false;
  const [client] = t.pair({}, {
    handler: implement(api, { run: () => void (called = true) }),
    onError: (error) => errors.push(error),
  });
  await assertRejects(
    () => client.call("run", [1]),
    RemoteError,
    "The schema is broken",
  );
  assertEquals([called, errors.length], [false, 1]);
});

test("implement(): other implementations get the text of the error, and streams as ever", async (t) => {
  const api = contract({
    name: "plain",
    methods: {
      add: method({ args: [z.number(), z.number()], result: z.number() }),
      count: method({ args: [z.number()], result: streamOf(z.number()) }),
    },
  });
  const { raw } = t.scriptedPeer({
    handler: implement(api, {
      add: (a, b) => a + b,
      async *count(to) {
        for (let n = 1; n <= to; n++) yield n;
        await Promise.resolve();
      },
    }),
  });
  const right = await rawCall(raw, "/add", [1, 2]);
  const [, sum] = await right.read(2);
  assertEquals(sum, 3);
  await right.close();
  const wrong = await rawCall(raw, "/add", [1]);
  const [header] = await wrong.read(1) as [{ Error: string }];
  assertEquals(
    header.Error,
    'Cannot call "/add": args[1] is invalid: Invalid input: expected number, received undefined',
  );
  await wrong.close();
  const stream = await rawCall(raw, "/count", [2]);
  const [, ...values] = await stream.read(4);
  assertEquals(values, [null, 1, 2]);
  await stream.close();
});

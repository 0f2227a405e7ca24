import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { callback, RemoteError } from "../mod.ts";
import { test } from "../../tests/support/harness.ts";
import {
  SCHEMA_LIBRARIES,
  type User,
  z,
} from "../../tests/support/schema_libraries.ts";
import {
  clientOf,
  contract,
  type ContractCallback,
  describe,
  implement,
  method,
  objectOf,
  optional,
  streamOf,
  ValidationError,
  type ValidationIssue,
} from "./mod.ts";

const ANN: User = { name: "Ann", age: 30 };
const EXTRA = { ...ANN, admin: true };
const OLD = { ...ANN, age: -1 } as User;

/** Code, text up to the message of the library, and paths of an error. */
function essence(error: unknown): unknown {
  if (!(error instanceof RemoteError || error instanceof ValidationError)) {
    throw error;
  }
  const issues = error instanceof RemoteError
    ? error.details as ValidationIssue[] | undefined
    : error.issues;
  const text = error instanceof RemoteError ? error.text : error.message;
  return [
    error.code,
    text.replace(/ is invalid: .*/s, ""),
    issues?.map(({ path }) => path),
  ];
}

async function essenceOf(call: () => PromiseLike<unknown>): Promise<unknown> {
  return essence(await assertRejects(async () => void await call()));
}

for (const [name, schemas] of Object.entries(SCHEMA_LIBRARIES)) {
  const { number, user, text } = schemas;
  const rename = method({ args: [user, text], result: user });
  const options = objectOf({
    prefix: text,
    users: streamOf(user),
    onUser: optional(method({ args: [user], result: number })),
  });
  const api = contract({
    name,
    methods: {
      apply: method({ args: [user, rename], result: user }),
      each: method({ args: [options], result: number }),
      open: method({
        args: [text],
        result: objectOf({ title: text, ages: streamOf(number), rename }),
      }),
      watch: method({ args: [method({ args: [streamOf(number)] })] }),
      maker: method({ result: method({ result: rename }) }),
      callbacks: method({ args: [streamOf(rename)], result: number }),
      measure: method({
        args: [method({ args: [schemas.length], result: schemas.length })],
        result: number,
      }),
    },
  });
  const seen: unknown[] = [];
  let returned: unknown, passed: unknown, streamed: unknown[];
  const handler = implement(api, {
    apply: async (user, rename) => {
      const renamed = await rename((passed ?? user) as User, "Bea");
      seen.push(renamed);
      return renamed;
    },
    async each({ prefix, users, onUser }) {
      let sum = prefix.length;
      for await (const user of users) {
        seen.push(user);
        sum += await onUser?.(user) ?? 0;
      }
      return sum;
    },
    open: (title) => ({
      title,
      ages: ReadableStream.from(streamed as number[]),
      rename: (user, name) => {
        seen.push(user);
        return (returned ?? { ...user, name }) as User;
      },
    }),
    async watch(fn) {
      await fn(ReadableStream.from(streamed as number[]));
    },
    maker: () => () => (user, name) => ({ ...user, name }),
    async callbacks(fns) {
      let count = 0;
      for await (const fn of fns) {
        await fn(ANN, "Bea");
        count++;
      }
      return count;
    },
    measure: async (fn) => await fn("four"),
  });
  const reset = () => {
    seen.length = 0;
    returned = passed = undefined;
    streamed = [1, 2];
  };

  test(`contract: ${name} validates what a callback returns, and says which callback`, async (t) => {
    reset();
    const [client] = t.pair({}, { handler });
    const plain = clientOf(api, client);
    assertEquals(
      await plain.apply(ANN, (user, name) => ({ ...user, name, admin: true })),
      { ...ANN, name: "Bea" },
    );
    assertEquals(await essenceOf(() => plain.apply(ANN, () => OLD)), [
      "invalid-result",
      'Cannot receive response to callback args[1] of "/apply": result.age',
      [["age"]],
    ]);
    assertEquals(seen, [{ ...ANN, name: "Bea" }]);
    assertEquals(await essenceOf(() => client.call("apply", [ANN, 7])), [
      "invalid-argument",
      'Cannot call "/apply": args[1]',
      [[1]],
    ]);
  });

  test(`contract: ${name} finds arguments of callbacks that are wrong, and does not send them`, async (t) => {
    reset();
    const reported: unknown[] = [];
    const [client] = t.pair({}, {
      handler,
      onError: (error) => reported.push(error),
    });
    passed = OLD;
    let calls = 0;
    const error = await assertRejects(
      () =>
        clientOf(api, client).apply(ANN, (user) => {
          calls++;
          return user;
        }),
      RemoteError,
    );
    assertEquals([error.code, calls], ["invalid-argument", 0]);
    assertEquals(reported.map(essence), [[
      "invalid-argument",
      'Cannot call callback args[1] of "/apply": args[0].age',
      [[0, "age"]],
    ]]);
    passed = EXTRA;
    const got: unknown[] = [];
    await clientOf(api, client).apply(ANN, (user) => {
      got.push(user);
      return user;
    });
    assertEquals(got, [ANN]);
  });

  test(`contract: ${name} validates streams and callbacks in an object, which can be left out`, async (t) => {
    reset();
    const reported: unknown[] = [];
    const [client] = t.pair({ onError: (error) => reported.push(error) }, {
      handler,
    });
    for (const validate of [false, true]) {
      seen.length = 0;
      const { each } = clientOf(api, client, { validate });
      const users = () => ReadableStream.from([EXTRA, ANN]);
      assertEquals(await each({ prefix: "ab", users: users() }), 2);
      assertEquals(seen.splice(0), [ANN, ANN]);
      const onUser = (user: User) => user.age;
      assertEquals(await each({ prefix: "", users: users(), onUser }), 60);
      const bad = () => ReadableStream.from([ANN, OLD]);
      seen.length = 0;
      assertEquals(await essenceOf(() => each({ prefix: "", users: bad() })), [
        "invalid-argument",
        `Cannot call "${validate ? "each" : "/each"}": args[0].users[1].age`,
        [[0, "users", 1, "age"]],
      ]);
      assertEquals(seen.splice(0), [ANN]);
      assertEquals(
        await essenceOf(() => each({ prefix: "" } as never)),
        [
          "invalid-argument",
          `Cannot call "${validate ? "each" : "/each"}": args[0].users`,
          [[0, "users"]],
        ],
      );
      const wrong = () => "30" as unknown as number;
      const error = await assertRejects(
        async () => await each({ prefix: "", users: users(), onUser: wrong }),
        RemoteError,
      );
      assertEquals(error.code, "invalid-result");
    }
    assertEquals(
      reported.map((error) => (error as ValidationError).code),
      ["invalid-argument", "invalid-result"],
    );
  });

  test(`contract: ${name} validates functions and streams of a result`, async (t) => {
    reset();
    const reported: unknown[] = [];
    const [client] = t.pair({}, {
      handler,
      onError: (error) => reported.push(error),
    });
    for (const validate of [false, true]) {
      reset();
      const file = await clientOf(api, client, { validate }).open("x");
      assertEquals(await Array.fromAsync(file.ages), [1, 2]);
      assertEquals(await file.rename(EXTRA, "Bea"), { ...ANN, name: "Bea" });
      assertEquals(seen.splice(0), [ANN]);
      assertEquals(await essenceOf(() => file.rename(OLD, "Bea")), [
        "invalid-argument",
        `Cannot call callback result.rename of "${
          validate ? "open" : "/open"
        }": args[0].age`,
        [[0, "age"]],
      ]);
      assertEquals(seen, []);
      returned = OLD;
      const error = await assertRejects(
        async () => await file.rename(ANN, "Bea"),
        RemoteError,
      );
      assertEquals(error.code, "invalid-result");
      assertEquals(reported.splice(0).map(essence), [[
        "invalid-result",
        'Cannot answer callback result.rename of "/open": result.age',
        [["age"]],
      ]]);
      streamed = [1, "two"];
      const other = await clientOf(api, client, { validate }).open("x");
      await assertRejects(() => Array.fromAsync(other.ages), RemoteError);
      assertEquals(reported.splice(0).map(essence), [[
        "invalid-result",
        'Cannot answer "/open": result.ages[1]',
        [["ages", 1]],
      ]]);
      file.rename.release();
      other.rename.release();
    }
  });

  test(`contract: ${name} validates at the client what callbacks get and return`, async (t) => {
    const reported: unknown[] = [];
    const [client, server] = t.pair({
      onError: (error) => reported.push(error),
    });
    const answers: unknown[] = [];
    server.handle("apply", async (call, respond) => {
      const [, fn] = await call.receive() as [
        unknown,
        (...args: unknown[]) => Promise<unknown>,
      ];
      for (const user of [EXTRA, OLD, ANN]) {
        answers.push(await fn(user, "Bea").catch(essence));
      }
      await respond.return(ANN);
    });
    const checked = clientOf(api, client, { validate: true });
    const got: unknown[] = [];
    await checked.apply(ANN, (user, name) => {
      got.push(user);
      return got.length === 1 ? { ...user, name } : OLD;
    });
    assertEquals(got, [ANN, ANN]);
    assertEquals(answers, [{ ...ANN, name: "Bea" }, [
      "invalid-argument",
      'Cannot call callback args[1] of "apply": args[0].age',
      [[0, "age"]],
    ], [
      "invalid-result",
      'Cannot answer callback args[1] of "apply": result.age',
      undefined,
    ]]);
    assertEquals(reported.map(essence), [[
      "invalid-result",
      'Cannot answer callback args[1] of "apply": result.age',
      [["age"]],
    ]]);
  });

  test(`contract: ${name} validates at the client functions and streams of a result`, async (t) => {
    const [client, server] = t.pair();
    server.handle("open", async (_call, respond) => {
      await respond.return({
        title: "x",
        ages: ReadableStream.from([1, "two"]),
        rename: () => OLD,
      });
    });
    const checked = clientOf(api, client, { validate: true });
    using rename = await checked.open("x").then(async (file) => {
      assertEquals(
        await essenceOf(() => Array.fromAsync(file.ages)),
        [
          "invalid-result",
          'Cannot receive response to "open": result.ages[1]',
          [["ages", 1]],
        ],
      );
      return file.rename;
    });
    assertEquals(await essenceOf(() => rename(ANN, "Bea")), [
      "invalid-result",
      'Cannot receive response to callback result.rename of "open": result.age',
      [["age"]],
    ]);
    assertEquals(await essenceOf(() => rename(OLD, "Bea")), [
      "invalid-argument",
      'Cannot call callback result.rename of "open": args[0].age',
      [[0, "age"]],
    ]);
  });

  test(`contract: ${name} validates streams for callbacks, functions of functions, and functions in streams`, async (t) => {
    reset();
    const reported: unknown[] = [];
    const [client] = t.pair({}, {
      handler,
      onError: (error) => reported.push(error),
    });
    for (const validate of [false, true]) {
      const { watch, maker, callbacks } = clientOf(api, client, { validate });
      const got: number[] = [];
      const read = async (numbers: AsyncIterable<number>) => {
        for await (const n of numbers) got.push(n);
      };
      streamed = [1, 2];
      await watch(read);
      streamed = [3, "four"];
      await assertRejects(async () => await watch(read), RemoteError);
      // The call is given up with its argument, whatever was read of that.
      assertEquals(got.filter((n) => n !== 3), [1, 2]);
      reported.length = 0;

      using make = await maker();
      using rename = await make();
      assertEquals(await rename(ANN, "Bea"), { ...ANN, name: "Bea" });
      const error = await assertRejects(
        async () => await rename(OLD, "Bea"),
      ) as RemoteError | ValidationError;
      assertEquals(error.code, "invalid-argument");

      const good = (user: User, name: string) => ({ ...user, name });
      const functions = async function* () {
        yield good;
        yield good;
      };
      assertEquals(await callbacks(functions()), 2);
    }
  });

  test(`contract: ${name} transforms values of callbacks once, at the side that implements`, async (t) => {
    reset();
    const [client] = t.pair({}, { handler });
    const got: unknown[] = [];
    const { measure } = clientOf(api, client);
    const length = await measure((length) => {
      got.push(length);
      return "x".repeat(length + 1);
    });
    assertEquals([got, length], [[4], 5]);
  });
}

const listener = method({ args: [z.number()] });
const events = contract({
  name: "events",
  methods: {
    on: method({ args: [listener] }),
    off: method({ args: [listener], result: z.boolean() }),
    emit: method({ args: [z.number()] }),
    same: method({ args: [listener], result: listener }),
    echo: method({ args: [z.array(z.number()), z.any()], result: z.any() }),
  },
});

test("contract: a callback that is described is retained, released, and found again", async (t) => {
  const listeners = new Set<ContractCallback<typeof listener>>();
  const handler = implement(events, {
    on: (fn) => {
      if (!listeners.has(fn)) listeners.add(fn.retain());
    },
    off: (fn) => {
      const found = listeners.delete(fn);
      if (found) fn.release();
      return found;
    },
    emit: async (n) => {
      for (const fn of listeners) await fn(n);
    },
    same: (fn) => fn as never,
    echo: (_, fn) => fn,
  });
  const [client] = t.pair({}, { handler });
  for (const validate of [false, true]) {
    const { on, off, emit, same } = clientOf(events, client, { validate });
    const got: number[] = [];
    const fn = (n: number) => void got.push(n);
    await on(fn);
    await on(fn);
    assertEquals(listeners.size, 1);
    await emit(1);
    assertEquals(client.callbackCount, 1);
    assertEquals(await off(fn), true);
    assertEquals(await off(fn), false);
    assertEquals(got, [1]);
    // What comes back is the function itself.
    assertEquals((await same(fn)) as unknown === fn, true);
  }
});

test("contract: a function of callback() is validated, too, and released with it", async (t) => {
  let kept: ContractCallback<typeof listener> | undefined;
  const handler = implement(events, {
    on: (fn) => void (kept = fn.retain()),
    off: () => false,
    emit: () => {},
    same: (fn) => fn as never,
    echo: (_, fn) => fn,
  });
  const [client, server] = t.pair({}, { handler });
  const got: number[] = [];
  const fn = callback((n: number) => void got.push(n));
  await clientOf(events, client, { validate: true }).on(fn);
  await kept!(1);
  assertEquals([got, client.callbackCount], [[1], 1]);
  fn.release();
  assertEquals(client.callbackCount, 0);
  const error = await assertRejects(async () => await kept!(2), RemoteError);
  assertEquals(error.code, "released");
  kept!.release();
  await server.call("x").catch(() => {});
});

test("contract: functions and streams that are not described pass as they are", async (t) => {
  const api = contract({
    name: "any",
    methods: { apply: method({ args: [z.any()], result: z.any() }) },
  });
  const handler = implement(api, {
    apply: async (fn) => await fn({ any: "thing" }),
  });
  const [client] = t.pair({}, { handler });
  for (const validate of [false, true]) {
    const { apply } = clientOf(api, client, { validate });
    assertEquals(await apply((value: unknown) => value), { any: "thing" });
  }
});

test("contract: the failure of a callback that nothing takes goes to onError", async (t) => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const api = contract({
    name: "lazy",
    methods: { start: method({ args: [method({ result: z.number() })] }) },
  });
  const handler = implement(api, {
    start: (fn) => void fn(),
  });
  const [client] = t.pair({}, { handler, onError: resolve });
  await client.call("start", [() => "one"]);
  assertEquals((await promise as Error).message.includes("args[0] of"), true);
});

Deno.test("method(), streamOf(), objectOf(), optional(): refuse what describes nothing", () => {
  const wrong = 7 as never;
  const cases: [make: () => unknown, says: string][] = [
    [() => method({ args: [wrong] }), "args[0] is neither a schema"],
    [() => method({ result: wrong }), "result is neither a schema"],
    [() => streamOf(wrong), "Cannot describe stream"],
    [() => objectOf({ a: z.string(), b: wrong }), '"b" is neither a schema'],
    [() => optional(wrong), "Cannot make optional"],
    [() => optional(z.string() as never), "Cannot make optional"],
  ];
  for (const [make, says] of cases) assertThrows(make, TypeError, says);
});

Deno.test("describe(): says what functions and streams in values are", () => {
  const api = contract({
    name: "files",
    methods: {
      each: method({
        args: [
          objectOf({
            rows: streamOf(z.string()),
            onRow: optional(method({
              args: [z.string().transform((text) => text.length)],
              result: z.boolean(),
              doc: "Says whether to go on.",
            })),
          }),
          optional(method()),
        ],
        result: streamOf(method({ args: [z.number()] })),
      }),
    },
  });
  assertEquals(describe(api).methods, [{
    selector: "each",
    kind: "stream",
    args: [{
      members: {
        rows: { values: { schema: { type: "string" } } },
        onRow: {
          callback: {
            kind: "unary",
            doc: "Says whether to go on.",
            args: [{}],
            result: { schema: { type: "boolean" } },
          },
          optional: true,
        },
      },
    }, { callback: { kind: "unary", args: [] }, optional: true }],
    result: {
      callback: { kind: "unary", args: [{ schema: { type: "number" } }] },
    },
  }]);
});

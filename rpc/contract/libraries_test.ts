import { assertEquals, assertRejects } from "@std/assert";
import { RemoteError } from "../mod.ts";
import { test } from "../../tests/support/harness.ts";
import {
  SCHEMA_LIBRARIES,
  type User,
} from "../../tests/support/schema_libraries.ts";
import {
  clientOf,
  contract,
  implement,
  method,
  streamOf,
  ValidationError,
  type ValidationIssue,
} from "./mod.ts";

const ANN: User = { name: "Ann", age: 30 };
const EXTRA = { ...ANN, admin: true };

/** The paths of the issues that an error carries. */
function paths(error: RemoteError | ValidationError): unknown {
  const issues = error instanceof RemoteError
    ? error.details as ValidationIssue[]
    : error.issues;
  return issues.map(({ path }) => path);
}

for (const [name, schemas] of Object.entries(SCHEMA_LIBRARIES)) {
  const { number, user, users, text } = schemas;
  const api = contract({
    name,
    methods: {
      rename: method({ args: [user, text], result: user }),
      strict: method({ args: [schemas.strictUser], result: schemas.looseUser }),
      loose: method({ args: [schemas.looseUser], result: schemas.looseUser }),
      measure: method({ args: [schemas.length], result: number }),
      five: method({ args: [schemas.five, schemas.maybeText], result: number }),
      count: method({ args: [users], result: number }),
      ages: method({ args: [streamOf(user)], result: streamOf(number) }),
      broken: method({ args: [number], result: user }),
    },
  });
  const seen: unknown[] = [];
  const handler = implement(api, {
    rename: (user, name) => {
      seen.push(user);
      return { ...user, name };
    },
    strict: (user) => user,
    loose: (user) => user,
    measure: (length) => length,
    five: (n, text) => n + (text?.length ?? 0),
    count: (users) => users.length,
    async *ages(users) {
      for await (const user of users) {
        seen.push(user);
        yield user.age;
      }
    },
    broken: (n) => ({ name: "Ann", age: n }),
  });

  test(`contract: ${name} validates arguments before the function is called`, async (t) => {
    seen.length = 0;
    const [client] = t.pair({}, { handler });
    assertEquals(await client.call("rename", [ANN, "Bea"]), {
      name: "Bea",
      age: 30,
    });
    assertEquals(seen, [ANN]);
    const wrong: [args: unknown, path: unknown[]][] = [
      [[{ ...ANN, age: -1 }, "Bea"], [0, "age"]],
      [[{ ...ANN, age: "30" }, "Bea"], [0, "age"]],
      [["Ann", "Bea"], [0]],
      [[ANN, 7], [1]],
      [[ANN], [1]],
      [[ANN, "Bea", 1], [2]],
    ];
    for (const [args, path] of wrong) {
      const error = await assertRejects(
        () => client.call("rename", args),
        RemoteError,
      );
      assertEquals(error.code, "invalid-argument");
      assertEquals(paths(error), [path]);
    }
    assertEquals(seen, [ANN]);
  });

  test(`contract: ${name} names every place in nested arguments`, async (t) => {
    const [client] = t.pair({}, { handler });
    const error = await assertRejects(
      () => client.call("count", [[ANN, { ...ANN, age: 0.5 }, { age: 1 }]]),
      RemoteError,
    );
    assertEquals(paths(error), [[0, 1, "age"], [0, 2, "name"]]);
  });

  test(`contract: ${name} decides about unknown keys`, async (t) => {
    const [client] = t.pair({}, { handler });
    seen.length = 0;
    assertEquals(await client.call("rename", [EXTRA, "Ann"]), ANN);
    assertEquals(seen, [ANN]);
    assertEquals(await client.call("loose", [EXTRA]), EXTRA);
    const error = await assertRejects(
      () => client.call("strict", [EXTRA]),
      RemoteError,
    );
    assertEquals(error.code, "invalid-argument");
  });

  test(`contract: ${name} transforms arguments, and fills in those that are left out`, async (t) => {
    const [client] = t.pair({}, { handler });
    const api5 = clientOf(api, client);
    assertEquals(await api5.measure("four"), 4);
    assertEquals(await api5.five(), 5);
    assertEquals(await api5.five(undefined, "ab"), 7);
    assertEquals(await api5.five(1, "ab"), 3);
  });

  test(`contract: ${name} validates the values of streams in both directions`, async (t) => {
    seen.length = 0;
    const [client] = t.pair({}, { handler });
    const users = [EXTRA, { ...ANN, age: 1.5 }, ANN];
    const ages: number[] = [];
    const error = await assertRejects(async () => {
      const stream = clientOf(api, client).ages(ReadableStream.from(users));
      for await (const age of stream) ages.push(age);
    }, RemoteError);
    assertEquals(error.code, "invalid-argument");
    assertEquals(paths(error), [[0, 1, "age"]]);
    assertEquals([seen, ages], [[ANN], [30]]);
  });

  test(`contract: ${name} finds results that are wrong, which are bugs of the function`, async (t) => {
    const reported: unknown[] = [];
    const [client] = t.pair({}, {
      handler,
      onError: (error) => reported.push(error),
    });
    assertEquals(await client.call("broken", [1]), { name: "Ann", age: 1 });
    const error = await assertRejects(
      () => client.call("broken", [-1]),
      RemoteError,
    );
    assertEquals(error.code, "invalid-result");
    const [bug] = reported as [ValidationError];
    assertEquals(paths(bug), [["age"]]);
  });

  test(`contract: ${name} validates at the client, before a call and after it`, async (t) => {
    const [client, server] = t.pair();
    const calls: unknown[] = [];
    server.handle("", async (call, respond) => {
      calls.push(await call.receive());
      await respond.return({ name: "Ann", age: calls.length - 2, admin: true });
    });
    const checked = clientOf(api, client, { validate: true });
    const before = await assertRejects(
      () => checked.rename({ ...ANN, age: -1 }, "Bea"),
      ValidationError,
    );
    assertEquals(before.code, "invalid-argument");
    assertEquals([paths(before), calls], [[[0, "age"]], []]);
    const after = await assertRejects(
      () => checked.rename(ANN, "Bea"),
      ValidationError,
    );
    assertEquals(after.code, "invalid-result");
    assertEquals(paths(after), [["age"]]);
    assertEquals(await checked.rename(ANN, "Bea"), { name: "Ann", age: 0 });
  });

  const { even } = schemas;
  if (even === undefined) continue;
  test(`contract: ${name} validates with schemas that answer by a promise`, async (t) => {
    const api = contract({
      name,
      methods: {
        half: method({ args: [even, number], result: even }),
        halves: method({ args: [streamOf(even)], result: streamOf(even) }),
      },
    });
    const called: number[] = [];
    const handler = implement(api, {
      half: (n) => {
        called.push(n);
        return n / 2;
      },
      async *halves(values) {
        for await (const n of values) yield n / 2;
      },
    });
    const reported: unknown[] = [];
    const [client] = t.pair({}, {
      handler,
      onError: (error) => reported.push(error),
    });
    for (const validate of [false, true]) {
      const { half, halves } = clientOf(api, client, { validate });
      assertEquals(await half(4, 1), 2);
      const error = await assertRejects(async () => await half(3, 1)) as
        | RemoteError
        | ValidationError;
      assertEquals(error.code, "invalid-argument");
      assertEquals(paths(error), [[0]]);
      const result = await assertRejects(
        async () => await half(6, 1),
        RemoteError,
      );
      assertEquals(result.code, "invalid-result");
      const stream = () => halves(ReadableStream.from([4, 8]));
      assertEquals(await Array.fromAsync(stream()), [2, 4]);
      const streamError = await assertRejects(() =>
        Array.fromAsync(halves(ReadableStream.from([4, 3])))
      ) as RemoteError | ValidationError;
      assertEquals(streamError.code, "invalid-argument");
      assertEquals(paths(streamError), [[0, 1]]);
    }
    assertEquals(called, [4, 6, 4, 6]);
    assertEquals(reported.length, 2);
  });
}

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  handlerFrom,
  RemoteError,
  withCall,
  withMiddleware,
  withStream,
} from "../mod.ts";
import { test } from "../../tests/support/harness.ts";
import { type, v, z } from "../../tests/support/schema_libraries.ts";
import {
  clientOf,
  contract,
  describe,
  implement,
  metaOf,
  method,
  type StandardSchema,
  streamOf,
  ValidationError,
  type ValidationIssue,
} from "./mod.ts";

interface Tenant {
  readonly tenant: string;
}

const LIBRARIES: Record<string, StandardSchema<Tenant>> = {
  zod: z.object({ tenant: z.string() }),
  valibot: v.object({ tenant: v.string() }),
  arktype: type({ tenant: "string", "+": "delete" }),
  "a schema that answers by a promise": z.object({
    tenant: z.string().refine((text) => Promise.resolve(text !== "")),
  }),
};

for (const [name, meta] of Object.entries(LIBRARIES)) {
  test(`method.meta: with ${name}, invalid metadata keeps the function from being called`, async (t) => {
    const api = contract({
      name: "shop",
      methods: {
        order: method({ args: [z.string()], result: z.string(), meta }),
        sum: method({
          args: [streamOf(z.number())],
          result: z.string(),
          meta,
        }),
      },
    });
    const { order, sum } = api.methods;
    const seen: unknown[] = [];
    const handler = implement(api, {
      order: withCall((call, item) => {
        seen.push(metaOf(order, call));
        return item;
      }),
      sum: withStream(async (values, call) => {
        seen.push(metaOf(sum, call));
        return (await Array.fromAsync(values)).join();
      }),
    });
    const [client] = t.pair({}, { handler });
    const numbers = () => ReadableStream.from([1, 2]);

    const good = clientOf(api, client, { meta: { tenant: "Ann", extra: 1 } });
    assertEquals(await good.order("tea"), "tea");
    assertEquals(await good.sum(numbers()), "1,2");
    assertEquals(seen, [{ tenant: "Ann" }, { tenant: "Ann" }]);

    for (const wrong of [undefined, {}, { tenant: 5 }]) {
      const { order, sum } = clientOf(api, client, { meta: wrong });
      for (const call of [() => order("tea"), () => sum(numbers())]) {
        const error = await assertRejects(
          async () => await call(),
          RemoteError,
        );
        assertEquals(error.code, "invalid-argument");
        const [issue] = error.details as ValidationIssue[];
        assertEquals(issue?.path, ["meta", "tenant"]);
      }
    }
    assertEquals(seen.length, 2);
  });
}

const api = contract({
  name: "shop",
  methods: {
    order: method({
      args: [z.string()],
      meta: z.object({ retries: z.coerce.number() }),
    }),
    plain: method(),
  },
});

test("clientOf(): with validate, invalid metadata keeps the call from being made", async (t) => {
  let calls = 0;
  const [client] = t.pair({}, {
    handler: handlerFrom({ order: () => void calls++ }),
  });
  const { order } = clientOf(api, client, {
    validate: true,
    meta: { retries: "many" },
  });
  const error = await assertRejects(
    async () => await order("tea"),
    ValidationError,
    'Cannot call "order": meta.retries is invalid: ',
  );
  assertEquals([error.code, calls], ["invalid-argument", 0]);
  const good = clientOf(api, client, { validate: true, meta: { retries: 3 } });
  await good.order("tea");
  assertEquals(calls, 1);
});

test("metaOf(): is what the schema makes of the metadata, for calls of its method only", async (t) => {
  const { order, plain } = api.methods;
  const seen: unknown[] = [];
  const [client] = t.pair({}, {
    handler: implement(api, {
      order: withCall((call) => {
        seen.push(metaOf(order, call).retries, call.meta);
        assertThrows(() => metaOf(plain, call), TypeError);
      }),
      plain: withCall((call) => {
        assertThrows(
          () => metaOf(order, call),
          TypeError,
          "Cannot get metadata: the method has not validated that of this call",
        );
      }),
    }),
  });
  const meta = { retries: "3" };
  const shop = clientOf(api, client, { meta });
  await shop.order("tea");
  await shop.plain();
  assertEquals(seen, [3, meta]);
});

test("implement(): middleware around it sees the errors of invalid calls, and results as they are sent", async (t) => {
  const api = contract({
    name: "x",
    methods: {
      half: method({ args: [z.number()], result: z.number() }),
      count: method({ result: streamOf(z.number()) }),
    },
  });
  const seen: unknown[] = [];
  const handler = withMiddleware(
    implement(api, {
      half: (n) => n / 2,
      async *count() {
        yield* [1, 2];
      },
    }),
    async (_call, next) => {
      try {
        const result = await next();
        seen.push(typeof result);
        return result;
      } catch (error) {
        seen.push((error as { code: string }).code);
        throw error;
      }
    },
  );
  const [client] = t.pair({}, { handler });
  const { half, count } = clientOf(api, client);
  assertEquals(await half(4), 2);
  assertEquals(await Array.fromAsync(count()), [1, 2]);
  await assertRejects(() => client.call("half", ["4"]), RemoteError);
  assertEquals(seen, ["number", "object", "invalid-argument"]);
});

Deno.test("describe(): has the schema of metadata", () => {
  const api = contract({
    name: "x",
    methods: { f: method({ meta: z.looseObject({ tenant: z.string() }) }) },
  });
  assertEquals(describe(api).methods[0]?.meta, {
    schema: {
      type: "object",
      properties: { tenant: { type: "string" } },
      required: ["tenant"],
      additionalProperties: {},
    },
  });
});

import { memoryPair, Router } from "@qtalk/qtalk";
import { describeHandler, withReflection } from "@qtalk/qtalk/reflection";
import { assertEquals } from "@std/assert";
import {
  toJsonSchema,
  type,
  v,
  z,
} from "../../tests/support/schema_libraries.ts";
import {
  bytes,
  contract,
  describe,
  type DescribeOptions,
  implement,
  method,
  type StandardSchema,
  streamOf,
} from "./mod.ts";

Deno.test("describe(): says of each method what it is, what it takes and what it returns", () => {
  const api = contract({
    name: "all",
    version: "2.1",
    doc: "All kinds of methods.",
    methods: {
      add: method({
        args: [z.number(), z.number().optional()],
        result: z.number(),
        doc: "Adds.",
      }),
      files: {
        upload: method({
          args: [z.string(), streamOf(z.string())],
          errors: { full: z.object({ left: z.number() }) },
        }),
        watch: method({ rest: z.string(), result: streamOf(z.boolean()) }),
        open: method({ args: [z.string()], result: bytes() }),
      },
      nothing: method(),
    },
  });
  const described = describe(api);
  assertEquals(described, {
    name: "all",
    version: "2.1",
    doc: "All kinds of methods.",
    methods: [
      {
        selector: "add",
        kind: "unary",
        doc: "Adds.",
        args: [
          { schema: { type: "number" } },
          { schema: { type: "number" }, optional: true },
        ],
        result: { schema: { type: "number" } },
      },
      {
        selector: "files.upload",
        kind: "unary",
        args: [
          { schema: { type: "string" } },
          { schema: { type: "string" }, stream: true },
        ],
        errors: {
          full: {
            schema: {
              type: "object",
              properties: { left: { type: "number" } },
              required: ["left"],
              additionalProperties: false,
            },
          },
        },
      },
      {
        selector: "files.watch",
        kind: "stream",
        args: [],
        rest: { schema: { type: "string" } },
        result: { schema: { type: "boolean" } },
      },
      {
        selector: "files.open",
        kind: "bytes",
        args: [{ schema: { type: "string" } }],
      },
      { selector: "nothing", kind: "unary", args: [] },
    ],
  });
  assertEquals(JSON.parse(JSON.stringify(described)), described);
  assertEquals(describe(contract({ name: "empty", methods: {} })), {
    name: "empty",
    methods: [],
  });
});

Deno.test("describe(): arguments are described as they are sent, results as they arrive", () => {
  const length = z.string().transform((text) => text.length).pipe(z.number());
  const api = contract({
    name: "x",
    methods: { f: method({ args: [length], result: length }) },
  });
  const [described] = describe(api).methods;
  assertEquals(described?.args, [{ schema: { type: "string" } }]);
  assertEquals(described?.result, { schema: { type: "number" } });
});

Deno.test("describe(): takes JSON Schemas from the library, or from a converter", () => {
  const api = contract({
    name: "x",
    methods: {
      f: method({ args: [z.boolean(), v.string(), type("number")] }),
    },
  });
  const argsOf = (options?: Parameters<typeof describe>[1]) =>
    describe(api, options).methods[0]?.args;
  assertEquals(argsOf(), [
    { schema: { type: "boolean" } },
    {},
    { schema: { type: "number" } },
  ]);
  const asked: unknown[] = [];
  const withConverter = argsOf({
    toJsonSchema(schema, side) {
      asked.push(side);
      return schema["~standard"].vendor === "valibot"
        ? toJsonSchema(schema as v.GenericSchema)
        : undefined;
    },
  });
  assertEquals(withConverter, [
    { schema: { type: "boolean" } },
    { schema: { type: "string" } },
    { schema: { type: "number" } },
  ]);
  assertEquals(asked, ["input", "input", "input"]);
});

Deno.test("describe(): leaves out what JSON Schema cannot say", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const odd = (json: () => Record<string, unknown>): StandardSchema => ({
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => Promise.reject(new Error("Not now")),
      jsonSchema: { input: json, output: json },
    },
  });
  const api = contract({
    name: "x",
    methods: {
      f: method({
        args: [
          z.date(),
          odd(() => cyclic),
          odd(() => ({ type: "null", extra: undefined, fn: () => 1 })),
        ],
        result: z.map(z.string(), z.string()),
      }),
    },
  });
  assertEquals(describe(api).methods, [{
    selector: "f",
    kind: "unary",
    args: [{}, {}, { schema: { type: "null" } }],
    result: {},
  }]);
});

Deno.test("implement(): the handler describes itself as its contract does", async () => {
  const api = contract({
    name: "greeter",
    version: "1.0",
    doc: "Greets.",
    methods: {
      greet: method({ args: [v.string()], result: z.string(), doc: "Greets." }),
      count: {
        to: method({ args: [z.number()], result: streamOf(z.number()) }),
      },
    },
  });
  let conversions = 0;
  const options: DescribeOptions = {
    toJsonSchema(schema) {
      conversions++;
      return schema["~standard"].vendor === "valibot"
        ? toJsonSchema(schema as v.GenericSchema)
        : undefined;
    },
  };
  const functions = {
    greet: (name: string) => name,
    count: {
      async *to(n: number) {
        yield n;
      },
    },
  };
  const handler = implement(api, functions, options);
  assertEquals(conversions, 0);
  const expected = describe(api, options);
  conversions = 0;
  const [client] = memoryPair({}, { handler: withReflection(handler) });
  await using _ = client;
  const described = () => client.call("/_qtalk/describe");
  assertEquals(await described(), { ...expected });
  const once = conversions;
  assertEquals(await described(), { ...expected });
  assertEquals(conversions, once);

  const router = new Router();
  router.handle("inner.", handler);
  assertEquals(
    describeHandler(router).methods.map(({ selector, kind }) => [
      selector,
      kind,
    ]),
    [["inner.greet", "unary"], ["inner.count.to", "stream"]],
  );
});

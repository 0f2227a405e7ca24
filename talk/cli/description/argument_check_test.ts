import type {
  DescribedMethod,
  DescribedValue,
} from "../../../rpc/internal_cli.ts";
import { assertEquals } from "@std/assert";
import { problemWith } from "./argument_check.ts";

const number = { schema: { type: "number" } };
const string = { schema: { type: "string" } };

function method(members: Partial<DescribedMethod>): DescribedMethod {
  return { selector: "x", ...members };
}

function schema(schema: Record<string, unknown>): DescribedMethod {
  return method({ args: [{ schema }] });
}

const OBJECT = {
  type: "object",
  properties: { n: { type: "integer" }, list: { items: { type: "string" } } },
  required: ["n"],
  additionalProperties: false,
};

const MEMBERS: DescribedValue = {
  members: {
    n: number,
    end: { callback: { kind: "unary", args: [] }, optional: true },
  },
};

const CASES: [DescribedMethod, unknown, string | undefined][] = [
  // Functions without a contract do not say what they accept.
  [method({ params: 2 }), [1], undefined],
  [method({}), "anything", undefined],
  [method({ args: [{ stream: true }] }), [], undefined],

  [method({ args: [] }), null, undefined],
  [method({ args: [] }), [1], "expected 0 arguments, got 1"],
  [method({ args: [number] }), null, "expected 1 argument, got 0"],
  [method({ args: [number] }), 5, "expected an array of arguments, got number"],
  [method({ args: [number], rest: string }), [1, "a", "b"], undefined],
  [
    method({ args: [number], rest: string }),
    [1, "a", 2],
    "argument 3: expected string, got number; write '\"2\"' for a string",
  ],
  [
    method({ args: [number], rest: string }),
    [],
    "expected at least 1 argument, got 0",
  ],
  [method({ args: [number, { ...number, optional: true }] }), [1], undefined],
  [
    method({ args: [{ ...number, optional: true }, number] }),
    [null, 1],
    undefined,
  ],
  [
    method({ args: [number, { ...number, optional: true }] }),
    [],
    "expected 1 to 2 arguments, got 0",
  ],

  [schema({}), [{ any: 1 }], undefined],
  [schema({ type: "integer" }), [12345678901234567890n], undefined],
  [
    schema({ type: "integer" }),
    [1.5],
    "argument 1: expected integer, got number",
  ],
  [
    schema({ type: ["null", "array"] }),
    [{}],
    "argument 1: expected null or array, got object",
  ],
  [schema({ enum: ["a", 1] }), ["b"], 'argument 1: expected "a" or 1'],
  [schema({ const: null }), [null], undefined],
  [schema({ minimum: 2 }), [1], "argument 1: is below 2"],
  [schema({ exclusiveMaximum: 2 }), [2], "argument 1: is not below 2"],
  [
    schema({ maxItems: 1 }),
    [[1, 2]],
    "argument 1: expected at most 1 items, got 2",
  ],
  [schema(OBJECT), [{ n: 1, list: ["a"] }], undefined],
  [schema(OBJECT), [{}], 'argument 1: there is no "n"'],
  [schema(OBJECT), [{ n: 1, m: 1 }], 'argument 1: "m" is not known'],
  [
    schema(OBJECT),
    [{ n: 1, list: ["a", true] }],
    "argument 1.list[1]: expected string, got boolean; write '\"true\"' for a string",
  ],
  [
    schema({ anyOf: [{ type: "string" }, OBJECT] }),
    [{ n: "x" }],
    "argument 1.n: expected integer, got string",
  ],
  [schema({ allOf: [{}, { maximum: 1 }] }), [2], "argument 1: is above 1"],
  [
    schema({ $ref: "#/$defs/n", $defs: { n: { type: "null" } } }),
    [[]],
    "argument 1: expected null, got array",
  ],

  [
    method({ args: [{ callback: { kind: "unary", args: [] } }] }),
    [1],
    "argument 1: expected a function, which a command cannot pass",
  ],
  [
    method({
      args: [number, {
        callback: { kind: "unary", args: [] },
        optional: true,
      }],
    }),
    [1, null],
    undefined,
  ],
  [method({ args: [MEMBERS] }), [{ n: 1 }], undefined],
  [method({ args: [MEMBERS] }), [{ n: 1, end: null, other: 1 }], undefined],
  [method({ args: [MEMBERS] }), [1], "argument 1: expected object, got number"],
  [
    method({ args: [MEMBERS] }),
    [{ n: "a" }],
    "argument 1.n: expected number, got string",
  ],
  [
    method({ args: [MEMBERS] }),
    [{ n: 1, end: 1 }],
    "argument 1.end: expected a function, which a command cannot pass",
  ],
  [
    method({ args: [{ members: { in: { members: { s: { values: {} } } } } }] }),
    [{ in: { s: [1] } }],
    "argument 1.in.s: expected a stream, which a command cannot pass",
  ],
  [
    method({ args: [{ members: { s: { values: {} } } }] }),
    [{}],
    'argument 1: there is no "s"',
  ],

  // The server decides on what is not certain.
  [schema({ $ref: "elsewhere" }), [1], undefined],
  [
    schema({ type: "string", pattern: "^a", format: "email" }),
    ["b"],
    undefined,
  ],
  [schema({ type: "any" }), [1], undefined],
  [schema({ type: 7, enum: 7, properties: 7, items: 7 }), [{}], undefined],
  [schema({ enum: [{ a: 1 }] }), [{ a: 1 }], undefined],
];

for (const [method, args, problem] of CASES) {
  const name = JSON.stringify(
    [method, args],
    (_, value) => typeof value === "bigint" ? `${value}n` : value,
  );
  Deno.test(`problemWith(): ${name}: ${problem ?? "nothing"}`, () => {
    assertEquals(problemWith(method, args), problem);
  });
}

Deno.test("problemWith(): a schema that refers to itself has an end", () => {
  assertEquals(problemWith(schema({ $ref: "#" }), [1]), undefined);
});

Deno.test("problemWith(): schemas that multiply by their references have an end", () => {
  const twice = [{ $ref: "#" }, { $ref: "#" }];
  for (const key of ["anyOf", "allOf", "oneOf"]) {
    assertEquals(problemWith(schema({ [key]: twice }), [1]), undefined);
  }
});

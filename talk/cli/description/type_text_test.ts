import { assert, assertEquals } from "@std/assert";
import { literal, propertyName, typeText } from "./type_text.ts";

const CASES: [schema: unknown, text: string][] = [
  [undefined, "unknown"],
  [{}, "unknown"],
  [true, "unknown"],
  [false, "never"],
  [{ type: "string" }, "string"],
  [{ type: "integer", minimum: 0 }, "number"],
  [{ type: ["string", "null"] }, "string | null"],
  [{ const: 1 }, "1"],
  [{ enum: ["a", 1, null] }, '"a" | 1 | null'],
  [{ enum: [] }, "never"],
  [{ anyOf: [{ type: "number" }, { type: "boolean" }] }, "number | boolean"],
  [{ oneOf: [{ type: "number" }, { type: "integer" }] }, "number"],
  [
    {
      allOf: [{ properties: { a: {} } }, {
        anyOf: [{ type: "null" }, { enum: [1, 2] }],
      }],
    },
    "{ a?: unknown } & (null | (1 | 2))",
  ],
  [{ type: "array" }, "unknown[]"],
  [
    { type: "array", items: { type: ["string", "number"] } },
    "(string | number)[]",
  ],
  [
    { prefixItems: [{ type: "string" }], items: { type: "number" } },
    "[string, ...number[]]",
  ],
  [
    { type: "array", prefixItems: [{ type: "string" }], items: false },
    "[string]",
  ],
  [{ type: "object" }, "Record<string, unknown>"],
  [{ type: "object", additionalProperties: false }, "Record<string, never>"],
  [
    { type: "object", additionalProperties: { type: "number" } },
    "Record<string, number>",
  ],
  [
    {
      type: "object",
      properties: { a: { type: "string" }, "b-c": { type: "null" } },
      required: ["a"],
    },
    '{ a: string; "b-c"?: null }',
  ],
  [{ $ref: "#/$defs/n", $defs: { n: { type: "number" } } }, "number"],
  [{ $ref: "#/$defs/none" }, "unknown"],
  [{ $ref: "https://example.com/schema" }, "unknown"],
  [
    {
      type: "object",
      properties: { next: { $ref: "#" }, value: { type: "number" } },
    },
    "{ next?: { next?: unknown; value?: number }; value?: number }",
  ],
  [{ type: "other" }, "unknown"],
  ["string", "unknown"],
];

for (const [schema, text] of CASES) {
  Deno.test(`typeText(): ${JSON.stringify(schema)} is ${text}`, () => {
    assertEquals(typeText(schema), text);
  });
}

Deno.test("typeText(): what is nested without an end has one", () => {
  let schema: unknown = { type: "string" };
  for (let i = 0; i < 10_000; i++) schema = { type: "array", items: schema };
  assertEquals(typeText(schema), `unknown${"[]".repeat(17)}`);
});

Deno.test("typeText(): schemas that multiply by their references have an end", () => {
  const $defs: Record<string, unknown> = { n0: { type: "string" } };
  for (let n = 1; n < 16; n++) {
    const items = Array.from({ length: 8 }, () => ({
      $ref: `#/$defs/n${n - 1}`,
    }));
    $defs[`n${n}`] = { type: "array", prefixItems: items };
  }
  const text = typeText({ $ref: "#/$defs/n15", $defs });
  assert(text.length < 100_000, `${text.length}`);
});

Deno.test("literal(): no text leaves its quotes or changes what is seen", () => {
  const text = '"; evil();\n//\u202e\u2028\\';
  const written = literal(text);
  assertEquals(JSON.parse(written), text);
  assertEquals(/[\n\u202e\u2028]/.test(written), false);
});

Deno.test("propertyName(): what is no identifier is quoted", () => {
  assertEquals(
    ["a", "$_1", "1a", "a b", "", "ü"].map(propertyName),
    ["a", "$_1", '"1a"', '"a b"', '""', '"ü"'],
  );
});

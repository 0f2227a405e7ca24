import type { ServiceDescription } from "../../../rpc/internal_cli.ts";
import { assert, assertEquals } from "@std/assert";
import { declarationText, interfaceName } from "./declaration_text.ts";

const number = { schema: { type: "number" } };

Deno.test("declarationText(): groups are objects, and what is not known is unknown", () => {
  const description: ServiceDescription = {
    name: "calculator",
    version: "1",
    doc: "Calculates.\nAnd counts.",
    methods: [
      {
        selector: "math.add",
        kind: "unary",
        doc: "The sum.",
        args: [number, { ...number, optional: true }],
        rest: number,
        result: number,
      },
      { selector: "math", kind: "unary", args: [] },
      { selector: "plain", params: 1 },
      { selector: "count", kind: "stream", params: 0 },
      {
        selector: "total",
        kind: "unary",
        args: [{ stream: true, ...number }],
        result: number,
      },
      { selector: "odd-name.pipe", kind: "bytes", args: [] },
      { selector: "files.", prefix: true },
    ],
  };
  assertEquals(
    declarationText(description, "Calculator", "tcp://x"),
    `// Written by qtalk types from the description of tcp://x.
import type { ByteStream } from "@qtalk/qtalk";

/**
 * The service "calculator", version 1, for remote<Calculator>().
 *
 * Calculates.
 * And counts.
 */
export interface Calculator {
  math: {
    (): void;
    /** The sum. */
    add(arg1: number, arg2?: number, ...rest: Array<number>): number;
  };
  plain(arg1?: unknown, ...rest: unknown[]): unknown;
  count(...rest: unknown[]): AsyncIterable<unknown>;
  total(arg1: AsyncIterable<number>): number;
  "odd-name": {
    pipe(): ByteStream;
  };
  // All of files.… is answered; what there is, is not known.
}`,
  );
});

Deno.test("declarationText(): functions are callbacks, and streams in objects are iterables, however deep", () => {
  const methods: ServiceDescription["methods"] = [
    {
      selector: "each",
      kind: "unary",
      args: [
        { callback: { kind: "unary", args: [number], result: number } },
        {
          callback: { kind: "bytes", args: [{ stream: true, ...number }] },
          optional: true,
        },
      ],
    },
    {
      selector: "copy",
      kind: "stream",
      args: [{
        members: {
          rows: { values: { members: { id: number } } },
          "on end": {
            callback: {
              kind: "stream",
              doc: "Called at\nthe end */.",
              args: [number, { ...number, optional: true }],
              rest: number,
              result: number,
            },
            optional: true,
          },
        },
      }],
      result: { callback: { kind: "unary", args: [] } },
    },
    {
      selector: "make",
      kind: "unary",
      args: [],
      result: {
        callback: {
          kind: "unary",
          args: [{ callback: { kind: "unary", args: [], result: number } }],
          result: { callback: { kind: "unary", args: [] } },
        },
      },
    },
  ];
  assertEquals(
    declarationText({ methods }, "Service", "x"),
    `// Written by qtalk types from the description of x.
import type { ByteStream, Callback } from "@qtalk/qtalk";

/** The service, for remote<Service>(). */
export interface Service {
  each(arg1: Callback<(arg1: number) => number>, arg2?: Callback<(arg1: AsyncIterable<number>) => ByteStream>): void;
  copy(arg1: { rows: AsyncIterable<{ id: number }>; /** Called at the end *\\/. */ "on end"?: Callback<(arg1: number, arg2?: number, ...rest: Array<number>) => AsyncIterable<number>> }): AsyncIterable<Callback<() => void>>;
  make(): Callback<(arg1: Callback<() => number>) => Callback<() => void>>;
}`,
  );
  // The interface can have the name of what it imports.
  const text = declarationText({ methods }, "Callback", "x");
  assert(
    text.includes(
      'import type { ByteStream, Callback as QtalkCallback } from "@qtalk/qtalk";',
    ),
  );
  assert(text.includes("make(): QtalkCallback<("), text);
});

Deno.test("declarationText(): a function that answers everything makes the interface callable", () => {
  const methods = [{ selector: "", prefix: true, params: 1 } as const];
  assert(
    declarationText({ methods: [...methods] }, "Service", "x").includes(
      "export interface Service {\n  (arg1?: unknown, ...rest: unknown[]): unknown;\n}",
    ),
  );
});

Deno.test("declarationText(): texts of the server stay within their comments and quotes", () => {
  const evil = "*/ evil(); /*\u2028evil();\nevil();\u202e";
  const text = declarationText(
    {
      name: evil,
      version: evil,
      doc: evil,
      methods: [{
        selector: 'a"]: evil(); //\n',
        doc: evil,
        kind: "unary",
        args: [{ schema: { enum: ['"; evil(); "'] } }, {
          members: { [evil]: { callback: { doc: evil, kind: "unary" } } },
        }],
        result: { schema: { properties: { [evil]: { const: evil } } } },
      }, { selector: "b\nevil();.", prefix: true }],
    },
    "Service",
    "x\nevil();",
  );
  // What is left without comments and strings is types alone.
  const code = text.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"/g,
    "",
  );
  assert(!code.includes("evil"), text);
  assert(!/[\u2028\u202e]/.test(text));
});

Deno.test("interfaceName(): it is the name of the service if that can be one", () => {
  assertEquals(
    [undefined, "math", "my-own service", "2nd", "", "überall"].map(
      interfaceName,
    ),
    ["Service", "Math", "MyOwnService", "Service", "Service", "Berall"],
  );
});

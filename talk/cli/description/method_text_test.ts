import type { DescribedMethod } from "../../../rpc/internal_cli.ts";
import { assertEquals } from "@std/assert";
import { methodText } from "./method_text.ts";

const number = { schema: { type: "number" } };

const CASES: [DescribedMethod, string][] = [
  [{ selector: "a" }, "a"],
  [{ selector: "a", params: 1 }, "a(1 parameter)"],
  [{ selector: "a", params: 2, kind: "stream" }, "a(2 parameters): stream"],
  [{ selector: "", prefix: true }, "…"],
  [{ selector: "", params: 0 }, "/(0 parameters)"],
  [{ selector: "files.", prefix: true }, "files.…"],
  [{ selector: "a", kind: "unary", args: [] }, "a(): nothing"],
  [
    {
      selector: "m.a",
      kind: "unary",
      args: [number, { ...number, optional: true }],
      rest: number,
      result: number,
    },
    "m.a(number, number?, ...number): number",
  ],
  [
    {
      selector: "a",
      kind: "stream",
      args: [{ stream: true, ...number }],
      result: number,
    },
    "a(stream of number): stream of number",
  ],
  [{ selector: "a", kind: "bytes", args: [] }, "a(): bytes"],
  [
    {
      selector: "each",
      kind: "unary",
      args: [
        number,
        {
          callback: {
            kind: "unary",
            args: [number, { ...number, optional: true }],
            rest: number,
          },
          optional: true,
        },
      ],
    },
    "each(number, ((number, number?, ...number) => nothing)?): nothing",
  ],
  [
    {
      selector: "counter",
      kind: "unary",
      args: [],
      result: {
        callback: {
          kind: "unary",
          args: [{ callback: { kind: "bytes", args: [] } }],
          result: { callback: { kind: "stream", args: [], result: number } },
        },
      },
    },
    "counter(): (() => bytes) => () => stream of number",
  ],
  [
    {
      selector: "copy",
      kind: "stream",
      args: [{
        members: {
          rows: { values: number },
          rename: {
            callback: { kind: "unary", args: [number], result: number },
          },
          "on end": {
            callback: { kind: "stream", args: [{ stream: true, ...number }] },
            optional: true,
          },
        },
      }],
      result: { callback: { kind: "unary", args: [] } },
    },
    'copy({ rows: stream of number; rename: (number) => number; "on end"?: (stream of number) => stream }): stream of (() => nothing)',
  ],
  [
    {
      selector: "a",
      kind: "unary",
      args: [{ values: { callback: { kind: "unary", args: [] } } }, {
        members: {},
      }, { callback: {} }],
    },
    "a(stream of (() => nothing), Record<string, never>, () => nothing): nothing",
  ],
  [{ selector: "\u001b[2J" }, "\\u001b[2J"],
];

for (const [method, text] of CASES) {
  Deno.test(`methodText(): ${JSON.stringify(method)} is ${text}`, () => {
    const { name, signature } = methodText(method);
    assertEquals(name + signature, text);
  });
}

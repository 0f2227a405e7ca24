import { CallError } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { cli } from "../../../tests/support/cli.ts";
import {
  serveCallbacks,
  serveDescribed,
} from "../../../tests/support/described_service.ts";
import { servePlain } from "../../../tests/support/plain_server.ts";

Deno.test("qtalk describe: it prints the service and its methods", async () => {
  await using server = await serveDescribed();
  assertEquals(await cli(["describe", server.addr]), {
    code: 0,
    stderr: "",
    stdout: `calculator 1.2
Calculates, and counts.

math.add(number, number): number      The sum of two numbers.
math.count(number): stream of number  Counts up to a number.
Upper(1 parameter)
`,
  });
});

Deno.test("qtalk describe: a selector is that of a method, with its schemas, or of a group", async () => {
  await using server = await serveDescribed();
  const lines = async (...words: string[]) => {
    const { code, stdout } = await cli(["describe", ...words]);
    assertEquals(code, 0);
    return stdout.trimEnd().split("\n");
  };
  const add = [
    "math.add(number, number): number  The sum of two numbers.",
    "",
    'argument 1: {"type":"number"}',
    'argument 2: {"type":"number"}',
    'result: {"type":"number"}',
    'error "too-large": {"type":"integer"}',
  ];
  assertEquals(await lines(server.addr, "math.add"), add);
  assertEquals(await lines(`${server.addr}/math/add`), add);
  assertEquals((await lines(server.addr, "math")).length, 2);
  assertEquals(await cli(["describe", server.addr, "nothing"]), {
    code: 1,
    stdout: "",
    stderr:
      'error: Cannot describe "nothing": the service has no such method\n',
  });
});

Deno.test("qtalk describe --json: it prints what the server says", async () => {
  await using server = await serveDescribed();
  const { stdout } = await cli(["describe", server.addr, "--json"]);
  const { name, methods } = JSON.parse(stdout);
  assertEquals([name, methods.length], ["calculator", 3]);
});

Deno.test("qtalk describe: servers that do not describe themselves are told apart", async () => {
  const answers = {
    notFound: { error: "not found: /_qtalk/describe" },
    other: { value: { methods: [{}] } },
  };
  for (const [how, answer] of Object.entries(answers)) {
    await using server = await servePlain(() => answer);
    const { code, stderr } = await cli(["describe", server.addr]);
    assertEquals(code, 1, how);
    assert(/The server does not describe itself/.test(stderr), stderr);
  }
  await using refusing = await serveDescribed({
    authorize() {
      throw new CallError("not for you");
    },
  });
  assertEquals(await cli(["describe", refusing.addr]), {
    code: 1,
    stdout: "",
    stderr: "error: remote: not for you\n",
  });
  await using silent = await servePlain(() => undefined);
  const args = ["describe", silent.addr, "--timeout", "0.2"];
  assertEquals((await cli(args)).code, 3);
});

Deno.test("qtalk describe: the command line is checked", async () => {
  for (const words of [[], ["tcp://127.0.0.1:1/a", "b"]]) {
    assertEquals((await cli(["describe", ...words])).code, 2);
  }
});

Deno.test("qtalk describe: what the server says changes nothing on the terminal", async () => {
  const evil = "a\x1b[2J\nb\u202e";
  const schema = { properties: { [evil]: { const: evil } } };
  await using server = await servePlain(() => ({
    value: {
      name: evil,
      version: evil,
      doc: evil,
      methods: [{
        selector: evil,
        doc: evil,
        kind: "unary",
        args: [{ schema }],
        result: { schema },
        errors: { [evil]: { schema } },
      }],
    },
  }));
  for (const args of [[], [evil], ["--json"]]) {
    const { code, stdout } = await cli(["describe", server.addr, ...args]);
    assertEquals(code, 0);
    // deno-lint-ignore no-control-regex
    assertEquals(/[\x1b\u202e]/.test(stdout), false, stdout);
  }
});

Deno.test("qtalk describe: functions and streams that a contract describes are printed with their types", async () => {
  await using server = await serveCallbacks();
  assertEquals(await cli(["describe", server.addr]), {
    code: 0,
    stderr: "",
    stdout: `tables

each(number, (number, string?) => string, (() => nothing)?): nothing
    Calls a function for each number.
copy({ rows: stream of number; rename: (number) => stream of string; onEnd?: (number) => nothing }): stream of string
cursor(number): { size: number; next: () => number; open: () => bytes }
counter(): ((number) => number) => () => number
`,
  });
  const integer = {
    type: "integer",
    minimum: Number.MIN_SAFE_INTEGER,
    maximum: Number.MAX_SAFE_INTEGER,
  };
  const each = await cli(["describe", server.addr, "each"]);
  const lines = each.stdout.trimEnd().split("\n").slice(3);
  const parsed = lines.map((line) =>
    JSON.parse(line.slice(line.indexOf(":") + 1))
  );
  const callback = {
    kind: "unary",
    args: [{ schema: integer }, { schema: { type: "string" }, optional: true }],
    result: { schema: { type: "string" } },
  };
  const onEnd = { kind: "unary", doc: "Called at the end.", args: [] };
  assertEquals(parsed, [integer, { callback }, { callback: onEnd }]);

  const { stdout } = await cli(["describe", server.addr, "--json"]);
  const { methods } = JSON.parse(stdout);
  assertEquals(methods[0].args, [
    { schema: integer },
    { callback },
    { callback: onEnd, optional: true },
  ]);
  assertEquals(methods[1].args[0].members.rename.callback.kind, "stream");
  assertEquals(methods[1].args[0].members.rows, {
    values: { schema: integer },
  });
  assertEquals(methods[3].result.callback.result.callback, {
    kind: "unary",
    args: [],
    result: { schema: integer },
  });
});

Deno.test("qtalk describe: a server that describes functions by something else does not describe itself", async () => {
  const bad = [
    { args: [{ callback: 1 }] },
    { args: [{ callback: { args: [1] } }] },
    { result: { callback: { result: { callback: { kind: 1 } } } } },
    { args: [{ members: [1] }] },
    { args: [{ members: { a: 1 } }] },
    { result: { values: null } },
    { errors: { full: { members: { a: { values: "x" } } } } },
  ];
  for (const method of bad) {
    await using server = await servePlain(() => ({
      value: { methods: [{ selector: "x", ...method }] },
    }));
    for (const command of ["describe", "types"]) {
      const { code, stderr } = await cli([command, server.addr]);
      assertEquals(code, 1, JSON.stringify(method));
      assert(/it answers with something else/.test(stderr), stderr);
    }
  }
});

Deno.test("qtalk describe: functions that are described within each other without an end are unknown at some depth", async () => {
  let value: Record<string, unknown> = {};
  for (let i = 0; i < 25; i++) {
    value = { callback: { kind: "unary", args: [], result: value } };
    value = { values: { members: { a: value } } };
  }
  await using server = await servePlain(() => ({
    value: { methods: [{ selector: "x", kind: "unary", args: [value] }] },
  }));
  for (const command of ["describe", "types"]) {
    const { code, stdout, stderr } = await cli([command, server.addr]);
    assertEquals(code, 0, stderr);
    assert(stdout.includes("unknown"), stdout);
  }
});

// What must hold for every test file, found in its syntax: the form of names,
// that each test asserts something, that none waits for real time, and that none
// waits for ever.

import { assertEquals } from "@std/assert";
import { testNameProblem } from "./support/test_name.ts";

const ROOT = new URL("../", import.meta.url);

/** The folders with tests. */
const FOLDERS = ["codec", "mux", "rpc", "talk", "tests"];

/** Modules that hold tests for others to register: they give the sentences. */
const SUITES = [
  "closing",
  "codec_suite",
  "ending",
  "flow",
  "opening",
  "transport_suite",
].map((name) => `tests/conformance/${name}.ts`);

/** Files in those folders that another rule is for. */
const EXCEPT = /^tests\/golden\//;

/** Functions that register a test: `Deno.test` and those of tests/support. */
const REGISTERS = ["Deno.test", "test", "scripted"];

/**
 * Functions that assert: by how their names begin, and those of tests/support and
 * the suites, among them the bodies that a suite runs.
 */
const ASSERTS =
  /^(?:assert|expect|check|verify)|^(?:fail|unreachable|violate|body|run|withPeer)$/;

/** The nodes of the syntax that the rules look at. */
type Node = Deno.lint.Node & Record<string, unknown>;

/** One test as it is written. */
interface Registered {
  call: Deno.lint.CallExpression;
  name: Node | undefined;
  body: Node | undefined;
}

/** The text of a callee: `Deno.test`, `assertEquals`. */
function calleeOf({ callee }: Deno.lint.CallExpression): string {
  if (callee.type === "Identifier") return callee.name;
  if (
    callee.type === "MemberExpression" && callee.property.type === "Identifier"
  ) {
    const object = callee.object.type === "Identifier"
      ? `${callee.object.name}.`
      : ".";
    return object + callee.property.name;
  }
  return "";
}

/** A property's value in an object literal. */
function property(object: Node, name: string): Node | undefined {
  const properties = object.properties as Deno.lint.Property[];
  const found = properties.find(({ type, key }) =>
    type === "Property" && key.type === "Identifier" && key.name === name
  );
  return found?.value as Node | undefined;
}

function isFunction(node: Node | undefined): boolean {
  return node?.type === "ArrowFunctionExpression" ||
    node?.type === "FunctionExpression" ||
    node?.type === "FunctionDeclaration";
}

/** The test that a call registers, if it is such a call. */
function registered(call: Deno.lint.CallExpression): Registered | undefined {
  if (!REGISTERS.includes(calleeOf(call))) return undefined;
  const args = call.arguments as unknown as Node[];
  const [first] = args;
  if (first === undefined) return undefined;
  if (first.type === "ObjectExpression") {
    return {
      call,
      name: property(first, "name"),
      body: property(first, "fn"),
    };
  }
  return { call, name: first, body: args.find(isFunction) };
}

/** What a name says, with a word for each part that is computed. */
function textOf(name: Node | undefined): string | undefined {
  if (name?.type === "Literal" && typeof name.value === "string") {
    return name.value;
  }
  if (name?.type !== "TemplateLiteral") return undefined;
  const quasis = name.quasis as { cooked: string }[];
  // The harness checks a name whose symbol is computed when it is registered.
  if (quasis[0]!.cooked === "") return undefined;
  return quasis.map(({ cooked }) => cooked).join("x x");
}

/** All nodes under one. */
function* nodesIn(node: unknown): Generator<Node> {
  if (Array.isArray(node)) {
    for (const item of node) yield* nodesIn(item);
    return;
  }
  if (typeof node !== "object" || node === null || !("type" in node)) return;
  yield node as Node;
  for (const key of childrenOf(node as Node)) {
    yield* nodesIn((node as Node)[key]);
  }
}

/** The names of what a node consists of; the tree's own getters, too. */
function childrenOf(node: Node): string[] {
  const keys = new Set<string>();
  for (
    let object: object | null = node;
    object !== null && object !== Object.prototype;
    object = Object.getPrototypeOf(object)
  ) {
    for (const key of Object.getOwnPropertyNames(object)) keys.add(key);
  }
  for (const key of ["constructor", "parent", "range", "type"]) {
    keys.delete(key);
  }
  return [...keys];
}

/** Names of functions that are called in a node, nested functions included. */
function callsIn(node: unknown): string[] {
  const names: string[] = [];
  for (const inner of nodesIn(node)) {
    if (inner.type !== "CallExpression") continue;
    names.push(calleeOf(inner as unknown as Deno.lint.CallExpression));
  }
  return names;
}

/** Whether a statement is `await turn()`, alone in its block if it has one. */
function isTurn(statement: Node | null): boolean {
  const body = statement?.type === "BlockStatement"
    ? statement.body as Node[]
    : [statement];
  const awaited = (body[0]?.expression as Node | undefined)?.argument as
    | Deno.lint.CallExpression
    | undefined;
  return body.length === 1 && awaited?.type === "CallExpression" &&
    calleeOf(awaited) === "turn";
}

/** What is wrong with one file. */
function problemsOf(path: string, source: string): string[] {
  const problems: string[] = [];
  const at = (node: { range: [number, number] }, text: string) => {
    const line = source.slice(0, node.range[0]).split("\n").length;
    problems.push(`${path}:${line}: ${text}`);
  };
  /** The functions of this file, by name, with what they call. */
  const functions = new Map<string, string[]>();
  const tests: Registered[] = [];
  const plugin: Deno.lint.Plugin = {
    name: "tests",
    rules: {
      rules: {
        create: () => ({
          FunctionDeclaration(node) {
            if (node.id) functions.set(node.id.name, callsIn(node.body));
          },
          MethodDefinition(node) {
            if (node.key.type !== "Identifier") return;
            functions.set(`.${node.key.name}`, callsIn(node.value));
          },
          VariableDeclarator(node) {
            const { id, init } = node;
            if (id.type !== "Identifier" || !isFunction(init as Node)) return;
            functions.set(id.name, callsIn(init));
          },
          CallExpression(node) {
            const found = registered(node);
            if (found !== undefined) tests.push(found);
            const [, delay] = node.arguments as unknown as Node[];
            const real = /^(?:globalThis\.)?set(?:Timeout|Interval)$/;
            const set = real.test(calleeOf(node)) && delay !== undefined;
            if (set && delay.value !== 0 && !path.includes("/support/")) {
              at(node, "a test must not wait for real time");
            }
          },
          WhileStatement(node) {
            if (!isTurn(node.body as unknown as Node | null)) return;
            at(node, "until() waits for something, and says what never came");
          },
        }),
      },
    },
  };
  Deno.lint.runPlugin(plugin, path, source);
  const asserting = (calls: string[], seen = new Set<string>()): boolean =>
    calls.some((name) => {
      const last = name.slice(name.lastIndexOf(".") + 1);
      if (ASSERTS.test(last)) return true;
      const inner = functions.get(name) ?? functions.get(`.${last}`);
      if (inner === undefined || seen.has(name)) return false;
      return asserting(inner, seen.add(name));
    });
  for (const { call, name, body } of tests) {
    const text = textOf(name);
    if (text !== undefined && !SUITES.includes(path)) {
      const problem = testNameProblem(text);
      if (problem !== undefined) at(call, `"${text}": ${problem}`);
    }
    if (body !== undefined && isFunction(body) && !asserting(callsIn(body))) {
      at(call, "a test must assert something");
    }
  }
  return problems;
}

/** The test files of a folder. */
function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* testFiles(path);
    else if (name.endsWith("_test.ts") && !EXCEPT.test(path)) yield path;
  }
}

for (const folder of FOLDERS) {
  Deno.test(`test rules: every test file of ${folder} keeps them`, () => {
    const suites = SUITES.filter((path) => path.startsWith(`${folder}/`));
    const problems = [...testFiles(folder), ...suites].flatMap((path) =>
      problemsOf(path, Deno.readTextFileSync(new URL(path, ROOT)))
    );
    assertEquals(problems, []);
  });
}

Deno.test("test rules: a file that breaks each rule is found out", () => {
  const source = `
    Deno.test("works", () => assert(true));
    test("peer: Calls are made", () => { assertEquals(1, 1); });
    test(\`peer: It \${what}\`, () => { helper(); });
    test({ name: "peer: does nothing at all", fn: async () => { await go(); } });
    function go() { return 1; }
    function helper() { go(); assert(true); }
    test("peer: waits for a second", async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      assert(true);
    });
    test("peer: waits for another one", async () => {
      while (it.isOpen) await turn();
      while (it.isOpen) {
        await turn();
      }
      while (it.isOpen) await it.next();
      assert(true);
    });
  `;
  assertEquals(problemsOf("a_test.ts", source), [
    "a_test.ts:9: a test must not wait for real time",
    "a_test.ts:13: until() waits for something, and says what never came",
    "a_test.ts:14: until() waits for something, and says what never came",
    'a_test.ts:2: "works": there is no symbol or feature before a colon',
    'a_test.ts:3: "peer: Calls are made": the sentence begins with a capital',
    'a_test.ts:4: "peer: It x x": the sentence begins with a capital',
    "a_test.ts:5: a test must assert something",
  ]);
});

import { assertEquals } from "@std/assert";
import { withEagerFunctions } from "./eager_functions.ts";

/** Where some functions are in a file. */
const placesOf = (code: string, ...functions: string[]) =>
  functions.map((text) => ({
    startOffset: code.indexOf(text),
    endOffset: code.indexOf(text) + text.length,
  }));

Deno.test("eager functions: a module's functions that are called get parentheses, and nothing else changes", () => {
  const head = `/* @ts-self-types="./own.d.ts" */
import { x } from "./x.js";
`;
  const one = "function one(a) {\n  function inner() {}\n  return inner(a);\n}";
  const two = "async function two() {}";
  const three = "function* three() {}";
  const rest = (...functions: string[]) =>
    `const zero = 0;
${functions[0]}
function unused() {}
${functions[1]}
${functions[2]}
const four = () => {};
class Five {
  function() {}
}
export { one };
`;
  const code = head + rest(one, two, three);
  const called = placesOf(
    code,
    ...[two, three, "function inner() {}", "() => {}", "function() {}", one],
  );
  assertEquals(
    withEagerFunctions(code, called),
    `${head}var one = (${one});
var two = (${two});
var three = (${three});
${rest("", "", "")}`,
  );
});

Deno.test("eager functions: a module can use them before the place where they were declared", async () => {
  const one = "function one() {\n  return 1;\n}";
  const code = `const table = { one };\n${one}\nexport { table };\n`;
  const changed = withEagerFunctions(code, placesOf(code, one));
  const url = `data:text/javascript,${encodeURIComponent(changed)}`;
  const { table } = await import(url);
  assertEquals(table.one?.(), 1);
});

import { assertEquals } from "@std/assert";
import { withEagerFunctions } from "./eager_functions.ts";

/** Where some functions are in a file. */
const placesOf = (code: string, ...functions: string[]) =>
  functions.map((text) => ({
    startOffset: code.indexOf(text),
    endOffset: code.indexOf(text) + text.length,
  }));

Deno.test("eager functions: a module's functions that are called get parentheses, and nothing else changes", () => {
  const code = `import { x } from "./x.js";
function one(a) {
  function inner() {}
  return inner(a);
}
function unused() {}
async function two() {}
function* three() {}
const four = () => {};
class Five {
  function() {}
}
export { one };
`;
  const called = placesOf(
    code,
    "async function two() {}",
    "function* three() {}",
    "function inner() {}",
    "() => {}",
    "function() {}",
    "function one(a) {\n  function inner() {}\n  return inner(a);\n}",
  );
  const expected = code
    .replace(/function one[^]*?\n}/, "var one = ($&);")
    .replace("async function two() {}", "var two = ($&);")
    .replace("function* three() {}", "var three = ($&);");
  assertEquals(withEagerFunctions(code, called), expected);
});

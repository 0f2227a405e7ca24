import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  alternativesOf,
  EXCEPTIONS,
  unmatchedExceptions,
} from "./exceptions.ts";
import { RUNTIME_NAMES } from "./suites.ts";

/** The rows of the table in docs/runtimes.md. */
const ROWS = EXCEPTIONS.map(({ on, reason, upstream, sometimes }) => [
  on.length === 3 ? "all" : on.length === 2 ? "Node" : RUNTIME_NAMES[on[0]!],
  reason,
  typeof upstream === "string"
    ? `[${upstream}](https://github.com/${upstream.replace("#", "/issues/")})`
    : `none: ${upstream.none}`,
  sometimes ? "yes" : "",
]);

Deno.test("suites: docs/runtimes.md lists what a runtime cannot do", async () => {
  const url = new URL("../../docs/runtimes.md", import.meta.url);
  const [, table = ""] = (await Deno.readTextFile(url)).split(
    "### What a runtime cannot do",
  );
  const rows = table.split("\n").filter((line) => line.startsWith("|")).slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  assertEquals(rows, ROWS);
});

Deno.test("alternativesOf(): splits a pattern at each |, also in groups, and nowhere else", () => {
  const cases: Record<string, string[]> = {
    "a": ["a"],
    "a|b": ["a", "b"],
    "^a (?:b|c(?:d|e)) f$": ["^a b f$", "^a cd f$", "^a ce f$"],
    "a(b|c)": ["ab", "ac"],
    "a(?!b|c)|[(|]|\\(\\|": ["a(?!b|c)", "[(|]", "\\(\\|"],
  };
  for (const [source, expected] of Object.entries(cases)) {
    assertEquals(alternativesOf(source), expected);
  }
});

Deno.test("unmatchedExceptions(): finds the alternative whose test has another name", () => {
  const tests = ["a_test.ts => qmux: it works", "a_test.ts => qmux: it ends"];
  assertEquals(unmatchedExceptions(tests, [{ tests: /it (?:works|fails)$/ }]), [
    "it fails$",
  ]);
});

Deno.test("suites: every exception has a reason, and an issue or why there is none", () => {
  for (const { reason, upstream } of EXCEPTIONS) {
    assert(reason.length > 20, reason);
    if (typeof upstream === "string") {
      assertMatch(upstream, /^[\w-]+\/[\w-]+#\d+$/);
    } else assert(upstream.none.length > 5, reason);
  }
});

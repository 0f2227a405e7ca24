// What the suites print is what the gate counts.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { countsOf } from "../support/counts.ts";
import { REQUIREMENTS } from "../support/requirements.ts";
import { judgeSkipped, skippedIn } from "../support/skipped.ts";
import type { Exception } from "./exceptions.ts";
import type { Said } from "./suites/job.ts";
import { closingLine, missingLines, verdictOf } from "./suites.ts";

const TEST = "mux/session_test.ts => qmux: it opens a channel";

const EXCEPTION: Exception = {
  on: ["bun"],
  tests: /it opens a channel/,
  reason: "there are no channels (of any kind)",
  upstream: "oven-sh/bun#1",
};

/** What is said of a test on Bun that ended in some way. */
function verdict(outcome: NonNullable<Said["outcome"]>, exception?: Exception) {
  const said: Said = { test: TEST, outcome, error: "an error" };
  return verdictOf({ runtime: "bun", said }, exception);
}

Deno.test("suites: a test that passes says nothing, and one that fails says where and why", () => {
  assertEquals(verdict("passed"), { key: "passed" });
  assertEquals(verdict("failed"), {
    key: "failed",
    line: `FAILED on Bun: ${TEST}\nan error`,
  });
});

Deno.test("suites: an exception that fails is skipped, with its reason and issue", () => {
  const { key, line } = verdict("failed", EXCEPTION);
  assertEquals(key, "skipped");
  assertEquals(skippedIn(line!), [
    `./${TEST} (not here: there are no channels (of any kind); oven-sh/bun#1)`,
  ]);
});

Deno.test("suites: an exception that passes fails, unless it passes at times", () => {
  const { key, line } = verdict("passed", EXCEPTION);
  assertEquals(key, "failed");
  assertStringIncludes(line!, "It is listed as an exception, and passes");
  assertEquals(verdict("passed", { ...EXCEPTION, sometimes: true }), {
    key: "passed",
  });
});

Deno.test("suites: the gate knows why each test is skipped, and counts it", async () => {
  const ignored: Said = {
    test: "tests/conformance/stdio_test.ts => stdio: closing (not here: how)",
    outcome: "ignored",
  };
  const output = [
    verdict("failed", EXCEPTION).line,
    verdictOf({ runtime: "node24", said: ignored }).line,
    closingLine({ passed: 5, failed: 0, skipped: 2 }),
  ].join("\n");
  assertEquals(countsOf(output), { passed: 5, failed: 0, skipped: 2 });
  const { lines, failures } = await judgeSkipped(output, 2, REQUIREMENTS, []);
  assertEquals(failures, []);
  assertEquals(lines, [
    "skipped 2 tests that need what their subject cannot do: the name of each says why",
  ]);
});

Deno.test("suites: without Node and Bun, one test is skipped that needs them", async () => {
  const output = missingLines("there is no npx").join("\n");
  assertStringIncludes(output, "there is no npx");
  assertEquals(countsOf(output), { passed: 0, failed: 0, skipped: 1 });
  const npm = { ...REQUIREMENTS["npm"]!, missing: () => "there is no npm" };
  const { lines, failures } = await judgeSkipped(output, 1, { npm }, []);
  assertEquals(failures, []);
  assertEquals(lines, [
    "skipped 1 test that needs runtimes and peers from npm: there is no npm",
  ]);
});

import { assertEquals } from "@std/assert";
import { addCounts, countsOf } from "./counts.ts";

Deno.test("countsOf: takes the closing lines of deno test, with steps and ignored tests or not", () => {
  for (
    const [line, counts] of [
      ["ok | 3 passed | 0 failed (1s)", [3, 0, 0]],
      ["ok | 3 passed (7 steps) | 0 failed | 2 ignored (1s)", [3, 0, 2]],
      ["FAILED | 3 passed | 1 failed (2 steps) | 2 ignored (1s)", [3, 1, 2]],
    ] as const
  ) {
    const [passed, failed, skipped] = counts;
    assertEquals(countsOf(`a ... ok\n\n${line}\n`), {
      passed,
      failed,
      skipped,
    });
  }
});

Deno.test("countsOf: adds up several, and counts nothing where nothing was run", () => {
  const output = "ok | 3 passed | 0 failed (1s)\nok | 4 passed | 0 failed\n";
  assertEquals(countsOf(output), { passed: 7, failed: 0, skipped: 0 });
  assertEquals(countsOf("error"), { passed: 0, failed: 0, skipped: 0 });
});

Deno.test("addCounts: adds up each kind of count", () => {
  assertEquals(
    addCounts({ passed: 1, failed: 2, skipped: 3 }, {
      passed: 10,
      failed: 20,
      skipped: 30,
    }),
    { passed: 11, failed: 22, skipped: 33 },
  );
});

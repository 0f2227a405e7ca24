/**
 * How many tests passed, as `deno test` and `deno task suites` say it.
 *
 * @module
 */

/** How many tests ended in which way. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Adds up the closing lines in what was printed. */
export function countsOf(output: string): Counts {
  let counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const closing =
    /\| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored)?/g;
  for (const [, passed, failed, ignored] of output.matchAll(closing)) {
    counts = addCounts(counts, {
      passed: Number(passed),
      failed: Number(failed),
      skipped: Number(ignored ?? 0),
    });
  }
  return counts;
}

/** Adds up the counts of two runs. */
export function addCounts(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

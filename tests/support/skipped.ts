/**
 * Which tests were skipped, and whether they had to be: a test that needs what
 * not every machine has may be skipped only where that is missing.
 *
 * @module
 */

/** What some tests need. */
export interface Requirement {
  /** What it is, for people. */
  name: string;
  /** The tests that need it, by file and name. */
  tests: RegExp;
  /** Why it is missing here; undefined if it is not. */
  missing: () => string | undefined | Promise<string | undefined>;
}

/** What is to be said of the skipped tests. */
export interface Verdict {
  /** For each requirement, how many were skipped and why. */
  lines: string[];
  /** What must not be so. */
  failures: string[];
}

/** Requirements by their keys, in which `QTALK_REQUIRE` names them. */
export type Requirements = Readonly<Record<string, Requirement>>;

/** The tests that `deno test` says it ignored, by file and name. */
export function skippedIn(output: string): string[] {
  const skipped: string[] = [];
  // Tests of several files at once have the file on each line.
  let file = "";
  for (const line of output.split("\n")) {
    file = /^running \d+ tests? from (.+)$/.exec(line)?.[1] ?? file;
    const test = /^(.+) \.\.\. ignored \(.*\)$/.exec(line)?.[1];
    if (test === undefined) continue;
    skipped.push(/^\.\/\S+ => /.test(test) ? test : `${file} => ${test}`);
  }
  return skipped;
}

/**
 * Judges the skipped tests of a run.
 *
 * @param output what `deno test` printed
 * @param count how many tests it counted as ignored
 * @param required keys of what must not be missing, whatever the machine says
 */
export async function judgeSkipped(
  output: string,
  count: number,
  requirements: Requirements,
  required: readonly string[],
): Promise<Verdict> {
  const lines: string[] = [];
  const failures = required
    .filter((key) => !(key in requirements))
    .map((key) => `QTALK_REQUIRE names "${key}", which is unknown`);
  const skipped = skippedIn(output);
  if (skipped.length !== count) {
    failures.push(`${count} tests were skipped, ${skipped.length} are known`);
  }
  const groups = Map.groupBy(
    skipped,
    (test) =>
      Object.keys(requirements).find((key) =>
        requirements[key]!.tests.test(test)
      ),
  );
  for (const [key, tests] of groups) {
    if (key === undefined) {
      failures.push(
        ...tests.map((test) => `skipped for no known need: ${test}`),
      );
      continue;
    }
    const { name, missing } = requirements[key]!;
    const reason = await missing();
    const verb = tests.length === 1 ? "test that needs" : "tests that need";
    const what = `${tests.length} ${verb} ${name}`;
    if (reason === undefined) {
      failures.push(`skipped ${what}, which is here`);
    } else if (required.includes(key)) {
      failures.push(`skipped ${what}, which is required: ${reason}`);
    } else lines.push(`skipped ${what}: ${reason}`);
  }
  return { lines, failures };
}

/** The keys that a machine's environment requires. */
export function requiredBy(
  env: { get(name: string): string | undefined },
): string[] {
  const keys = (env.get("QTALK_REQUIRE") ?? "").split(",").filter(Boolean);
  // There the workflow installs Go, and its modules can be fetched.
  return env.get("GITHUB_ACTIONS") === "true" && !keys.includes("go")
    ? [...keys, "go"]
    : keys;
}

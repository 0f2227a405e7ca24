import { assertEquals } from "@std/assert";
import { alternativesOf } from "../node_bun/exceptions.ts";
import { files, read } from "./docs.ts";
import { REQUIREMENTS } from "./requirements.ts";
import {
  judgeSkipped,
  requiredBy,
  type Requirements,
  skippedIn,
} from "./skipped.ts";

/** All files of source code, as `deno test` names them. */
const SOURCES = Array.from(files(), (path) => `./${path}`)
  .filter((path) => path.endsWith(".ts"));

const requirements: Requirements = {
  go: {
    name: "Go",
    tests: /^\.\/go_test\.ts /,
    missing: () => "there is no go command",
  },
  redis: {
    name: "Redis",
    tests: /^\.\/redis_test\.ts /,
    missing: () => Promise.resolve(undefined),
  },
};

/** What `deno test --parallel` prints. */
function printed(...skipped: string[]): string {
  const lines = skipped.map((test) => `${test} ... ignored (0ms)`);
  return ["./go_test.ts => one ... ok (1ms)", ...lines, ""].join("\n");
}

const GO = ["./go_test.ts => two", "./go_test.ts => three"];

Deno.test("skipped tests: those that the machine cannot run are counted, with the reason", async () => {
  assertEquals(await judgeSkipped(printed(...GO), 2, requirements, []), {
    lines: ["skipped 2 tests that need Go: there is no go command"],
    failures: [],
  });
});

Deno.test("skipped tests: without any, nothing is probed and nothing is said", async () => {
  const missing = () => {
    throw new Error("was probed");
  };
  const probed = { go: { ...requirements["go"]!, missing } };
  assertEquals(await judgeSkipped(printed(), 0, probed, ["go"]), {
    lines: [],
    failures: [],
  });
});

Deno.test("skipped tests: one that the machine could run is a failure", async () => {
  const output = printed("./redis_test.ts => stores");
  assertEquals(await judgeSkipped(output, 1, requirements, []), {
    lines: [],
    failures: ["skipped 1 test that needs Redis, which is here"],
  });
});

Deno.test("skipped tests: what is required must not be missing", async () => {
  const { failures } = await judgeSkipped(printed(...GO), 2, requirements, [
    "go",
  ]);
  assertEquals(failures, [
    "skipped 2 tests that need Go, which is required: there is no go command",
  ]);
});

Deno.test("skipped tests: a key that is not known is a failure", async () => {
  const { failures } = await judgeSkipped("", 0, requirements, ["rust"]);
  assertEquals(failures, ['QTALK_REQUIRE names "rust", which is unknown']);
});

Deno.test("skipped tests: one that belongs to no requirement is a failure", async () => {
  const output = printed("./a_test.ts => adds");
  const { failures } = await judgeSkipped(output, 1, requirements, []);
  assertEquals(failures, ["skipped for no known need: ./a_test.ts => adds"]);
});

Deno.test("skipped tests: a count that the lines do not bear out is a failure", async () => {
  const { failures } = await judgeSkipped(printed(...GO), 3, requirements, []);
  assertEquals(failures, ["3 tests were skipped, 2 are known"]);
});

Deno.test("skipped tests: they are found whether or not files run in parallel", () => {
  const output = `running 2 tests from ./go_test.ts
one ... ok (1ms)
two ... ignored (0ms)
running 1 test from ./redis_test.ts
stores => loads ... ignored (0ms)
`;
  assertEquals(skippedIn(output), [
    "./go_test.ts => two",
    "./redis_test.ts => stores => loads",
  ]);
  assertEquals(skippedIn(printed(...GO)), GO);
});

Deno.test("skipped tests: the environment requires what it lists, and GitHub Go", () => {
  const required = (env: Record<string, string>) =>
    requiredBy({ get: (name) => env[name] });
  assertEquals(required({}), []);
  assertEquals(required({ QTALK_REQUIRE: "go,npm" }), ["go", "npm"]);
  assertEquals(required({ GITHUB_ACTIONS: "true" }), ["go"]);
  assertEquals(
    required({ GITHUB_ACTIONS: "true", QTALK_REQUIRE: "go" }),
    ["go"],
  );
});

Deno.test("skipped tests: every file that may ignore tests has a requirement", () => {
  const named = namedFiles();
  const missing = SOURCES.filter((path) => mayIgnore(path))
    .filter((path) => !named.some((pattern) => pattern.test(path)));
  assertEquals(missing, []);
});

Deno.test("skipped tests: what a requirement names are files that exist", () => {
  const gone = namedFiles()
    .filter((pattern) => !SOURCES.some((path) => pattern.test(path)));
  assertEquals(gone, []);
});

/** The files of the tests that requirements name, a pattern each. */
function namedFiles(): RegExp[] {
  return Object.values(REQUIREMENTS)
    .flatMap(({ tests }) => alternativesOf(tests.source))
    .filter((source) => source.startsWith("^"))
    .map((source) => new RegExp(`${source.split(" ")[0]}$`));
}

/** Whether a file has tests of its own that are ignored where something is missing. */
function mayIgnore(path: string): boolean {
  if (!path.endsWith("_test.ts")) return false;
  const text = read(path);
  return /^\s+ignore(?::|,$)|\bDeno\.test\.ignore\b/m.test(text);
}

// What .ci/run promises: that the line with the counts is the last. The command
// that it runs is a stand-in here, on a path with little else. And what the
// workflow on GitHub leaves out.

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const WORKFLOW = new URL("../.github/workflows/ci.yml", import.meta.url);
const SCRIPT = new URL("../.ci/run", import.meta.url).pathname;

/** What counts, and fails or not. */
const GATE = `
  echo "ok     tests (1.0 s)"
  echo "3 passed, $1 failed, 2 skipped"
  exit $1
`;

/** As npm's own: it has the last word unless it is told to be silent. */
const NPX = `#!/bin/sh
[ "$*" = "--yes deno@2 task ok" ] || exit 9
trap 'last_words' EXIT
last_words() {
  [ "$npm_config_progress" = false ] || printf '\\342\\240\\231\\033[1G\\033[0K' >&2
  [ "$npm_config_update_notifier" = false ] || echo "npm notice New version" >&2
  [ "$npm_config_loglevel" = error ] || echo "npm notice and more" >&2
}
set -- "$FAILURES"
${GATE}`;

/** As Deno itself. */
const DENO = `#!/bin/sh
[ "$*" = "task ok" ] || exit 9
set -- "$FAILURES"
${GATE}`;

/** Runs the script where the one command is; returns how it ended. */
async function run(
  command: "deno" | "npx",
  failures: number,
): Promise<{ lines: string[]; code: number }> {
  const path = await Deno.makeTempDir({ prefix: "qtalk_ci_" });
  try {
    await Deno.writeTextFile(
      `${path}/${command}`,
      command === "deno" ? DENO : NPX,
      { mode: 0o755 },
    );
    // All that the script needs besides: it installs nothing here.
    for (const tool of ["bash", "dirname", "id"]) {
      await Deno.symlink(await which(tool), `${path}/${tool}`);
    }
    const { stdout, stderr, code } = await new Deno.Command(`${path}/bash`, {
      // Both in one stream, as who reads it sees them.
      args: ["-c", 'exec 2>&1; exec "$0" "$1"', `${path}/bash`, SCRIPT],
      clearEnv: true,
      env: { PATH: path, FAILURES: String(failures) },
    }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
    return { lines: new TextDecoder().decode(stdout).split("\n"), code };
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** Where a command is on this machine. */
async function which(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `command -v ${command}`],
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

for (const command of ["deno", "npx"] as const) {
  for (const failures of [0, 1]) {
    Deno.test(`ci: the counts are the last line, by ${command}, with ${failures} failed`, async () => {
      const { lines, code } = await run(command, failures);
      assertEquals(lines.slice(-2), [
        `3 passed, ${failures} failed, 2 skipped`,
        "",
      ]);
      assertEquals(code, failures);
    });
  }
}

Deno.test("ci: the test files that ci.yml leaves out on a system exist", async () => {
  const workflow = await Deno.readTextFile(WORKFLOW);
  const paths = [...workflow.matchAll(/^ +- (\S+_test\.ts)$/gm)]
    .map(([, path]) => path!);
  assert(paths.length > 0, "ci.yml leaves something out");
  for (const path of paths) {
    const { isFile } = await Deno.stat(new URL(`../${path}`, import.meta.url));
    assert(isFile, path);
  }
});

Deno.test("ci: ci.yml leaves out the tests that start the command line, on Windows", async () => {
  const workflow = await Deno.readTextFile(WORKFLOW);
  let found = 0;
  for (const path of [...testsIn("talk/"), ...testsIn("tests/")]) {
    const source = await Deno.readTextFile(new URL(path, ROOT));
    if (!source.includes('/support/cli.ts"')) continue;
    found++;
    assert(workflow.includes(` - ${path}\n`), path);
  }
  assert(found > 0, "a test starts the command line");
});

/** The paths of all test files below a folder, which ends in a slash. */
function* testsIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (isDirectory) yield* testsIn(`${folder}${name}/`);
    else if (name.endsWith("_test.ts")) yield `${folder}${name}`;
  }
}

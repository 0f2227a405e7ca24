// Against python/, an implementation in Python that was written from the
// specifications and not from the code: in both directions, and resuming.

import { listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { test } from "../support/harness.ts";
import { within } from "../support/within.ts";
import { type Case, CASES, MORE_CASES } from "./cases.ts";
import { extendedCase } from "./extended_cases.ts";
import { runProgram } from "./go_client.ts";
import { CASE_NAMES, type CaseName } from "./names.ts";
import { withPeer } from "./processes.ts";
import { interopService, MAX_VALUE_SIZE } from "./service.ts";

const MAIN = new URL("python/main.py", import.meta.url).pathname;
/** Cases of python/cases.py, at least; a client that runs fewer has not run them all. */
const LEAST_CASES = 19;

// Known before the tests are, so that those that cannot run are named as such.
const missing = await missingPython();
if (missing !== undefined) {
  const text = `interop: the tests with Python are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
const ignore = missing !== undefined;

/** Why python/ cannot run here; undefined if it can. */
async function missingPython(): Promise<string | undefined> {
  if (Deno.build.os === "windows") return "this is Windows";
  const script = "import sys; sys.exit(sys.version_info < (3, 9))";
  try {
    const { success } = await new Deno.Command("python3", {
      args: ["-c", script],
    }).output();
    return success ? undefined : "python3 is older than 3.9";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "there is no python3 command";
  }
}

const names = Object.keys(CASE_NAMES) as CaseName[];
const cases: [string, Case][] = [
  ...names.map((name): [string, Case] => [CASE_NAMES[name], CASES[name]]),
  ...Object.entries(MORE_CASES),
  ["metadata, a deadline and all of an error", extendedCase],
];

for (const [name, run] of cases) {
  Deno.test({
    name: `interop: deno → python: ${name}`,
    ignore,
    fn: () =>
      withPeer(
        () => ["python3", "-B", MAIN, "serve"],
        "tcp",
        interopService(),
        (peer) => within(run(peer), name),
      ),
  });
}

for (const command of ["client", "resuming"]) {
  test(
    `interop: python → deno: all cases on one session (${command})`,
    { ignore },
    async (t) => {
      const errors: unknown[] = [];
      const listener = t.watch(
        await listen("tcp://127.0.0.1:0", {
          handler: interopService(),
          maxValueSize: MAX_VALUE_SIZE,
          resume: {},
          onError: (error) => void errors.push(error),
        }),
      );
      const address = listener.addr.slice("tcp://".length);
      const args = ["-B", MAIN, command, "tcp", address];
      const outcomes = await runProgram("python3", args);
      const failed = [...outcomes].filter(([, why]) => why !== undefined);
      assertEquals(failed, []);
      assert(outcomes.size >= LEAST_CASES, "a case was not run");
      assertEquals(outcomes.has("resumed"), command === "resuming");
      assertEquals(errors, []);
    },
  );
}

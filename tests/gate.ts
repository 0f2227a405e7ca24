/**
 * The gate, `deno task ok`: everything that must hold before a change lands.
 * Runs under tests/jsr/with_jsr.ts, so that all steps see the same registry.
 *
 * Says each step with its time, shows what a failed one printed, says what the
 * short form of `deno task hostile` found on Linux, says how many
 * tests were skipped for what reason, and ends in one line: `N passed, N failed,
 * N skipped`. It counts the tests of Deno, and those that the short form of
 * `deno task suites` runs on Node and Bun. A test that is skipped where it could run
 * fails the gate.
 *
 * @module
 */
import { unmatchedExceptions } from "./node_bun/exceptions.ts";
import { PACKAGES } from "./package/shared_jsr_package.ts";
import { addCounts, countsOf } from "./support/counts.ts";
import { files } from "./support/docs.ts";
import { REQUIREMENTS } from "./support/requirements.ts";
import { judgeSkipped, requiredBy } from "./support/skipped.ts";

const config = JSON.parse(Deno.readTextFileSync("deno.json"));
const entryPoints: string[] = Object.values(config.exports);
const library = ["mod.ts", "mux", "codec", "rpc", "talk"];

/** The steps, as arguments of `deno`. */
const STEPS: Record<string, string[]> = {
  format: ["fmt", "--check"],
  lint: ["lint"],
  "no console in the library": [
    "lint",
    "--rules-include=no-console",
    ...library,
  ],
  docs: ["doc", "--lint", ...entryPoints],
  publish: ["run", "-A", "tests/package/make_jsr_package.ts", "--dry-run"],
  // What the README says to run.
  tests: ["task", "test"],
  // The tests that do not depend on Deno, on Node 24 and Bun.
  suites: ["run", "-A", "tests/node_bun/suites.ts", "--short"],
  // After the tests, which would keep the machine busy beside it.
  hostile: ["run", "-A", "tests/hostile/main.ts", "--short"],
};

/**
 * Checks the sources, the tests, and the examples in the documentation. Runs beside the
 * steps before the tests: the compiler uses one core, and takes as long as they
 * do. The test step does not check types again.
 */
const TYPES = ["check", "--doc", "."];

/** The steps whose output is counted, and shown as it comes: they take minutes. */
const COUNTED = ["tests", "suites"];

/**
 * Minutes after which a step is stopped and has failed: a test that never ends must
 * not use up the time of whoever waits. Deno says which test it was.
 */
const STEP_MINUTES = 30;

/** Returns all of a stream, and shows it as it comes if `show` is true. */
async function tee(
  stream: ReadableStream<Uint8Array>,
  show: boolean,
): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (show) await Deno.stdout.write(chunk);
  }
  return text;
}

/** What stops each step that runs. */
const running = new Set<() => void>();

async function runStep(
  name: string,
  args: string[],
): Promise<{ ok: boolean; output: string }> {
  const start = performance.now();
  // In a process group of its own, so that what it started ends with it.
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
    detached: Deno.build.os !== "windows",
  }).spawn();
  const stop = () => {
    Deno.kill(Deno.build.os === "windows" ? child.pid : -child.pid, "SIGKILL");
  };
  running.add(stop);
  const limit = setTimeout(() => {
    console.log(`stopped ${name}: it ran for ${STEP_MINUTES} minutes`);
    stop();
  }, STEP_MINUTES * 60_000);
  const show = COUNTED.includes(name);
  const [stdout, stderr] = await Promise.all([
    tee(child.stdout, show),
    tee(child.stderr, show),
  ]);
  const { success } = await child.status;
  clearTimeout(limit);
  running.delete(stop);
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (!success && !show) console.log(stdout + stderr);
  return { ok: success, output: stdout + stderr };
}

if (Deno.args.includes("--help")) {
  console.log(`Runs every check that a change must pass.

Usage: deno task ok

  --help   print this

The steps: types; ${Object.keys(STEPS).join("; ")}.

The last line says how many tests passed, failed and were skipped, on Deno, and in
the short form of \`deno task suites\` on Node and Bun. The exit code is 1 if a step
failed, or if a test was skipped that could have run.`);
  Deno.exit();
}

// What several steps need is made once.
const packages = await Deno.makeTempDir({ prefix: "qtalk_packages_" });
Deno.env.set(PACKAGES, packages);

/** Ends what runs, removes what was made, and exits. */
function interrupted(code: number): never {
  for (const stop of running) {
    try {
      stop();
    } catch {
      // It has ended by itself.
    }
  }
  removePackages();
  Deno.exit(code);
}

/** Removes what was made. No other step begins meanwhile. */
function removePackages(): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      return Deno.removeSync(packages, { recursive: true });
    } catch {
      // A process that was stopped may still have written to it.
      Atomics.wait(sleeper, 0, 0, 50);
    }
  }
  console.log(`not removed: ${packages}`);
}

Deno.addSignalListener("SIGINT", () => interrupted(130));
if (Deno.build.os !== "windows") {
  Deno.addSignalListener("SIGTERM", () => interrupted(143));
}

const failures: string[] = [];
let counts = countsOf("");
try {
  const documents = [...files()].filter((path) => path.endsWith(".md"));
  const types = runStep("types", [...TYPES, ...documents]);
  for (const [name, args] of Object.entries(STEPS)) {
    if (name === "tests" && !(await types).ok) failures.push("types");
    if (name === "hostile" && Deno.build.os !== "linux") {
      console.log("skipped hostile: it measures processes on Linux only");
      continue;
    }
    const { ok, output } = await runStep(name, args);
    if (!ok) failures.push(name);
    if (ok && name === "hostile") {
      console.log(/^hostile: .*$/m.exec(output)?.[0]);
    }
    if (!COUNTED.includes(name)) continue;
    const own = countsOf(output);
    counts = addCounts(counts, own);
    if (name === "tests") {
      const tests = [...output.matchAll(/^\.\/(\S+ => .+) \.\.\. /gm)]
        .map(([, test]) => test!);
      for (const pattern of unmatchedExceptions(tests)) {
        failures.push(`no test is that of the exception /${pattern}/`);
      }
    }
    const required = requiredBy(Deno.env);
    const skipped = await judgeSkipped(
      output,
      own.skipped,
      REQUIREMENTS,
      required,
    );
    for (const line of skipped.lines) console.log(line);
    failures.push(...skipped.failures);
  }
} finally {
  removePackages();
}
if (counts.passed === 0) failures.push("no test ran");
if (failures.length > 0) console.log(`failed: ${failures.join(", ")}`);
console.log(
  `${counts.passed} passed, ${
    Math.max(counts.failed, failures.length)
  } failed, ${counts.skipped} skipped`,
);
Deno.exitCode = failures.length > 0 ? 1 : 0;

/**
 * The tests of the library on Node and Bun: those of `codec`, `mux`, `rpc` and
 * `talk`, and the suites of tests/conformance, tests/property and tests/faults.
 *
 *     deno task suites [--short] [--exceptions] [--on RUNTIME,…] [FILE…]
 *
 * - `--short` runs the conformance and property suites and the codecs, on Node 24
 *   and Bun.
 * - `--exceptions` runs only the tests that are listed in exceptions.ts, and prints
 *   what came of each.
 * - RUNTIME is `node`, `node24` or `bun`.
 * - FILE is the beginning of the path of a file, within the project.
 *
 * Prints what failed, what was skipped and why, and a last line like that of
 * `deno test`.
 *
 * @module
 */
import { linesOf } from "../support/program.ts";
import { EXCEPTIONS } from "./exceptions.ts";
import { installRuntimes, type Runtimes } from "./runtimes.ts";
import { type Job, LATE, MARK, type Said } from "./suites/job.ts";
import { writeDeno, writeTree } from "./suites/tree.ts";

type Runtime = keyof Runtimes;

/** What the runtimes are called. */
export const RUNTIME_NAMES: Readonly<Record<Runtime, string>> = {
  node: "Node 22",
  node24: "Node 24",
  bun: "Bun",
};

const ROOT = new URL("../../", import.meta.url);
/** Folders whose tests run, except those of the command line. */
const FOLDERS = [
  "codec",
  "mux",
  "rpc",
  "talk",
  "tests/conformance",
  "tests/property",
  "tests/faults",
];
/** What `--short` runs. */
const SHORT = /^(?:codec|tests\/conformance|tests\/property)\//;
/** The command line is a program for Deno, and only Deno has QUIC. */
const LEFT_OUT =
  /^talk\/cli\/|^tests\/conformance\/quic_test|^tests\/faults\/tunnel_kills_test/;
/** Files that one process runs. */
const BATCH = 6;
/** Milliseconds of a test, and of one that is listed as an exception. */
const PATIENCE = { others: 120_000, these: 10_000 };

/** What came of a run. */
interface Outcome {
  runtime: Runtime;
  said: Said;
}

/** The files of a runtime that a process runs. */
interface Batch {
  runtime: Runtime;
  job: Job;
}

async function testFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await testFiles(path));
    else if (path.endsWith("_test.ts") && !LEFT_OUT.test(path)) {
      found.push(path);
    }
  }
  return found.sort();
}

/** What is listed for a test. */
function exceptionFor(runtime: Runtime, test: string) {
  return EXCEPTIONS.find(({ on, tests }) =>
    on.includes(runtime) && tests.test(test)
  );
}

/** Runs files in one process, or in more if one ends too early. */
async function runBatch(
  { runtime, job }: Batch,
  command: readonly string[],
  deno: string,
  folder: string,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let files = job.files;
  let done = 0;
  while (files.length > 0) {
    const [program, ...args] = command;
    const child = new Deno.Command(program!, {
      args: [
        ...args,
        `${folder}/tests/node_bun/suites/run.ts`,
        JSON.stringify({ ...job, files, done } satisfies Job),
      ],
      cwd: folder,
      env: { QTALK_SUITES_DENO: deno },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // A group of its own, with what its tests start.
      detached: true,
    }).spawn();
    const errors = new Response(child.stderr).text();
    // What a test has left running would keep these streams open.
    void child.status.then(() => killGroup(child.pid));
    let begun: Said | undefined;
    const counts = new Map<string, number>();
    // A process that says nothing for so long hangs.
    let limit: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      clearTimeout(limit);
      limit = setTimeout(() => killGroup(child.pid), job.patience + 60_000);
    };
    watch();
    for await (const line of linesOf(child.stdout)) {
      if (!line.startsWith(MARK)) continue;
      watch();
      const said = JSON.parse(line.slice(MARK.length)) as Said;
      if (said.outcome === undefined || said.outcome === "left out") {
        const file = said.test.split(" => ")[0]!;
        counts.set(file, (counts.get(file) ?? 0) + 1);
      }
      if (said.outcome === undefined) begun = said;
      else {
        begun = undefined;
        if (said.outcome !== "left out") outcomes.push({ runtime, said });
      }
    }
    clearTimeout(limit);
    const { code, signal } = await child.status;
    if (begun === undefined && code === 0) break;
    const text = (await errors).trim().split("\n").slice(-20).join("\n");
    if (begun !== undefined) {
      const error = `The process ended with ${signal ?? code}: ${text}`;
      outcomes.push({ runtime, said: { ...begun, outcome: "failed", error } });
    } else if (code !== LATE) {
      const test = `${files[0]} => its process`;
      const error = `It ended with ${signal ?? code}: ${text}`;
      outcomes.push({ runtime, said: { test, outcome: "failed", error } });
      break;
    }
    // Go on after the test that was the last.
    const last = [...counts.keys()].at(-1)!;
    done = (files[0] === last ? done : 0) + counts.get(last)!;
    files = files.slice(files.indexOf(last));
  }
  return outcomes;
}

function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

/** What a run says of a test, unless it passed. */
function verdictOf({ runtime, said }: Outcome): {
  key: "passed" | "failed" | "ignored";
  line?: string;
} {
  const exception = exceptionFor(runtime, said.test);
  const of = `on ${RUNTIME_NAMES[runtime]}: ${said.test}`;
  if (said.outcome === "ignored") {
    return { key: "ignored", line: `skipped ${of}` };
  }
  if (exception === undefined && said.outcome === "failed") {
    return { key: "failed", line: `FAILED ${of}\n${said.error}` };
  }
  if (
    exception === undefined || exception.sometimes && said.outcome !== "failed"
  ) {
    return { key: "passed" };
  }
  return said.outcome === "failed"
    ? { key: "ignored", line: `skipped ${of} (${exception.reason})` }
    : {
      key: "failed",
      line: `FAILED ${of}\nIt is listed as an exception, and passes`,
    };
}

/** What came of a test that is listed, in one line. */
function outcomeLine({ runtime, said }: Outcome): string {
  const [error = ""] = (said.error ?? "").split("\n");
  return `${said.outcome} on ${RUNTIME_NAMES[runtime]}: ${said.test} ${error}`;
}

/** Splits files into batches, the largest files apart from each other. */
function batchesOf(
  runtime: Runtime,
  files: string[],
  run: "others" | "these",
): Batch[] {
  const tests = EXCEPTIONS.filter(({ on }) => on.includes(runtime))
    .map(({ tests }) => tests.source);
  const listed = { tests, run };
  const count = Math.ceil(files.length / BATCH);
  return Array.from({ length: count }, (_, i) => ({
    runtime,
    job: {
      files: files.filter((_, j) => j % count === i),
      listed,
      done: 0,
      patience: PATIENCE[run],
    },
  }));
}

function report(outcomes: Outcome[], complete: boolean): boolean {
  const counts = { passed: 0, failed: 0, ignored: 0 };
  const used = new Set<string>();
  for (const runtime of Object.keys(RUNTIME_NAMES) as Runtime[]) {
    const own = outcomes.filter((outcome) => outcome.runtime === runtime);
    if (own.length === 0) continue;
    const name = RUNTIME_NAMES[runtime];
    const here = { passed: 0, failed: 0, ignored: 0 };
    for (const outcome of own) {
      const exception = exceptionFor(runtime, outcome.said.test);
      if (exception !== undefined) used.add(`${exception.tests}`);
      here[verdictOf(outcome).key]++;
    }
    console.log(
      `${name}: ${here.passed} passed, ${here.failed} failed, ${here.ignored} skipped`,
    );
    for (const key of ["passed", "failed", "ignored"] as const) {
      counts[key] += here[key];
    }
  }
  if (complete) {
    for (const { tests } of EXCEPTIONS) {
      if (used.has(`${tests}`)) continue;
      counts.failed++;
      console.log(`FAILED: no test is that of the exception ${tests}`);
    }
  }
  const ok = counts.failed === 0 && counts.passed > 0;
  console.log(
    `suites: ${
      ok ? "ok" : "FAILED"
    } | ${counts.passed} passed | ${counts.failed} failed | ${counts.ignored} ignored`,
  );
  return ok;
}

async function main(args: string[]): Promise<number> {
  const short = args.includes("--short");
  const onlyExceptions = args.includes("--exceptions");
  const on = args.includes("--on")
    ? args[args.indexOf("--on") + 1]!.split(",") as Runtime[]
    : short
    ? ["node24", "bun"] as const
    : Object.keys(RUNTIME_NAMES) as Runtime[];
  const beginnings = args.filter((arg, i) =>
    !arg.startsWith("--") && args[i - 1] !== "--on"
  );
  const { installed, missing } = Deno.build.os === "windows"
    ? { missing: "they need Unix sockets and a shell" }
    : await installRuntimes();
  if (installed === undefined) {
    console.log(`suites: the tests on Node and Bun are skipped: ${missing}`);
    console.log("./tests/node_bun/suites.ts => suites ... ignored (0ms)");
    console.log("suites: ok | 0 passed | 0 failed | 1 ignored");
    return 0;
  }
  const folder = await Deno.makeTempDir({ prefix: "qtalk_suites_" });
  try {
    await writeTree(folder);
    const all = (await Promise.all(FOLDERS.map(testFiles))).flat();
    const files = all.filter((file) =>
      (!short || SHORT.test(file)) &&
      (beginnings.length === 0 ||
        beginnings.some((beginning) => file.startsWith(beginning)))
    );
    const batches: Batch[] = [];
    for (const runtime of on) {
      if (!onlyExceptions) batches.push(...batchesOf(runtime, files, "others"));
      // Those that should fail, whatever they leave behind.
      batches.push(...batchesOf(runtime, files, "these"));
    }
    const denos = new Map<Runtime, string>();
    for (const runtime of on) {
      const deno = `${folder}/deno-${runtime}`;
      await writeDeno(deno, folder, installed[runtime]);
      denos.set(runtime, deno);
    }
    const outcomes: Outcome[] = [];
    const work = async () => {
      for (;;) {
        const batch = batches.shift();
        if (batch === undefined) return;
        const { runtime } = batch;
        const found = await runBatch(
          batch,
          installed[runtime],
          denos.get(runtime)!,
          folder,
        );
        for (const outcome of found) {
          if (onlyExceptions) console.log(outcomeLine(outcome));
          const { line } = verdictOf(outcome);
          if (line !== undefined) console.log(line);
        }
        outcomes.push(...found);
      }
    };
    await Promise.all(
      Array.from({ length: navigator.hardwareConcurrency }, work),
    );
    const complete = !short && beginnings.length === 0 && on.length === 3;
    return report(outcomes, complete) ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));

/**
 * The tests of the library on Node and Bun: those of `codec`, `mux`, `rpc` and
 * `talk`, of the foundation, and the suites of the folders of tests/ below.
 *
 * `deno task suites --help` lists the options. What was skipped and the last line
 * are printed as `deno test` does, so that the gate can count them.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { addCounts, type Counts, countsOf } from "../support/counts.ts";
import { files } from "../support/docs.ts";
import { linesOf } from "../support/program.ts";
import { type Exception, EXCEPTIONS } from "./exceptions.ts";
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

const HELP = `Runs the library's tests on Node and Bun.

Usage: deno task suites [options] [FILE…]

  --short        the short form, which the gate runs: on Node 24 and Bun, the
                 codecs, and the conformance and property suites, with
                 fewer random cases
  --on A,B       only on these: ${Object.keys(RUNTIME_NAMES).join(", ")}
  --exceptions   only the tests that tests/node_bun/exceptions.ts lists, and
                 what came of each
  --help         print this

FILE is the beginning of the path of a test file, such as mux/. Node and Bun come
from npm, through npx. The exit code is 1 if a test failed, or if one passed that
is listed as an exception and does not pass at times.`;

/** The tests of the foundation of all layers. */
const FOUNDATION = [
  "abort_listeners_test.ts",
  "hex_test.ts",
  "state_machine_test.ts",
  "view_test.ts",
  "tests/printable_text_test.ts",
  "tests/queue_test.ts",
  "tests/time_limit_test.ts",
];
/** Folders whose tests run, except those of the command line. */
const FOLDERS = [
  "codec",
  "mux",
  "rpc",
  "talk",
  "tests/conformance",
  "tests/property",
  "tests/faults",
  "tests/golden",
  "tests/resume",
  "tests/fuzz",
];
/** What `--short` runs. */
const SHORT = /^(?:codec|tests\/conformance|tests\/property)\//;
/** The part of the random cases that it runs: on Deno, the gate runs all of them. */
const SHORT_SHARE = "0.3";
/**
 * The command line is a program for Deno, only Deno has QUIC, and the search for the
 * worst values takes minutes and needs V8.
 */
const LEFT_OUT =
  /^talk\/cli\/|^tests\/conformance\/quic_test|^tests\/faults\/tunnel_kills_test|^tests\/fuzz\/worst_test/;
/** Files that one process runs. */
const BATCH = 6;
/** Milliseconds of a test, and of one that is listed as an exception. */
const PATIENCE = { others: 120_000, these: 10_000 };

/** Whether a test is one that passes on a runtime, as far as its name says. */
export function runsOn(runtime: Runtime, file: string, test: string): boolean {
  const isThere = FOUNDATION.includes(file) ||
    FOLDERS.some((folder) => file.startsWith(`${folder}/`));
  return isThere && file.endsWith("_test.ts") && !LEFT_OUT.test(file) &&
    exceptionFor(runtime, `${file} => ${test}`) === undefined;
}

/** What came of a test. */
export interface Outcome {
  runtime: Runtime;
  said: Said;
}

/** The files of a runtime that a process runs. */
interface Batch {
  runtime: Runtime;
  job: Job;
}

function testFiles(folder: string): string[] {
  return [...files(`${folder}/`)]
    .filter((path) => path.endsWith("_test.ts") && !LEFT_OUT.test(path))
    .sort();
}

/** What is listed for a test. */
function exceptionFor(runtime: Runtime, test: string) {
  return EXCEPTIONS.find(({ on, tests }) =>
    on.includes(runtime) && tests.test(test)
  );
}

/**
 * Runs files in one process, or in more if one ends too early.
 *
 * @param onLeftOut gets the files of tests that were left out
 */
async function runBatch(
  { runtime, job }: Batch,
  command: readonly string[],
  deno: string,
  folder: string,
  onLeftOut: (file: string) => void,
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
        if (said.outcome !== undefined) onLeftOut(file);
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
      for (const file of files) onLeftOut(file);
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
export function verdictOf(
  { runtime, said }: Outcome,
  exception: Exception | undefined = exceptionFor(runtime, said.test),
): {
  key: keyof Counts;
  line?: string;
} {
  const name = RUNTIME_NAMES[runtime];
  const failed = (error = "") => ({
    key: "failed" as const,
    line: `FAILED on ${name}: ${said.test}\n${error}`,
  });
  // As `deno test` says it.
  const ignored = (reason = "") => ({
    key: "skipped" as const,
    line: `./${said.test}${reason} ... ignored (${name})`,
  });
  if (said.outcome === "ignored") return ignored();
  if (exception === undefined) {
    return said.outcome === "failed" ? failed(said.error) : { key: "passed" };
  }
  const { reason, upstream, sometimes } = exception;
  if (said.outcome === "failed") {
    const where = typeof upstream === "string" ? `; ${upstream}` : "";
    return ignored(` (not here: ${reason}${where})`);
  }
  return sometimes
    ? { key: "passed" }
    : failed("It is listed as an exception, and passes");
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

/** The last line, in the form of that of `deno test`. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  const how = failed === 0 && passed + skipped > 0 ? "ok" : "FAILED";
  return `suites: ${how} | ${passed} passed | ${failed} failed | ${skipped} ignored`;
}

/** What is printed where there are no Node and Bun. */
export function missingLines(reason: string): string[] {
  return [
    `suites: the tests on Node and Bun are skipped: ${reason}`,
    "./tests/node_bun/suites.ts => suites ... ignored (0ms)",
    closingLine({ passed: 0, failed: 0, skipped: 1 }),
  ];
}

function report(outcomes: Outcome[], complete: boolean): boolean {
  let counts = countsOf("");
  const used = new Set<string>();
  for (const runtime of Object.keys(RUNTIME_NAMES) as Runtime[]) {
    const own = outcomes.filter((outcome) => outcome.runtime === runtime);
    if (own.length === 0) continue;
    const here = countsOf("");
    for (const outcome of own) {
      const exception = exceptionFor(runtime, outcome.said.test);
      if (exception !== undefined) used.add(`${exception.tests}`);
      here[verdictOf(outcome).key]++;
    }
    const { passed, failed, skipped } = here;
    console.log(
      `${
        RUNTIME_NAMES[runtime]
      }: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    );
    counts = addCounts(counts, here);
  }
  if (complete) {
    for (const { tests } of EXCEPTIONS) {
      if (used.has(`${tests}`)) continue;
      counts.failed++;
      console.log(`FAILED: no test is that of the exception ${tests}`);
    }
  }
  console.log(closingLine(counts));
  return counts.failed === 0 && counts.passed + counts.skipped > 0;
}

/** The runtimes that an option names. */
function runtimesOf(names: string): Runtime[] {
  return names.split(",").map((name) => {
    if (name in RUNTIME_NAMES) return name as Runtime;
    const known = Object.keys(RUNTIME_NAMES).join(", ");
    console.error(`Cannot use --on: "${name}" is none of ${known}`);
    Deno.exit(2);
  });
}

async function main(args: string[]): Promise<number> {
  const { values: flags, positionals: beginnings } = parseArgs({
    // `deno task` passes `--` on to the program.
    args: args.filter((arg) => arg !== "--"),
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      exceptions: { type: "boolean", default: false },
      on: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const { short, exceptions: onlyExceptions } = flags;
  const on = flags.on !== undefined
    ? runtimesOf(flags.on)
    : short
    ? ["node24", "bun"] as const
    : Object.keys(RUNTIME_NAMES) as Runtime[];
  const { installed, missing } = Deno.build.os === "windows"
    ? { missing: "they need Unix sockets and a shell" }
    : await installRuntimes();
  if (installed === undefined) {
    for (const line of missingLines(missing!)) console.log(line);
    return 0;
  }
  const folder = await Deno.makeTempDir({ prefix: "qtalk_suites_" });
  try {
    await writeTree(folder);
    const all = [...FOUNDATION, ...FOLDERS.flatMap(testFiles)];
    const selected = all.filter((file) =>
      (!short || SHORT.test(file)) &&
      (beginnings.length === 0 ||
        beginnings.some((beginning) => file.startsWith(beginning)))
    );
    if (short && !Deno.env.has("QTALK_SEED_SHARE")) {
      Deno.env.set("QTALK_SEED_SHARE", SHORT_SHARE);
    }
    let batches: Batch[] = [];
    /** Files with tests that are listed as exceptions. */
    const listed = new Map(on.map((runtime) => [runtime, new Set<string>()]));
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
          (file) => listed.get(runtime)!.add(file),
        );
        for (const outcome of found) {
          if (onlyExceptions) console.log(outcomeLine(outcome));
          const { line } = verdictOf(outcome);
          if (line !== undefined) console.log(line);
        }
        outcomes.push(...found);
      }
    };
    // Those that should fail run last, because they may leave something behind.
    for (const run of ["others", "these"] as const) {
      if (onlyExceptions && run === "others") continue;
      batches = on.flatMap((runtime) => {
        const found = selected.filter((file) =>
          onlyExceptions || run === "others" || listed.get(runtime)!.has(file)
        );
        return batchesOf(runtime, found, run);
      });
      await Promise.all(
        Array.from({ length: navigator.hardwareConcurrency }, work),
      );
    }
    const complete = !short && beginnings.length === 0 && on.length === 3;
    return report(outcomes, complete) ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));

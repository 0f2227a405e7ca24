/**
 * Runs test files inside Node or Bun:
 *
 *     run.ts JOB
 *
 * Prints lines of JSON between other output, each after a mark: a test begins,
 * and how it ended.
 *
 * @module
 */
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { takeStray } from "./deno.ts";
import { type Job, LATE, MARK, type Said } from "./job.ts";
import {
  type Context,
  definition,
  type Registered,
  takeRegistered,
} from "./registry.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** The runtime's own, whatever a test puts in their place. */
const { setTimeout, clearTimeout } = globalThis;
/** What keeps a process alive and is no leak of a test. */
const OWN =
  /^(?:TTYWrap|PipeWrap|FSReqCallback|FSReqPromise|CloseReq|Immediate|WriteWrap|ShutdownWrap)$/;

/** A test that did not end in its time. */
class Late extends Error {}

/** What fails the test that runs: an error that nothing took. */
let onStray: (error: unknown) => void = () => {};
process.on("unhandledRejection", (reason) => {
  if (!takeStray("unhandledrejection", reason)) onStray(reason);
});
process.on("uncaughtException", (error) => {
  if (!takeStray("error", error)) onStray(error);
});
// Node makes a timer and a listener for all connections of WebSockets and fetch()
// when a program first makes one. They are not those of a test.
if (!("Bun" in globalThis)) {
  await new Promise((resolve) => {
    new WebSocket("ws://127.0.0.1:65535").addEventListener("error", resolve);
  });
  await fetch("http://127.0.0.1:65535").catch(() => {});
}
// A test that waits for what never comes fails in its time, and not by the end of
// the process.
setInterval(() => {}, 2 ** 30);

// Node 22 lacks these, and tests use them.
RegExp.escape ??= (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
globalThis.CloseEvent ??= class extends Event implements CloseEvent {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(
    type: string,
    { code = 0, reason = "", wasClean = false, ...init }: CloseEventInit = {},
  ) {
    super(type, init);
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
};

function say(said: Said): void {
  process.stdout.write(`\n${MARK}${JSON.stringify(said)}\n`);
}

/** The kinds of resources that are open, each with how many. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>();
  const names = process.getActiveResourcesInfo?.() ?? [];
  for (const name of names) {
    if (!OWN.test(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** What is open that was not open before; it has some turns to go away. */
async function leaked(before: Map<string, number>): Promise<string[]> {
  let left: string[] = [];
  for (let i = 0; i < 200; i++) {
    left = [...resources()]
      .filter(([name, count]) => count > (before.get(name) ?? 0))
      .map(([name]) => name);
    if (left.length === 0) break;
    // What keeps no process alive is no resource.
    await new Promise((resolve) => setTimeout(resolve, 2).unref());
  }
  return left;
}

/** Runs a body with its steps; rejects with the first error. */
async function runBody({ name, fn }: Registered): Promise<void> {
  let failure: { error: unknown } | undefined;
  const context: Context = {
    name,
    async step(...args) {
      const step = definition(args);
      if (step.ignore) return false;
      try {
        await runBody(step);
        return true;
      } catch (error) {
        failure ??= { error };
        return false;
      }
    },
  };
  await fn(context);
  if (failure !== undefined) throw failure.error;
}

async function runTest(test: Registered, patience: number): Promise<void> {
  const before = resources();
  const stray = Promise.withResolvers<never>();
  stray.promise.catch(() => {});
  onStray = stray.reject;
  const late = () => stray.reject(new Late(`It took more than ${patience} ms`));
  const timer = setTimeout(late, patience);
  try {
    await Promise.race([runBody(test), stray.promise]);
    // Rejections that nothing handles are reported in a later turn.
    await Promise.race([
      new Promise((resolve) => setImmediate(resolve)),
      stray.promise,
    ]);
  } finally {
    clearTimeout(timer);
  }
  const left = await leaked(before);
  if (left.length > 0) throw new Error(`It leaves open: ${left.join(", ")}`);
}

async function runFile(file: string, job: Job, done: number): Promise<void> {
  const { listed, patience } = job;
  try {
    await import(pathToFileURL(`${ROOT}${file}`).href);
  } catch (error) {
    say({
      test: `${file} => its modules`,
      outcome: "failed",
      error: said(error),
    });
    takeRegistered();
    return;
  }
  for (const test of takeRegistered().slice(done)) {
    const name = `${file} => ${test.name}`;
    const isListed = listed.tests.some((pattern) =>
      new RegExp(pattern).test(name)
    );
    if (isListed !== (listed.run === "these")) {
      say({ test: name, outcome: "left out" });
      continue;
    }
    say({ test: name });
    if (test.ignore) {
      say({ test: name, outcome: "ignored" });
      continue;
    }
    const start = performance.now();
    const ms = () => Math.round(performance.now() - start);
    try {
      await runTest(test, patience);
      say({ test: name, outcome: "passed", ms: ms() });
    } catch (error) {
      say({ test: name, outcome: "failed", error: said(error), ms: ms() });
      // What still runs of it would disturb the next.
      if (error instanceof Late) process.exit(LATE);
    }
  }
}

/** An error with its stack and those of its causes. */
function said(error: unknown): string {
  return error instanceof Error ? inspect(error) : `${error}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const job = JSON.parse(process.argv[2]!) as Job;
  for (const [i, file] of job.files.entries()) {
    await runFile(file, job, i === 0 ? job.done : 0);
  }
  process.exit();
}

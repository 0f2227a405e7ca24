import { settlesWithin, timeLimit } from "../../time_limit.ts";
import {
  CommandExitError,
  type CommandStatus,
  STDIO_ADVICE,
} from "../errors.ts";
import { builtinModule, requiredModule } from "./node/builtin.ts";
import type {
  AdvisingTransport,
  GatheringTransport,
  KeptTransport,
} from "./types.ts";
import type { NodeReadable, NodeWritable } from "./node/streams.ts";

/** Milliseconds for a child to exit by itself, and again after each signal. */
const EXIT_TIMEOUT = 1_000;
/** Bytes that are taken from a pipe of Node and were not read, until it is paused. */
const MAX_HELD = 256 * 1024;

/** What is used of a `Deno.ChildProcess`. */
export interface ChildProcessLike {
  /** The ID of the process. */
  readonly pid: number;
  /** Its standard input; throws if it is not piped. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Its standard output; throws if it is not piped. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Its standard error; throws if it is not piped. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. */
  readonly status: Promise<CommandStatus>;
  /** Sends it a signal. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Uses stdin and stdout of a child process as a transport, which owns the child.
 * `close()` closes the child's stdin and waits one second for it to exit. Then it
 * sends SIGTERM and, after another second, SIGKILL.
 *
 * The output of a child that crashes ends as that of any other. Its end is
 * therefore not read before it is known how the child ended, for which it has one
 * second, and a child that failed makes `read()` reject with a
 * {@linkcode CommandExitError}.
 *
 * @param child a process spawned with stdin and stdout `"piped"`
 */
export function childTransport(
  child: Pick<ChildProcessLike, "stdin" | "stdout" | "status" | "kill">,
): AdvisingTransport & KeptTransport & GatheringTransport {
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  let closing: Promise<void> | undefined;
  let outputEnded = false;
  let status: CommandStatus | undefined;
  let cancelLimit: (() => void) | undefined;
  void child.status.then((ended) => {
    status = ended;
    if (ended.success || outputEnded || closing !== undefined) return;
    // A process that the child has started may still hold the pipe open.
    cancelLimit = timeLimit(EXIT_TIMEOUT, () => void reader.cancel());
  });

  async function readEnd(): Promise<null> {
    outputEnded = true;
    cancelLimit?.();
    // close() may end the child, and calls no such end a failure.
    if (closing !== undefined) return null;
    await settlesWithin(EXIT_TIMEOUT, child.status);
    if (closing !== undefined || status === undefined || status.success) {
      return null;
    }
    throw new CommandExitError(status);
  }

  async function close(): Promise<void> {
    cancelLimit?.();
    // A child that does not read blocks the write before this, and this too.
    const inputClosed = Promise.allSettled([writer.close()]);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (await settlesWithin(EXIT_TIMEOUT, child.status)) break;
      try {
        child.kill(signal);
      } catch {
        break; // It has just exited.
      }
    }
    await child.status;
    // A process that the child has started may still hold the pipes open.
    await settlesWithin(
      EXIT_TIMEOUT,
      Promise.allSettled([inputClosed, reader.cancel()]),
    );
  }

  return {
    advice: STDIO_ADVICE,
    keepAlive: { signs: 0 },
    // A write to a pipe takes more than one to a socket: with 64 calls in flight, this
    // takes 8 to 16 % less CPU time than 2 KiB (tests/bench/LOG.md).
    earlyWrite: 4 * 1024,
    async read() {
      const { done, value } = await reader.read();
      return done ? await readEnd() : value;
    },
    // The stream passes a chunk to the pipe before its write resolves.
    write: (bytes) => writer.write(bytes),
    closeWrite: () => writer.close(),
    close: () => closing ??= close(),
  };
}

/** What is used of a `child_process.ChildProcess`. */
interface ChildProcess {
  readonly pid?: number | undefined;
  readonly stdin: NodeWritable;
  readonly stdout: NodeReadable;
  readonly stderr: NodeReadable | null;
  on(event: string, listener: (...args: never[]) => void): unknown;
  kill(signal: string): boolean;
}

/** What is used of `node:child_process`. */
interface ChildProcessModule {
  spawn(
    command: string | URL,
    args: readonly string[],
    options: object,
  ): ChildProcess;
}

/** What is used of `node:os`. */
interface OsModule {
  readonly constants: { readonly signals: Readonly<Record<string, number>> };
}

/** What is used of `node:url`, which knows the paths of Windows. */
interface UrlModule {
  fileURLToPath(url: URL): string;
}

/** What is used of Node's `process`, which Bun has as well. */
interface ProcessLike {
  readonly env: Readonly<Record<string, string>>;
}

/** How a command is started. */
export interface NodeCommandOptions {
  /** Its arguments. */
  args: readonly string[];
  /** Its working directory. */
  cwd?: string | URL | undefined;
  /** Environment variables. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Whether it does not get the environment of this process. */
  clearEnv: boolean;
  /** What becomes of its stderr. */
  stderr: "inherit" | "null" | "piped";
}

/**
 * Starts a command on Node or Bun; undefined where there are no processes.
 *
 * @throws {Error} if it cannot be started
 */
export function spawnOnNode(
  command: string | URL,
  { args, cwd, env, clearEnv, stderr }: NodeCommandOptions,
): ChildProcessLike | undefined {
  const module = builtinModule<ChildProcessModule>("node:child_process");
  if (module === undefined) return undefined;
  const { process } = globalThis as unknown as { process: ProcessLike };
  const path = command instanceof URL
    ? requiredModule<UrlModule>("node:url").fileURLToPath(command)
    : command;
  const child = module.spawn(path, [...args], {
    ...(cwd !== undefined && { cwd }),
    env: clearEnv ? { ...env } : { ...process.env, ...env },
    stdio: [
      "pipe",
      "pipe",
      stderr === "null" ? "ignore" : stderr === "piped" ? "pipe" : stderr,
    ],
    windowsHide: true,
  });
  const ended = Promise.withResolvers<CommandStatus>();
  child.on("error", () => {});
  child.on("exit", (code: number | null, signal: string | null) => {
    const { constants } = requiredModule<OsModule>("node:os");
    const number = code ?? 128 + (constants.signals[signal ?? ""] ?? 0);
    ended.resolve({ success: code === 0, code: number, signal });
  });
  if (child.pid === undefined) {
    throw new Error(
      `"${path}" was not found, or may not be run${
        cwd === undefined ? "" : `, or there is no directory "${cwd}"`
      }`,
    );
  }
  const errors = child.stderr;
  const output = readableOf(child.stdout);
  const piped = errors === null ? undefined : readableOf(errors);
  return {
    pid: child.pid,
    stdin: writableOf(child.stdin),
    stdout: output,
    get stderr() {
      if (piped === undefined) throw new TypeError("stderr is not piped");
      return piped;
    },
    status: ended.promise,
    kill: (signal) => void child.kill(signal),
  };
}

/**
 * Reads a pipe of Node at the pace of its reader. Node resumes a pipe that is
 * paused when the process has exited, so more can arrive than was asked for. Each
 * chunk, and the end, is passed on when it is asked for: Bun's `pipeTo()` misses the
 * failure of its destination if the source has ended before.
 */
function readableOf(input: NodeReadable): ReadableStream<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let held = 0;
  let end: ((controller: ReadableStreamDefaultController) => void) | undefined;
  let wake = () => {};
  const endWith = (how: typeof end) => {
    end ??= how;
    wake();
  };
  input.pause();
  input.on("data", ({ buffer, byteOffset, byteLength }: Uint8Array) => {
    // A `Buffer` is not what programs expect: its slice() does not copy.
    chunks.push(new Uint8Array(buffer, byteOffset, byteLength));
    held += byteLength;
    if (held >= MAX_HELD) input.pause();
    wake();
  });
  input.on("end", () => endWith((controller) => controller.close()));
  input.on(
    "error",
    (error) => endWith((controller) => controller.error(error)),
  );
  input.on(
    "close",
    () => endWith((controller) => controller.error(pipeClosed())),
  );
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (chunks.length === 0 && end === undefined) {
        input.resume();
        await new Promise<void>((resolve) => wake = resolve);
      }
      const chunk = chunks.shift();
      if (chunk === undefined) return end?.(controller);
      held -= chunk.length;
      controller.enqueue(chunk);
    },
    cancel() {
      // Bun would go on with a read that has begun.
      input.pause();
      input.destroy();
    },
  }, { highWaterMark: 0 });
}

/** Writes to a pipe of Node, and waits until the system has the bytes. */
function writableOf(output: NodeWritable): WritableStream<Uint8Array> {
  let fail: ((reason: unknown) => void) | undefined;
  const settled = (
    begin: (done: (error?: unknown) => void) => void,
  ): Promise<void> =>
    new Promise((resolve, reject) => {
      fail = reject;
      begin((error) => error ? reject(error) : resolve());
    });
  return new WritableStream<Uint8Array>({
    start(controller) {
      // Without a listener, an error of a stream ends the process.
      output.on("error", (error) => controller.error(error));
      output.on("close", () => {
        // Node does not call back a write that is under way.
        fail?.(pipeClosed());
        controller.error(pipeClosed());
      });
    },
    write: (bytes) => settled((done) => output.write(bytes, done)),
    close: () => settled((done) => output.end(done)),
    abort: () => void output.destroy(),
  });
}

function pipeClosed(): Error {
  return new Error("the pipe is closed");
}

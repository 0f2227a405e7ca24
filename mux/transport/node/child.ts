import type { CommandStatus } from "../../errors.ts";
import type { ChildProcessLike } from "../child.ts";
import { builtinModule } from "./builtin.ts";
import {
  type NodeReadable,
  NodeTransport,
  type NodeWritable,
} from "./streams.ts";

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
  const { process } = globalThis as unknown as {
    process: { env: Record<string, string> };
  };
  const path = command instanceof URL
    ? decodeURIComponent(command.pathname)
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
    const number = code ?? 128 + signalNumber(signal);
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

function signalNumber(signal: string | null): number {
  const os = builtinModule<{
    constants: { signals: Record<string, number> };
  }>("node:os");
  return os?.constants.signals[signal ?? ""] ?? 0;
}

/** Reads a stream of Node at the pace of its reader. */
function readableOf(input: NodeReadable): ReadableStream<Uint8Array> {
  const transport = new NodeTransport(input, NOWHERE);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const bytes = await transport.read();
      if (bytes === null) controller.close();
      else controller.enqueue(bytes);
    },
    cancel: () => transport.close(),
  }, { highWaterMark: 0 });
}

/** Writes to a stream of Node. */
function writableOf(output: NodeWritable): WritableStream<Uint8Array> {
  const transport = new NodeTransport(NOTHING, output);
  return new WritableStream<Uint8Array>({
    write: (bytes) => transport.write(bytes),
    close: () => transport.closeWrite(),
    abort: () => transport.close(),
  });
}

/** The other half of a stream that has one direction only. */
const NOTHING: NodeReadable = /* @__PURE__ */ Object.freeze({
  on() {},
  pause() {},
  resume() {},
  destroy() {},
});
const NOWHERE: NodeWritable = /* @__PURE__ */ Object.freeze({
  on() {},
  writableLength: 0,
  write: () => true,
  end() {},
  destroy() {},
});

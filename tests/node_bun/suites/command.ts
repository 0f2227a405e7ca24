/**
 * `Deno.Command`, over `node:child_process`.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import os from "node:os";
import process from "node:process";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { spawnOnNode } from "../../../mux/transport/child.ts";
import { systemError } from "../../../mux/transport/node/streams.ts";

/** What becomes of a stream of a command. */
type Stdio = "piped" | "inherit" | "null";

/** What of the options is known here. */
interface CommandOptions {
  args?: string[];
  cwd?: string | URL;
  env?: Record<string, string>;
  clearEnv?: boolean;
  signal?: AbortSignal;
  stdin?: Stdio;
  stdout?: Stdio;
  stderr?: Stdio;
}

/** How a process ended. */
interface Status {
  success: boolean;
  code: number;
  signal: string | null;
}

const WORDS = { piped: "pipe", inherit: "inherit", null: "ignore" } as const;

/** `Deno.Command`. */
export class Command {
  readonly #program: string;
  readonly #options: CommandOptions;

  constructor(program: string | URL, options: CommandOptions = {}) {
    this.#program = program instanceof URL ? fileURLToPath(program) : program;
    this.#options = options;
  }

  spawn() {
    const { stdin = "inherit", stdout = "inherit", stderr = "inherit" } =
      this.#options;
    const { cwd, env, clearEnv = false, signal } = this.#options;
    const args = this.#options.args ?? [];
    // The library's own, where the library would start it.
    if (stdin === "piped" && stdout === "piped" && signal === undefined) {
      const how = { args, cwd, env, clearEnv, stderr };
      const child = spawnOnNode(this.#program, how)!;
      return Object.defineProperties(child, {
        output: { value: () => outputOf(child, stdout, stderr) },
      }) as typeof child & { output(): ReturnType<typeof outputOf> };
    }
    const child = spawn(this.#program, args, {
      ...cwd !== undefined && { cwd },
      ...signal !== undefined && { signal, killSignal: "SIGTERM" },
      env: clearEnv ? { ...env } : { ...process.env, ...env },
      stdio: [WORDS[stdin], WORDS[stdout], WORDS[stderr]],
    });
    const status = statusOf(child);
    if (child.pid === undefined) {
      child.on("error", () => {});
      throw Object.assign(new Error(`"${this.#program}" was not found`), {
        name: "NotFound",
      });
    }
    const streams = {
      stdin: child.stdin && Writable.toWeb(child.stdin),
      stdout: child.stdout && Readable.toWeb(child.stdout),
      stderr: child.stderr && Readable.toWeb(child.stderr),
    };
    const of = (name: keyof typeof streams) => {
      const stream = streams[name];
      if (stream === null) throw new TypeError(`${name} is not piped`);
      return stream;
    };
    return {
      pid: child.pid,
      status,
      output() {
        return outputOf(this, stdout, stderr);
      },
      get stdin() {
        return of("stdin");
      },
      get stdout() {
        return of("stdout");
      },
      get stderr() {
        return of("stderr");
      },
      kill: (signal: NodeJS.Signals = "SIGTERM") => void child.kill(signal),
      ref: () => child.ref(),
      unref: () => child.unref(),
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGTERM");
        await status;
      },
    };
  }

  async output() {
    const { stdin = "null", stdout = "piped", stderr = "piped" } =
      this.#options;
    const command = new Command(this.#program, {
      ...this.#options,
      stdin,
      stdout,
      stderr,
    });
    const child = command.spawn();
    return await outputOf(child, stdout, stderr);
  }
}

/** What is used of a child for its output. */
interface Speaking {
  readonly stdout: unknown;
  readonly stderr: unknown;
  readonly status: Promise<Status>;
}

/** What a child writes to its end. */
async function outputOf(child: Speaking, stdout: Stdio, stderr: Stdio) {
  const bytesOf = async (stdio: Stdio, name: "stdout" | "stderr") =>
    stdio === "piped"
      ? new Uint8Array(
        await new Response(child[name] as ReadableStream).arrayBuffer(),
      )
      : new Uint8Array(0);
  const [out, err, status] = await Promise.all([
    bytesOf(stdout, "stdout"),
    bytesOf(stderr, "stderr"),
    child.status,
  ]);
  return { ...status, stdout: out, stderr: err };
}

/** `Deno.kill()`. */
export function kill(pid: number, signal: NodeJS.Signals = "SIGTERM"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    throw systemError(error);
  }
}

function statusOf(child: ChildProcess): Promise<Status> {
  return new Promise((resolve) => {
    child.on("error", () => {});
    child.on("exit", (code, signal) => {
      const number = code ?? 128 + os.constants.signals[signal!];
      resolve({ success: code === 0, code: number, signal });
    });
  });
}

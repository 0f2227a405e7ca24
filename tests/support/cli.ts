/**
 * Runs the command line as people do: as a process of its own.
 *
 * @module
 */
import { within } from "./within.ts";

const MAIN = new URL("../../talk/cli/main.ts", import.meta.url).pathname;

/**
 * Milliseconds after which a command has failed: to start one, with the modules that
 * it loads, takes a busy machine ten seconds and more.
 */
const PATIENCE = 60_000;

/** How a command is run. */
export interface CliOptions {
  /** What it reads; nothing if it is not said. */
  stdin?: string | Uint8Array<ArrayBuffer>;
  /** Variables beyond those of the tests. */
  env?: Record<string, string>;
  /** The permissions that it gets. Default: all. */
  permissions?: readonly string[];
  /** The program that it is run by, and that program's first arguments. */
  by?: readonly [string, ...string[]];
  /** Where it runs. */
  cwd?: string;
}

/** What came of it. */
export interface CliOutput {
  code: number;
  stdout: string;
  stderr: string;
}

/** The words that run the command line. */
export function cliCommand(
  args: readonly string[],
  permissions: readonly string[] = ["-A"],
): [string, ...string[]] {
  return [Deno.execPath(), "run", ...permissions, MAIN, ...args];
}

/** A command that runs. */
export interface RunningCli extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  /**
   * Reads lines of its standard output until one matches; fails with all that
   * it said if none does.
   */
  line(pattern: RegExp): Promise<string>;
  /** The same, of its standard error. */
  errorLine(pattern: RegExp): Promise<string>;
  /** Nobody reads its standard output any more. */
  dropOutput(): Promise<void>;
  /** Waits for its end, telling it to end if a signal is given. */
  end(signal?: Deno.Signal): Promise<CliOutput>;
}

/** Starts a command; the caller disposes of it. */
export function startCli(
  args: readonly string[],
  { env = {}, permissions, by = ["env"], cwd, stdin }: CliOptions = {},
): RunningCli {
  const [program, ...first] = by;
  const child = new Deno.Command(program, {
    args: [...first, ...cliCommand(args, permissions)],
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    env: { QTALK_CODEC: "", ...env },
    ...(cwd !== undefined && { cwd }),
  }).spawn();
  const out = new Lines(child.stdout), err = new Lines(child.stderr);
  let output: Promise<CliOutput> | undefined;
  async function collect(): Promise<CliOutput> {
    const [stdout, stderr, { code }] = await Promise.all([
      out.all(),
      err.all(),
      child.status,
    ]);
    return { code, stdout, stderr };
  }
  return {
    child,
    line: (pattern) =>
      within(out.find(pattern, err), `a line like ${pattern}`, PATIENCE),
    errorLine: (pattern) =>
      within(err.find(pattern, out), `a line like ${pattern}`, PATIENCE),
    dropOutput: () => out.cancel(),
    end(signal) {
      if (signal !== undefined) child.kill(signal);
      output ??= collect();
      return within(output, `${args.join(" ")} to end`, PATIENCE);
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      if (stdin !== undefined && !child.stdin.locked) {
        await child.stdin.abort().catch(() => {});
      }
      await (output ??= collect());
    },
  };
}

/** Runs a command to its end. */
export async function cli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliOutput> {
  await using running = startCli(args, options);
  if (options.stdin !== undefined) {
    const writer = running.child.stdin.getWriter();
    const bytes = typeof options.stdin === "string"
      ? new TextEncoder().encode(options.stdin)
      : options.stdin;
    // It may end before it has read all of it.
    writer.write(bytes).catch(() => {});
    writer.close().catch(() => {});
  }
  return await running.end();
}

/** The lines of an output, as they come. */
class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";
  #searched = 0;
  #ended = false;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The first line from here on that matches. */
  async find(pattern: RegExp, other: Lines): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n", this.#searched);
      if (end >= 0) {
        const line = this.#text.slice(this.#searched, end);
        this.#searched = end + 1;
        if (pattern.test(line)) return line;
      } else if (!await this.#more()) {
        throw new Error(`There was no line like ${pattern} in: ${this.#text}
and on the other stream: ${await other.all()}`);
      }
    }
  }

  async all(): Promise<string> {
    while (await this.#more()) { /* Until the end. */ }
    return this.#text;
  }

  async cancel(): Promise<void> {
    this.#ended = true;
    await this.#reader.cancel();
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    const { done, value } = await this.#reader.read();
    if (done) this.#ended = true;
    else this.#text += value;
    return !done;
  }
}

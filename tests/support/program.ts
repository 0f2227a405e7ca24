/**
 * A program in a process of its own, whose lines tests wait for.
 *
 * @module
 */
import { within } from "./within.ts";

/** A program that runs. */
export interface RunningProgram extends AsyncDisposable {
  /** Its process. */
  readonly child: Deno.ChildProcess;
  /** Waits for a line of its standard output; fails if it ends without it. */
  line(expected: string | RegExp): Promise<string>;
  /** Waits for its end. */
  ended(): Promise<Deno.CommandStatus>;
}

/**
 * Starts a program; the caller disposes of it.
 *
 * @param program the program
 * @param args its arguments
 * @param stderr what becomes of its standard error. Default: it is shown
 */
export function startProgram(
  program: string,
  args: readonly string[],
  stderr: "inherit" | "null" = "inherit",
): RunningProgram {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr,
  }).spawn();
  const lines = linesOf(child.stdout);
  const seen: string[] = [];
  return {
    child,
    async line(expected) {
      for (;;) {
        const { done, value } = await within(lines.next(), `"${expected}"`);
        if (done) {
          throw new Error(`There was no line "${expected}" in: ${seen}`);
        }
        seen.push(value);
        if (
          expected instanceof RegExp ? expected.test(value) : value === expected
        ) {
          return value;
        }
      }
    },
    ended: () => within(child.status, "its end"),
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await lines.return(undefined);
    },
  };
}

/** The lines of an output, without an incomplete last one. */
export async function* linesOf(
  output: ReadableStream<Uint8Array>,
): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  return undefined;
}

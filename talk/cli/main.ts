/**
 * The command line: calls, serves, proxies, tunnels and checks from a shell.
 *
 * ```sh
 * deno install --global --allow-all --name qtalk jsr:@qtalk/qtalk/cli
 * qtalk call tcp://127.0.0.1:9999/Upper hello
 * ```
 *
 * | exit code | meaning |
 * | --- | --- |
 * | 0 | done |
 * | 1 | the other side answered with an error, or failed a check |
 * | 2 | the command line makes no sense |
 * | 3 | no connection, or it was lost, or no answer came |
 * | 4 | something failed on this side |
 *
 * Results go to standard output, everything else to standard error. Colour and
 * progress go to a terminal only, colour not with `NO_COLOR` set.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { bench } from "./commands/bench.ts";
import { call } from "./commands/call.ts";
import { check } from "./commands/check.ts";
import { type Command, PROGRAM, twoColumns } from "./command.ts";
import { EXIT, exitCodeOf, OutputClosed, UsageError } from "./exit_code.ts";
import { interop } from "./commands/interop.ts";
import { proxy } from "./commands/proxy.ts";
import { serve } from "./commands/serve.ts";
import { Terminal } from "./terminal.ts";
import { tunnel } from "./commands/tunnel.ts";

const COMMANDS: readonly Command[] = Object.freeze([
  call,
  serve,
  proxy,
  tunnel,
  interop,
  check,
  bench,
]);

/** What `--help` prints. */
function help(): string {
  return `Talks to programs that speak qtalk.

Usage: ${PROGRAM} COMMAND …

${twoColumns(COMMANDS.map(({ name, summary }) => [name, summary]))}

${PROGRAM} COMMAND --help says more; ${PROGRAM} --version prints the version.

Exit codes:

${
    twoColumns([
      ["0", "done"],
      ["1", "the other side answered with an error, or failed a check"],
      ["2", "the command line makes no sense"],
      ["3", "no connection, or it was lost, or no answer came"],
      ["4", "something failed on this side"],
    ])
  }`;
}

/**
 * Runs a command line.
 *
 * @param args the words behind the program's name
 * @returns the exit code; never rejects
 */
export async function main(args: readonly string[]): Promise<number> {
  const terminal = new Terminal();
  const [name, ...rest] = args;
  const command = COMMANDS.find((command) => command.name === name);
  let code: number;
  try {
    code = command === undefined
      ? withoutCommand(name, terminal)
      : await command.run(rest, terminal);
    terminal.flush();
  } catch (error) {
    code = exitCodeOf(error);
    if (!(error instanceof OutputClosed)) terminal.error(error);
    if (error instanceof UsageError) {
      terminal.note(command?.usage ?? `Usage: ${PROGRAM} COMMAND …`);
      terminal.note(`${PROGRAM} ${command ? `${name} ` : ""}--help says more.`);
    }
  }
  return code;
}

function withoutCommand(name: string | undefined, terminal: Terminal): number {
  if (name === "--help" || name === "-h") terminal.print(help());
  else if (name === "--version") terminal.print(`${PROGRAM} ${config.version}`);
  else if (name === undefined) {
    terminal.note(help());
    return EXIT.usage;
  } else throw new UsageError(`Cannot run "${name}": there is no such command`);
  return EXIT.ok;
}

// What is still read from standard input could keep the process, and must not.
if (import.meta.main) Deno.exit(await main(Deno.args));

/**
 * The command line: call, describe, serve, proxy, tunnel and check from a shell.
 *
 * ```sh
 * deno install --global --allow-all --name qtalk jsr:@qtalk/qtalk/cli
 * qtalk call tcp://127.0.0.1:9999/Upper hello
 * ```
 *
 * | exit code | meaning |
 * | --- | --- |
 * | 0 | success |
 * | 1 | the other end answered with an error, or failed a check |
 * | 2 | usage error |
 * | 3 | no connection, or it was lost, or no answer came |
 * | 4 | something failed on this side |
 *
 * Results go to standard output and everything else to standard error. Over
 * `stdio:`, standard output carries frames only. Colour and progress appear on a
 * terminal only, and no colour if `NO_COLOR` is set.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { redactedAddress } from "../../printable_text.ts";
import { bench } from "./commands/bench.ts";
import { call } from "./commands/call.ts";
import { cert } from "./commands/cert.ts";
import { check } from "./commands/check.ts";
import { type Command, PROGRAM, twoColumns } from "./command.ts";
import { describe } from "./commands/describe.ts";
import { EXIT, exitCodeOf, OutputClosed, UsageError } from "./exit_code.ts";
import { health } from "./commands/health.ts";
import { inspect } from "./commands/inspect.ts";
import { interop } from "./commands/interop.ts";
import { ping } from "./commands/ping.ts";
import { proxy } from "./commands/proxy.ts";
import { rendezvous } from "./commands/rendezvous.ts";
import { serve } from "./commands/serve.ts";
import { Terminal } from "./terminal.ts";
import { tunnel } from "./commands/tunnel.ts";
import { types } from "./commands/types.ts";

const COMMANDS: readonly Command[] = Object.freeze([
  call,
  describe,
  types,
  ping,
  health,
  serve,
  proxy,
  inspect,
  tunnel,
  rendezvous,
  cert,
  interop,
  check,
  bench,
]);

/** The text that `--help` prints. */
function help(): string {
  return `Calls, serves and checks services over qtalk.

Usage: ${PROGRAM} COMMAND …

${twoColumns(COMMANDS.map(({ name, summary }) => [name, summary]))}

Run ${PROGRAM} COMMAND --help for details, ${PROGRAM} --version for the version.

Exit codes:

${
    twoColumns([
      ["0", "success"],
      ["1", "the other end answered with an error, or failed a check"],
      ["2", "usage error"],
      ["3", "no connection, or it was lost, or no answer came"],
      ["4", "something failed on this side"],
    ])
  }`;
}

/**
 * Runs a command line.
 *
 * @param args the arguments of the program
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
      const words = command === undefined ? PROGRAM : `${PROGRAM} ${name}`;
      terminal.note(`Run ${words} --help for details.`);
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
  } else {
    throw new UsageError(
      `Cannot run "${redactedAddress(name)}": there is no such command`,
    );
  }
  return EXIT.ok;
}

// Exits even if a read from standard input is pending.
if (import.meta.main) Deno.exit(await main(Deno.args));

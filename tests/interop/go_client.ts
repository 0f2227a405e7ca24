/**
 * Runs the Go program's client against the Deno mirror of the service.
 *
 * @module
 */
import type { CaseName } from "./names.ts";
import {
  denoServe,
  type Serve,
  SESSION_BROKE,
  startServer,
  type TransportName,
} from "./processes.ts";

/** What the client said of one case: nothing, if it was well. */
export type Outcomes = Map<string, string | undefined>;

/** Limit for one case; only a failure takes as long. */
const CASE_TIMEOUT = "30s";

/** Limit for all of them together, in milliseconds. */
const PATIENCE = 120_000;

/** Runs `cases`, one after the other on one session. */
export async function runGoClient(
  binary: string,
  transport: TransportName,
  cases: readonly CaseName[],
): Promise<Outcomes> {
  const command = [binary, "client", "--timeout", CASE_TIMEOUT] as const;
  return await runClient([...command], transport, cases);
}

/**
 * Runs `cases` by any program with the Go client's arguments and output.
 *
 * @param command with the arguments that come first
 * @param serve what it talks to. Default: the Deno mirror
 */
export async function runClient(
  [program, ...args]: [string, ...string[]],
  transport: TransportName,
  cases: readonly CaseName[],
  serve: Serve = denoServe,
): Promise<Outcomes> {
  if (transport === "stdio") {
    const child = [...serve(transport), transport];
    return await runProgram(program, [
      ...args,
      "exec",
      ...cases,
      "--",
      ...child,
    ]);
  }
  await using server = await startServer(serve, transport);
  return await runProgram(program, [
    ...args,
    transport,
    server.address,
    ...cases,
  ]);
}

/** Runs a client by its whole command line. */
export async function runProgram(
  program: string,
  args: string[],
): Promise<Outcomes> {
  const { stdout, stderr, code } = await new Deno.Command(program, {
    args,
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  const outcomes: Outcomes = new Map();
  let failed = false;
  for (const line of decoder.decode(stdout).split("\n")) {
    if (line === "") continue;
    const result = JSON.parse(line) as {
      case: string;
      ok: boolean;
      error?: string;
    };
    failed ||= !result.ok;
    outcomes.set(result.case, result.ok ? undefined : result.error ?? "failed");
  }
  // A session that broke shows in the log and nowhere else.
  const log = decoder.decode(stderr);
  if ((code !== 0 && !failed) || SESSION_BROKE.test(log)) {
    throw new Error(`The client ended with ${code} and said: ${log}`);
  }
  return outcomes;
}

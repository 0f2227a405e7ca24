/**
 * Runs the processes of a bench, one measure at a time.
 *
 * @module
 */
import type { MeasureName, MeasureOptions, Sample } from "./measures.ts";
import type { CommandLine, Peer } from "./peer.ts";

/**
 * Where the two processes run. Left to itself, the system puts them on one core
 * or on two as it likes, which changes every figure (LOG.md).
 */
export type Placement = "free" | "one" | "two";

/** A command line that keeps to its core, by Linux's `taskset`. */
function place(
  [program, ...args]: CommandLine,
  placement: Placement,
  role: "server" | "client",
): CommandLine {
  if (placement === "free") return [program, ...args];
  const core = placement === "two" && role === "client" ? "1" : "0";
  return ["taskset", "-c", core, program, ...args];
}

/** Milliseconds beyond the time to call after which a client has hung. */
const PATIENCE = 60_000;

/** A server process, started once for all rounds. */
export interface RunningPeer extends AsyncDisposable {
  readonly peer: Peer;
  /** Has a client process measure. */
  measure(name: MeasureName, options: MeasureOptions): Promise<Sample>;
}

/**
 * Starts a peer's server.
 *
 * @throws {Error} if it does not say where it listens
 */
export async function startPeer(
  peer: Peer,
  placement: Placement,
): Promise<RunningPeer> {
  const [program, ...args] = place(peer.server(), placement, "server");
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  async function stop(): Promise<void> {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await child.status;
  }
  const line = await firstLine(child.stdout);
  const address = /^listening (.+)$/.exec(line)?.[1];
  if (address === undefined) {
    await stop();
    throw new Error(`Cannot start server of ${peer.name}: it said "${line}"`);
  }
  return {
    peer,
    measure(name, options) {
      const command = peer.client(name, address, options);
      return runClient(
        peer,
        name,
        place(command, placement, "client"),
        options,
      );
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function runClient(
  peer: Peer,
  name: MeasureName,
  [program, ...args]: CommandLine,
  options: MeasureOptions,
): Promise<Sample> {
  const { success, code, signal, stdout } = await new Deno.Command(program, {
    args,
    stderr: "inherit",
    signal: AbortSignal.timeout(
      PATIENCE + 1_000 * (options.warmup + options.seconds),
    ),
  }).output();
  if (!success) {
    throw new Error(
      `Cannot measure ${name} of ${peer.name}: its client ended with ${
        signal ?? code
      }`,
    );
  }
  const line = new TextDecoder().decode(stdout);
  return peer.parse?.(line) ?? JSON.parse(line) as Sample;
}

async function firstLine(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of output.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
  return text;
}

/**
 * The paths from a producer to its reader.
 *
 * @module
 */
import type { Peer } from "../../../mod.ts";
import type { Library } from "../library.ts";

/** A producer in a process of its own, and a peer that reaches it. */
export interface Reached extends AsyncDisposable {
  peer: Peer;
  /** The producer's process ID. */
  pid: number;
}

/** What a path needs. */
export interface Means {
  library: Library;
  /** The checkout whose library the producer uses. */
  directory: string;
  /** A folder for sockets. */
  scratch: string;
}

const PRODUCER = new URL("producer.ts", import.meta.url).pathname;
const LOOPBACK = "tcp://127.0.0.1:0";

function commandArgs(directory: string, address: string): string[] {
  const config = `--config=${directory}/deno.json`;
  return ["run", "-A", "--no-check", config, PRODUCER, directory, address];
}

/** Starts a producer that listens; gives its address. */
async function start(
  { directory }: Means,
  address: string,
  stack: AsyncDisposableStack,
): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: commandArgs(directory, address),
    stdin: "null",
    stdout: "piped",
  }).spawn();
  stack.defer(async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It was killed before.
    }
    await child.status;
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  stack.defer(() => reader.cancel());
  return new TextDecoder().decode(value).trim();
}

/** The peer, once the producer has said which process it is. */
async function reached(
  peer: Peer,
  stack: AsyncDisposableStack,
): Promise<Reached> {
  peer.closed.catch(() => {});
  stack.defer(() => peer.close());
  const pid = await peer.call("pid", []) as number;
  return { peer, pid, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The reader dials the producer itself. */
function direct(address: (means: Means) => string) {
  return async (means: Means): Promise<Reached> => {
    const stack = new AsyncDisposableStack();
    const addr = await start(means, address(means), stack);
    return await reached(await means.library.dial(addr), stack);
  };
}

/** The reader has started the producer. */
async function stdio({ library, directory }: Means): Promise<Reached> {
  const command = new Deno.Command(Deno.execPath(), {
    args: commandArgs(directory, "stdio:"),
    stdin: "piped",
    stdout: "piped",
  });
  const peer = library.dialCommand(command);
  return await reached(peer, new AsyncDisposableStack());
}

/** The reader dials a peer that forwards calls to the producer. */
async function forward(means: Means): Promise<Reached> {
  const { dial, forward, listen } = means.library;
  const stack = new AsyncDisposableStack();
  const producer = await dial(await start(means, LOOPBACK, stack));
  producer.closed.catch(() => {});
  stack.defer(() => producer.close());
  const gateway = await listen(LOOPBACK, { handler: forward(producer) });
  stack.defer(() => gateway.close());
  return await reached(await dial(gateway.addr), stack);
}

/** The reader dials a proxy of sessions. */
async function proxy(means: Means): Promise<Reached> {
  const { dial, dialSession, listenSession, proxy } = means.library;
  const stack = new AsyncDisposableStack();
  const addr = await start(means, LOOPBACK, stack);
  const gateway = await listenSession(LOOPBACK);
  stack.defer(() => gateway.close());
  void (async () => {
    for await (const session of gateway) {
      // The reader will see how it ended.
      proxy(session, await dialSession(addr)).catch(() => {});
    }
  })();
  return await reached(await dial(gateway.addr), stack);
}

let sockets = 0;

/** By their names. */
export const PATHS: Record<string, (means: Means) => Promise<Reached>> = {
  tcp: direct(() => LOOPBACK),
  unix: direct(({ scratch }) => `unix:${scratch}/${sockets++}`),
  ws: direct(() => "ws://127.0.0.1:0"),
  stdio,
  forward,
  proxy,
};

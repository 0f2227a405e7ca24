/**
 * The programs on either side: how they are started, reached and ended.
 *
 * @module
 */
import { dial, dialCommand, type Handler, type Peer } from "@qtalk/qtalk";
import { firstLine } from "../support/first_line.ts";
import { MAX_VALUE_SIZE } from "./service.ts";

/** The transports that both sides have. */
export const TRANSPORTS = ["tcp", "unix", "ws", "stdio"] as const;
/** One of {@linkcode TRANSPORTS}. */
export type TransportName = typeof TRANSPORTS[number];
/** One that is dialled. */
type DialledName = Exclude<TransportName, "stdio">;

/** A command line that serves when a transport's words are added to it. */
export type Serve = (transport: TransportName) => [string, ...string[]];

/** The Go program's. */
export function goServe(binary: string): Serve {
  return () => [binary, "serve"];
}

/** The Deno mirror's, with the permissions that the transport needs. */
export const denoServe: Serve = (transport) => {
  const permissions = {
    tcp: ["--allow-net=127.0.0.1"],
    unix: ["--allow-net", "--allow-read", "--allow-write"],
    ws: ["--allow-net=127.0.0.1"],
    stdio: [],
  };
  const script = new URL("serve.ts", import.meta.url).pathname;
  return [Deno.execPath(), "run", ...permissions[transport], script];
};

/** A server that runs, and where. */
export interface RunningServer extends AsyncDisposable {
  /** `HOST:PORT`, or a path. */
  readonly address: string;
  /** Ends it; resolves to what it had to say. */
  stop(): Promise<string>;
}

/** Starts a server and waits until it listens. */
export async function startServer(
  serve: Serve,
  transport: DialledName,
): Promise<RunningServer> {
  const directory = await Deno.makeTempDir({ prefix: "qtalk_interop_" });
  const command = [...serve(transport), transport];
  if (transport === "unix") command.push(`${directory}/socket`);
  return await startProgram(command, directory);
}

/**
 * Starts a server by its whole command line, and waits until it listens.
 *
 * @param directory is removed in the end
 */
export async function startProgram(
  [command, ...args]: string[],
  directory?: string,
): Promise<RunningServer> {
  const child = new Deno.Command(command!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log = new Response(child.stderr).text();

  let stopped: Promise<string> | undefined;
  async function end(): Promise<string> {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await child.status;
    if (directory !== undefined) {
      await Deno.remove(directory, { recursive: true });
    }
    return await log;
  }
  const stop = () => stopped ??= end();

  const line = await firstLine(child.stdout);
  const address = /^listening (.+)$/.exec(line)?.[1];
  if (address === undefined) {
    throw new Error(`Cannot start server: it said "${line}", ${await stop()}`);
  }
  return {
    address,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/**
 * Runs `use` with a peer whose other end is a server just started. The peer
 * answers with `handler`.
 *
 * @throws {Error} if `use` rejects, or the server says that a session broke
 */
export async function withPeer(
  serve: Serve,
  transport: TransportName,
  handler: Handler,
  use: (peer: Peer) => Promise<void>,
): Promise<void> {
  await (transport === "stdio"
    ? withChild(serve, handler, use)
    : withServer(serve, transport, handler, use));
}

async function withServer(
  serve: Serve,
  transport: DialledName,
  handler: Handler,
  use: (peer: Peer) => Promise<void>,
): Promise<void> {
  await using server = await startServer(serve, transport);
  const scheme = transport === "unix" ? "unix:" : `${transport}://`;
  const peer = await dial(scheme + server.address, {
    handler,
    maxValueSize: MAX_VALUE_SIZE,
  });
  await checkLog(peer, use, () => server.stop());
}

async function withChild(
  serve: Serve,
  handler: Handler,
  use: (peer: Peer) => Promise<void>,
): Promise<void> {
  const log = await Deno.makeTempFile({ prefix: "qtalk_interop_" });
  try {
    // `dialCommand()` takes no command whose standard error is a pipe.
    const command = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" 2>"$0"', log, ...serve("stdio"), "stdio"],
      stdin: "piped",
      stdout: "piped",
    });
    const peer = dialCommand(command, {
      handler,
      maxValueSize: MAX_VALUE_SIZE,
    });
    await checkLog(peer, use, () => Deno.readTextFile(log));
  } finally {
    await Deno.remove(log);
  }
}

/** Ends `peer` after `use`, then asks the other side how it was. */
export async function checkLog(
  peer: Peer,
  use: (peer: Peer) => Promise<void>,
  readLog: () => Promise<string>,
): Promise<void> {
  let failure: unknown;
  try {
    await use(peer);
  } catch (error) {
    failure = error;
  }
  await peer.close();
  const log = await readLog();
  if (failure === undefined && !SESSION_BROKE.test(log)) return;
  const text = failure instanceof Error ? failure.message : "a session broke";
  throw new Error(`${text}; the other side's log: ${log}`, { cause: failure });
}

/** What either side's server logs when a session does not end cleanly. */
export const SESSION_BROKE = /session ended|serve: session/;

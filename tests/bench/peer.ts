/**
 * What the bench knows of a peer: somebody who can be a server process and a
 * client process.
 *
 * @module
 */
import {
  type MeasureName,
  measureOf,
  type MeasureOptions,
  type Sample,
  type Transport,
} from "./measures.ts";

/** A program and its arguments. */
export type CommandLine = readonly [string, ...string[]];

/** Two processes, as command lines. */
export interface Peer {
  /** As the table names it. */
  readonly name: string;
  /** What it can do. */
  readonly measures: readonly MeasureName[];
  /** Whether its server says on stderr what means nothing. */
  readonly chatty?: boolean;
  /** Prints `listening ADDRESS` as its first line; none over stdio. */
  server?(transport: Transport): CommandLine;
  /**
   * Connects, measures and prints one line, a `Sample`. Over stdio and to a
   * worker the address is the transport, and the client starts its server.
   */
  client(
    measure: MeasureName,
    address: string,
    options: MeasureOptions,
  ): CommandLine;
  /** Reads the client's line; by default it is a `Sample` as it stands. */
  parse?(line: string, measure: MeasureName): Sample;
}

/**
 * A peer written for Deno: a module of `peers/` that exports both ends. What is
 * timed, and how, is the same for all (tasks.ts).
 */
export interface DenoPeer {
  /**
   * Serves until the process, its stdin or the worker ends; resolves to the
   * address to connect to. Missing if it is a client of another peer's server.
   */
  serve?(transport: Transport): Promise<string>;
  /** Connects. */
  connect(address: string): Promise<Connection>;
}

/** A client's end. What a peer cannot do, it has not. */
export interface Connection {
  /** Sends a value and resolves to it when it comes back. */
  call?(value: unknown): Promise<unknown>;
  /**
   * Sends `bytes` bytes, the chunk over and over, through one stream; resolves
   * to how many the other end counted.
   */
  send?(bytes: number, chunk: Uint8Array): Promise<number>;
  /** Receives `bytes` bytes through one stream; tells of each chunk. */
  receive?(bytes: number, took: (size: number) => void): Promise<void>;
  /** As `send`, and all of it comes back; resolves to how much came. */
  echo?(bytes: number, chunk: Uint8Array): Promise<number>;
  /** Opens a channel that the other end echoes; resolves once it is open. */
  open?(): Promise<EchoChannel>;
  /** Ends the connection. */
  close(): void | Promise<void>;
}

/** A channel whose other end echoes. */
export interface EchoChannel {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * Starts the server of `file` as a worker of this process, by worker.ts;
 * resolves when it serves: messages that nobody waits for are lost.
 */
export async function startWorker(file: string): Promise<Worker> {
  const url = new URL("worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name: file });
  await new Promise((resolve, reject) => {
    worker.addEventListener("message", resolve, { once: true });
    worker.addEventListener("error", reject, { once: true });
  });
  return worker;
}

/** Loads a Deno peer's module. */
export async function loadDenoPeer(file: string): Promise<DenoPeer> {
  const module = await import(
    new URL(`peers/${file}.ts`, import.meta.url).href
  );
  return module.default as DenoPeer;
}

/** The folder of this bench. */
const HERE = new URL("./", import.meta.url);

/** The command line of a script of this bench. */
export function script(file: string, ...args: string[]): CommandLine {
  return scriptOf(HERE, file, ...args);
}

/**
 * The command line of a script of a bench.
 *
 * @param bench the folder of the bench that has the script
 */
function scriptOf(bench: URL, file: string, ...args: string[]): CommandLine {
  return [
    Deno.execPath(),
    // Who measures memory wants no garbage in it.
    ...["run", "--quiet", "--allow-all", "--v8-flags=--expose-gc"],
    new URL(file, bench).pathname,
    ...args,
  ];
}

/**
 * Command lines for a module of `peers/`.
 *
 * @param bench the folder of the bench whose peer it is; another checkout's for
 * a comparison with an earlier version
 */
export function denoPeer(
  file: string,
  name: string,
  measures: readonly MeasureName[],
  bench: URL = HERE,
): Peer {
  return {
    name,
    measures,
    server: (transport) => scriptOf(bench, "server.ts", file, transport),
    client(measure, address, options) {
      const { task, size } = measureOf(measure);
      const json = JSON.stringify(options);
      switch (task) {
        case "startup":
          return scriptOf(bench, "startup.ts", file);
        case "parallel":
          return scriptOf(bench, "parallel.ts", String(size), json);
        default:
          return scriptOf(bench, "client.ts", file, measure, address, json);
      }
    },
  };
}

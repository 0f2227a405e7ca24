/**
 * What the bench knows of a peer: somebody who can be a server process and a
 * client process.
 *
 * @module
 */
import type { MeasureName, MeasureOptions } from "./measures.ts";

/** A program and its arguments. */
export type CommandLine = readonly [string, ...string[]];

/** Two processes, as command lines. */
export interface Peer {
  /** As the table names it. */
  readonly name: string;
  /** What it can do. */
  readonly measures: readonly MeasureName[];
  /** Prints `listening ADDRESS` as its first line. */
  server(): CommandLine;
  /** Connects, measures and prints one line, a `Sample`. */
  client(
    measure: MeasureName,
    address: string,
    options: MeasureOptions,
  ): CommandLine;
  /** Reads the client's line; by default it is a `Sample` as it stands. */
  parse?(line: string): import("./measures.ts").Sample;
}

/**
 * A peer written for Deno: a module of `peers/` that exports both ends. What is
 * timed, and how, is the same for all (client.ts).
 */
export interface DenoPeer {
  /** Serves until the process ends; resolves to the address to connect to. */
  serve(): Promise<string>;
  /** Connects. */
  connect(address: string): Promise<Connection>;
}

/** A client's end. What a peer cannot do, it has not. */
export interface Connection {
  /** Sends a number and resolves to it when it comes back. */
  call?(value: number): Promise<unknown>;
  /**
   * Sends `bytes` bytes, the chunk over and over, through one stream; resolves
   * to how many the other end counted.
   */
  send?(bytes: number, chunk: Uint8Array): Promise<number>;
  /** Ends the connection. */
  close(): void | Promise<void>;
}

/** Loads a Deno peer's module. */
export async function loadDenoPeer(file: string): Promise<DenoPeer> {
  const module = await import(
    new URL(`peers/${file}.ts`, import.meta.url).href
  );
  return module.default as DenoPeer;
}

/** Command lines for a module of `peers/`. */
export function denoPeer(
  file: string,
  name: string,
  measures: readonly MeasureName[],
): Peer {
  const run = (script: string, ...args: string[]): CommandLine => [
    Deno.execPath(),
    "run",
    "--quiet",
    "--allow-all",
    new URL(script, import.meta.url).pathname,
    file,
    ...args,
  ];
  return {
    name,
    measures,
    server: () => run("server.ts"),
    client: (measure, address, { seconds, warmup, bytes }) =>
      run("client.ts", measure, address, `${seconds}`, `${warmup}`, `${bytes}`),
  };
}

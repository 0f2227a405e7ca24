/**
 * The CPU time of both processes of a measure, in user and in system mode, with
 * that of V8's threads. Ratios of wall time hide who waits for whom.
 *
 * @module
 */

/** Seconds of CPU time. */
export interface CpuTime {
  /** Of the client process, in which a worker runs, too. */
  client: number;
  /** Of the server process; undefined if it is a worker. */
  server?: number | undefined;
}

/** What both ends cost together. */
export function sum({ client, server = 0 }: CpuTime): number {
  return client + server;
}

/** Ticks per second in `/proc`: the same on every architecture of Linux. */
const TICKS = 100;

/** Sees how much CPU time passes while something is measured. */
export class CpuMeter {
  readonly #server: number | undefined;
  readonly #start: CpuTime | undefined;

  /**
   * Starts.
   *
   * @param server the ID of the server process. Default: the child of this
   * process, if it has one
   */
  constructor(server: number | undefined) {
    this.#server = server ?? childId();
    this.#start = this.#now();
  }

  /**
   * The time since the start, for each of `units`; undefined where the system
   * has no `/proc`.
   */
  stop(units: number): CpuTime | undefined {
    const end = this.#now(), start = this.#start;
    if (start === undefined || end === undefined) return undefined;
    const client = (end.client - start.client) / units;
    return end.server === undefined || start.server === undefined
      ? { client }
      : { client, server: (end.server - start.server) / units };
  }

  #now(): CpuTime | undefined {
    const client = secondsOf("self");
    if (client === undefined) return undefined;
    const server = this.#server === undefined
      ? undefined
      : secondsOf(this.#server);
    return { client, server };
  }
}

/** What a process has used so far; undefined if the system does not say it. */
function secondsOf(process: number | "self"): number | undefined {
  const fields = fieldsOf(process);
  if (fields === undefined) return undefined;
  const [user, system] = [fields[11], fields[12]];
  return (Number(user) + Number(system)) / TICKS;
}

/** A child process of this one. */
function childId(): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  for (const { name } of Deno.readDirSync("/proc")) {
    const id = Number(name);
    if (id > 0 && fieldsOf(id)?.[1] === String(Deno.pid)) return id;
  }
  return undefined;
}

/** What `/proc` says of a process, from its state on. */
function fieldsOf(process: number | "self"): string[] | undefined {
  let line: string;
  try {
    line = Deno.readTextFileSync(`/proc/${process}/stat`);
  } catch {
    // The process has ended, or this is not Linux.
    return undefined;
  }
  // The name of the program, in parentheses, may contain anything.
  return line.slice(line.lastIndexOf(")") + 2).split(" ");
}
